"""setup.py: what it builds, and that nothing that goes wrong there breaks an installation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from setuptools import Distribution

import icl
from icl.engine.native import naming

ROOT = Path(icl.__file__).parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """setup.py as a module."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("icl is installed without its setup.py")
    spec = importlib.util.spec_from_file_location("icl_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(script: ModuleType, folder: Path) -> object:
    """build_ext of an installation into `folder`."""
    made = script.BuildKernels(Distribution({"ext_modules": script.extensions()}))
    made.build_lib, made.build_temp = str(folder / "lib"), str(folder / "objects")
    made.ensure_finalized()
    return made


def test_without_a_compiler_nothing_is_built_and_it_is_written_down(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    command(script, tmp_path).run()  # type: ignore[attr-defined]
    folder = tmp_path / "lib" / "icl" / "engine" / "native"
    assert [path.name for path in folder.iterdir()] == [naming.REASON]
    assert "no C++ compiler was found" in (folder / naming.REASON).read_text()
    assert "the Python path runs instead: no C++ compiler" in capsys.readouterr().err
    assert "no C++ compiler was found" in naming.locate(str(folder), "2.0")[1]


def test_a_compiler_that_fails_is_said_in_its_words(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken-c++"
    broken.write_text("#!/bin/sh\necho 'error: out of ideas' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    command(script, tmp_path).run()  # type: ignore[attr-defined]
    written = (tmp_path / "lib" / "icl" / "engine" / "native" / naming.REASON).read_text()
    assert "broken-c++ failed: error: out of ideas" in written


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [("ICL_NATIVE", "0", "ICL_NATIVE=0 when"), ("CXX", "no-such-compiler", "no C++ compiler was found")],
)
def test_what_speaks_against_building(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert words in script.obstacle()


def test_without_torch_nothing_is_built(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICL_NATIVE", raising=False)
    monkeypatch.setattr(script, "compiler", lambda: ["c++"])
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert script.obstacle().startswith("torch could not be imported when icl was installed")


def test_the_library_has_the_name_that_is_looked_for(script: ModuleType) -> None:
    import torch

    assert script.library_name() == naming.library_name(torch.__version__)
    assert script.REASON == naming.REASON


def test_kernels_are_compiled_for_every_instruction_set_and_plain_code_is_linked_first(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "calls"
    recorder = tmp_path / "c++"
    recorder.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && : > "$2"; shift; done\n'
    )
    recorder.chmod(0o755)
    monkeypatch.setenv("CXX", str(recorder))
    monkeypatch.setattr(script.platform, "machine", lambda: "x86_64")
    script.build(tmp_path / "out.so", tmp_path / "objects")
    calls = [line.split() for line in log.read_text().splitlines()]
    kernels = [c for c in calls if "-c" in c and any(part.endswith("norms.kernel.cpp") for part in c)]
    flags = {next(p for p in c if p.startswith("-DCPU_CAPABILITY=")) for c in kernels}
    assert flags == {f"-DCPU_CAPABILITY={name}" for name in script.VARIANTS}
    assert not any("-march=native" in c for c in calls)
    linked = next(c for c in calls if "-shared" in c or "-dynamiclib" in c)
    wide = ["AVX" in Path(part).name for part in linked if part.endswith(".o")]
    assert wide == sorted(wide)

    log.unlink()  # a second build compiles nothing that is there
    script.build(tmp_path / "out.so", tmp_path / "objects")
    assert not any("-c" in line.split() for line in log.read_text().splitlines())


def test_on_arm_there_is_one_variant(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def ran(command: list[str]) -> None:
        calls.append(list(command))
        Path(command[command.index("-o") + 1]).touch()

    monkeypatch.setattr(script, "_run", ran)
    monkeypatch.setattr(script.platform, "machine", lambda: "aarch64")
    script.build(tmp_path / "out.so", tmp_path / "objects")
    flags = [part for call in calls for part in call]
    assert "-DICL_VARIANTS" not in flags
    assert not [part for part in flags if part.startswith("-mavx")]
    assert sum(any("norms.kernel.cpp" in part for part in call) for call in calls if "-c" in call) == 1
