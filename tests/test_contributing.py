"""The example of CONTRIBUTING.md works as printed: inside icl, outside it, in the conformance suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXPERIMENT = {
    "name": "example",
    "model": "fake",
    "task": "questions",
    "pool": 60,
    "test": 10,
    "grid": {"selector": ["random", {"PLACE": {"unit": "characters"}}], "shots": [3]},
    "leaderboard": {"compare_to": "random"},
}
DROPPED_IN = """
import sys
import icl.selectors
icl.selectors.__path__.append(sys.argv.pop(1))  # as if the file lay in icl/selectors
"""
RUN_ICL = f"{DROPPED_IN}from icl.cli import main; main(sys.argv[1:])"
RUN_PYTEST = f"{DROPPED_IN}import pytest; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds the example as length.py and nothing else."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    home = tmp_path / "mypackage"
    home.mkdir()
    (home / "length.py").write_text(example, encoding="utf-8")
    return home


def python(*arguments: str | Path, cwd: Path, path: Path = ROOT) -> str:
    """Output of a Python process that can import what lies in `path`. A process of its own, since a
    registered component stays registered."""
    places = os.pathsep.join([str(path), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": places, "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def experiment(folder: Path, selector: str) -> Path:
    text = yaml.safe_dump(EXPERIMENT).replace("PLACE", selector)
    (folder / "experiment.yaml").write_text(text, encoding="utf-8")
    return folder / "experiment.yaml"


def test_in_the_package_it_needs_no_other_file(folder: Path, tmp_path: Path) -> None:
    listed = python("-c", RUN_ICL, folder, "list", "selectors", cwd=tmp_path)
    assert re.search(r"^length\tunit: words\tThe k pool examples whose length", listed, flags=re.MULTILINE)
    out = python("-c", RUN_ICL, folder, "run", experiment(tmp_path, "length"), "--quiet", cwd=tmp_path)
    assert re.search(r"^length\S* +\d", out, flags=re.MULTILINE)


def test_outside_it_is_named_by_its_path(folder: Path, tmp_path: Path) -> None:
    file = experiment(tmp_path, "mypackage.length:Length")
    out = python("-m", "icl", "run", file, "--quiet", "--allow-code", cwd=tmp_path, path=tmp_path)
    assert "mypackage.length:Length" in out.replace("\n", "")


def test_the_conformance_suite_takes_it_up(folder: Path, tmp_path: Path) -> None:
    suite = ROOT / "tests" / "conformance"
    out = python("-c", RUN_PYTEST, folder, "-q", "-k", "selector-length", suite, cwd=ROOT)
    passed = re.search(r"(\d+) passed", out)
    assert passed is not None
    assert int(passed[1]) >= 8
    assert "failed" not in out


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_it_is_written_as_the_rest(folder: Path, command: str) -> None:
    settings = ["--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command.split(), *settings, str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_that_it_names_exist() -> None:
    for name in ("icl/protocols.py", "icl/tasks/definitions", "docs/guide.md", "docs/methods", ".ci/run"):
        assert name in TEXT
        assert (ROOT / name).exists(), name
