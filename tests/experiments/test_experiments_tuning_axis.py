"""Tuning as an axis of the grid: labels, ids that stay, rows, baselines, refusals. No model is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from icl.errors import ConfigError
from icl.experiments.file.baseline import resolve_baseline
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.cells import plan_cells
from icl.experiments.grid.check import check
from icl.experiments.records import Cell
from icl.leaderboard import leaderboard
from icl.protocols import ALL_KINDS, tuners
from tests.experiments.conftest import experiment
from tests.leaderboard.cells import cell


@dataclass(kw_only=True)
class Nudge:
    """Changes a bias by a number."""

    by: float = 1.0
    kinds = ALL_KINDS
    needs: frozenset[str] = frozenset()

    def fit(self, pool, resources):
        raise NotImplementedError

    def restore(self, state, network):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def nudge():
    assert "nudge" not in tuners
    tuners.register("nudge")(Nudge)
    yield
    del tuners._entries["nudge"]


def read(**grid):
    return read_experiment(experiment(grid=grid))[0]


def test_items_of_the_axis_and_their_labels():
    grid = read(tuning=["none", {"nudge": {"by": 2}}, {"saved": "some/where"}]).grid
    assert [item.label for item in grid.tuning] == ["none", "nudge(by=2)", "saved(folder=some/where)"]
    assert [item.label for item in read(tuning={"saved": "here"}).grid.tuning] == ["saved(folder=here)"]
    again = read_experiment(read(tuning=[{"saved": "here"}]).resolved)[0]
    assert again.grid.tuning == read(tuning=[{"saved": {"folder": "here"}}]).grid.tuning


def test_what_a_regime_adapts_with_is_part_of_its_label():
    (item,) = read(tuning={"nudge": {"with": {"lora": {"rank": 8}}}}).grid.tuning
    assert item.label == "nudge(with=lora(rank=8))"
    (item,) = read(tuning={"nudge": {"with": "full"}}).grid.tuning
    assert item.label == "nudge(with=full)"


def test_a_cell_without_tuning_is_what_it_was():
    cell = Cell("fake", "mine", "random", 2, "as_selected", "direct", 0)
    assert cell.id == "mine_random_2_as_selected_direct_s0-27028155"
    assert Cell.of(cell.plain) == cell
    tuned = Cell.of({**cell.plain, "tuning": "nudge(by=2)"})
    assert tuned.id != cell.id
    assert "nudge_by_2" in tuned.id
    assert Cell.of(tuned.plain) == tuned
    assert tuned.row[:-1] == cell.row[:-1]
    with pytest.raises(ValueError, match="no cell"):
        Cell.of({**cell.plain, "tuning": 3})


def test_the_untuned_model_comes_first_and_what_asks_no_model_is_run_once():
    cells = [
        c.cell for c in plan_cells(read(tuning=["nudge", "none"], method=["direct", "knn_majority"]), ["t"])
    ]
    assert [c.tuning for c in cells] == sorted((c.tuning for c in cells), key="nudge".__eq__)
    assert {c.tuning for c in cells if c.method == "knn_majority"} == {"none"}
    zero = [(c.tuning, c.seed) for c in cells if c.selector == "zero_shot" and c.method == "direct"]
    assert zero == [("none", 0), ("none", 1), ("nudge", 0), ("nudge", 1)]
    alone = [c.cell for c in plan_cells(read(tuning="nudge", method=["direct", "knn_majority"]), ["t"])]
    assert {(c.method, c.tuning) for c in alone} == {("direct", "nudge"), ("knn_majority", "none")}


def test_a_baseline_by_tuning_pairs_rows_of_one_setting():
    cells = [c.cell for c in plan_cells(read(tuning=["none", "nudge"]), ["t"]) if c.cell.seed == 0]
    baseline = resolve_baseline(
        {"tuning": "none"}, [*cells, Cell("fake", "t", "majority_class", 0, "-", "-", 0)]
    )
    ours = [c for c in cells if c.tuning == "nudge"]
    for one in ours:
        partners = [c for c in cells if baseline.is_row(c) and baseline.pairs(one, c)]
        assert [(p.tuning, p.selector) for p in partners] == [("none", one.selector)]
    assert not baseline.is_row(Cell("fake", "t", "majority_class", 0, "-", "-", 0))
    assert resolve_baseline("tuning=nudge,selector=random", cells).labels == {
        "tuning": "nudge",
        "selector": "random",
    }


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"tuning": "nudeg"}, "grid.tuning.0.nudeg: unknown tuning 'nudeg'. Did you mean 'nudge'?"),
        ({"tuning": "nuone"}, "Did you mean 'none'?"),
        ({"tuning": {"nudge": {"bi": 1}}}, "has no parameter 'bi'. Did you mean 'by'?"),
        ({"tuning": "knn"}, "'knn' is no tuning: it belongs under grid.selector"),
        ({"tuning": {"none": {"a": 1}}}, "'none' has no parameters"),
        ({"tuning": "nudge"}, "grid.tuning.0: 'nudge' trains weights, and the model 'fake' has none here"),
    ],
)  # fmt: skip
def test_what_is_refused(write, grid, message):
    with pytest.raises(ConfigError) as raised:
        check(*read_experiment(write(grid=grid)))
    assert message in str(raised.value)
    assert "experiment.yaml:" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_kind_and_pool_are_looked_at(write, tmp_path):
    Nudge.kinds = frozenset({"numeric"})
    try:
        with pytest.raises(ConfigError, match="tuning 'nudge' does not fit task 'mine'"):
            check(*read_experiment(write(model=str(folder_of_a_model(tmp_path)), grid={"tuning": "nudge"})))
    finally:
        Nudge.kinds = ALL_KINDS
    small = write(model=str(tmp_path / "model"), pool=1, grid={"tuning": ["nudge"], "shots": 1})
    with pytest.raises(ConfigError, match=r"its 1 examples are fewer than the 2 labels of task 'mine'"):
        check(*read_experiment(small))
    (tmp_path / "task.yaml").write_text(
        (tmp_path / "task.yaml").read_text().replace("train: pool.jsonl\n", "\n")
    )
    with pytest.raises(ConfigError, match="task 'mine' has no train split"):
        check(
            *read_experiment(write(model=str(tmp_path / "model"), pool=2, test=4, grid={"tuning": "nudge"}))
        )


def folder_of_a_model(parent):
    (parent / "model").mkdir()
    (parent / "model" / "config.json").write_text('{"model_type": "llama"}')
    return parent / "model"


def tuned(selector, seed, tuning, shots=4):
    result = cell(selector, shots, seed)
    return replace(result, cell=replace(result.cell, tuning=tuning))


def test_the_column_is_there_only_where_something_is_tuned():
    plain = [cell("knn", 4, seed) for seed in (0, 1)]
    board = leaderboard(plain)
    assert [c.key for c in board.columns][:2] == ["selector", "value"]
    assert "tuning" not in board.title
    both = leaderboard(
        plain + [tuned("knn", seed, "nudge") for seed in (0, 1)], compare_to={"tuning": "none"}
    )
    assert [c.key for c in both.columns][:3] == ["selector", "tuning", "value"]
    assert both.to_csv().splitlines()[0].startswith("model,task,selector,shots,orderer,method,tuning,")
    (row,) = [r for r in both.rows if r.tuning == "nudge"]
    assert row.comparison.baseline == "knn 4-shot as_selected direct"
    assert row.setting == "knn 4-shot as_selected direct tuning nudge"
    only = leaderboard([tuned("knn", seed, "nudge") for seed in (0, 1)])
    assert "tuning nudge" in only.title


def test_a_reference_is_compared_within_its_tuning():
    cells = [cell("random", 4, 0), tuned("random", 0, "nudge"), tuned("zero_shot", 0, "nudge", 0)]
    board = leaderboard(cells, compare_to="random")
    (row,) = [r for r in board.rows if r.selector == "zero_shot"]
    assert row.comparison.baseline.endswith("tuning nudge")
    assert any(line.startswith("zero_shot tuning nudge compared with: ") for line in board.footer)
