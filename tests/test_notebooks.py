"""The notebooks run, and what they keep is executed and holds nothing of a machine."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PLACE = re.compile(r"(?<![\w<.])/(?:home|root|tmp|work|Users|opt|usr|mnt|var)/|[A-Z]:\\\\")


def code_cells(path: Path) -> list[dict]:
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_experiment", "predictions"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_executed_from_top_to_bottom_and_holds_no_path(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert len(outputs) >= 3
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert PLACE.search(path.read_text(encoding="utf-8")) is None
    assert PLACE.search("see /home/x") is not None


@pytest.fixture(scope="module")
def executing() -> ModuleType:
    for needed in ("nbclient", "ipykernel"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: pip install nbclient ipykernel")
    place = ROOT / "docs" / "notebooks" / "execute.py"
    spec = importlib.util.spec_from_file_location("execute_notebooks", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_as_much_as_it_keeps(path: Path, executing: ModuleType) -> None:
    fresh = [c for c in executing.execute(path).cells if c.cell_type == "code"]
    for before, after in zip(code_cells(path), fresh, strict=True):
        kinds = [[sorted(output.get("data", {})) for output in cell["outputs"]] for cell in (before, after)]
        assert kinds[0] == kinds[1], before["source"]
