"""`grid.only`: a part of the product of the axes."""

from __future__ import annotations

from typing import Any

import pytest

from icl.errors import ConfigError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.cells import plan_cells
from icl.experiments.grid.check import check

GRID: dict[str, Any] = {
    "selector": ["random", {"mmr": {"lambda": 0.5}}, {"mmr": {"lambda": 0.9}}],
    "shots": [2, 4],
    "method": ["direct", "generate"],
}


def cells(only: Any) -> list[tuple[str, int, str]]:
    experiment, _ = read_experiment(
        {"name": "o", "model": "fake", "task": "sst2", "grid": {**GRID, "only": only}}
    )
    assert read_experiment(experiment.resolved)[0] == experiment
    return [(c.cell.selector, c.cell.shots, c.cell.method) for c in plan_cells(experiment, ["sst2"])]


def test_all_of_the_product_without_patterns() -> None:
    assert len(cells([])) == 2 + 3 * 2 * 2


def test_a_cell_stays_where_one_pattern_fits_all_its_values() -> None:
    kept = cells([{"selector": "zero_shot", "method": "direct"}, {"selector": "mmr", "shots": [4]}])
    assert kept == [
        ("zero_shot", 0, "direct"),
        *((f"mmr(lambda={v})", 4, method) for v in (0.5, 0.9) for method in ("direct", "generate")),
    ]


def test_a_component_with_parameters_is_that_one_alone() -> None:
    kept = cells({"selector": {"mmr": {"lambda": 0.9}}, "method": "direct"})
    assert kept == [("mmr(lambda=0.9)", 2, "direct"), ("mmr(lambda=0.9)", 4, "direct")]


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ([{"selector": "knn"}], "grid.only.0.selector: unknown selector 'knn'"),
        ([{"shots": 8}], "grid.only.0.shots: unknown shots '8'"),
        ([{"selector": "zero_shot", "shots": 4}], "grid.only.0: no cell of the grid has all of these values"),
        ([{"selectors": "random"}], "selectors"),
    ],
)
def test_patterns_that_name_what_is_not_there(only: Any, said: str) -> None:
    data = {"name": "o", "model": "fake", "task": "sst2", "grid": {**GRID, "only": only}}
    with pytest.raises(ConfigError, match=said):
        check(*read_experiment(data))
