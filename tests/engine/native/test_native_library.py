"""Finding and loading the kernels: what is said where there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from icl.cli.listing import _native
from icl.engine.native import library, naming


def test_they_can_be_left_out() -> None:
    assert library.look("0") == library.Found("", "ICL_NATIVE=0")


def test_none_were_built(tmp_path: Path) -> None:
    assert "were not built when icl was installed" in library.look(str(tmp_path)).reason
    (tmp_path / naming.REASON).write_text("no C++ compiler was found\n")
    found = library.look(str(tmp_path))
    assert found.reason == f"no C++ compiler was found; {naming.AGAIN}"


def test_built_for_another_torch(tmp_path: Path) -> None:
    (tmp_path / naming.library_name("2.0.0")).touch()
    reason = library.look(str(tmp_path)).reason
    assert f"built for torch 2.0.0, and this is torch {torch.__version__}" in reason


def test_built_from_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / naming.library_name(torch.__version__)).touch()
    sources = tmp_path / "src"
    sources.mkdir()
    (sources / "norms.cpp").write_text("// changed")
    monkeypatch.setattr(naming, "SOURCES", sources)
    assert "built from other sources" in library.look(str(tmp_path)).reason


def test_a_damaged_library_is_said_and_left(tmp_path: Path) -> None:
    path = tmp_path / naming.library_name(torch.__version__)
    path.write_bytes(b"\x7fELF, or not")
    reason = library.look(str(tmp_path)).reason
    assert reason.startswith(f"{path.name} cannot be loaded (")
    assert naming.AGAIN in reason


def test_one_line_of_the_log_says_which_path_runs() -> None:
    script = (
        "import logging; logging.basicConfig(level='INFO', format='%(message)s')\n"
        "from icl.engine.native import library\n"
        "library.available(); library.available(); print(library.said())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "ICL_NATIVE": "0"}, capture_output=True, text=True
    )
    assert done.stdout == "no (ICL_NATIVE=0)\n"
    assert done.stderr.splitlines() == ["native kernels: none, the Python path runs: ICL_NATIVE=0"]


def test_icl_models_says_it_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ICL_NATIVE", "0")
    assert _native() == "none, the Python path runs: ICL_NATIVE=0"
    monkeypatch.setenv("ICL_NATIVE", str(tmp_path))
    (tmp_path / naming.library_name(torch.__version__)).touch()
    assert _native().startswith("yes")


def test_the_instruction_set_is_one_that_the_processor_has(kernels: None) -> None:
    capability = torch.backends.cpu.get_cpu_capability()
    known = {"AVX512": "AVX-512", "AVX2": "AVX2"}
    assert library.ops().instructions() == known.get(capability, library.ops().instructions())
    assert library.said() == f"yes ({library.ops().instructions()})"


@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_narrower_variants_give_the_same(kernels: None, capability: str) -> None:
    script = (
        "import torch; from icl.engine.native import library, norms\n"
        "assert library.available()\n"
        "x = torch.linspace(-3, 5, 7 * 100).view(7, 100)\n"
        "print(library.ops().instructions()); print(norms.rms_norm(x, x[0].clone(), 1e-5).tolist())"
    )
    env = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    said, numbers = done.stdout.splitlines()
    wide = torch.backends.cpu.get_cpu_capability()
    if wide in ("AVX2", "AVX512"):
        assert said == {"avx2": "AVX2", "default": "no wide vectors"}[capability]
    from icl.engine.native import norms

    x = torch.linspace(-3, 5, 7 * 100).view(7, 100)
    found = torch.tensor(eval(numbers))
    torch.testing.assert_close(found, norms.rms_norm(x, x[0].clone(), 1e-5), rtol=1e-5, atol=1e-6)
