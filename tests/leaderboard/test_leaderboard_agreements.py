"""Agreement between metrics on the answers of each row, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icl.errors import ConfigError
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.agreements import agreements
from icl.types import Prediction, Task, Template

TASKS = {"t": Task("t", "string", Template("{{ text }}"), ("text",), metric="exact_match")}
CELL = Cell("m", "t", "zero_shot", 0, "as_selected", "generate", 0)
SAID = (("Oslo", 1.0), ("It is Oslo", 1.0), ("Bergen", 0.0), ("not Oslo", 0.0), ("Oslo", None))


def result(seed: int = 0, judged: bool = True) -> CellResult:
    def details(score: float | None) -> dict[str, object]:
        return {"judge": {"label": "x"} | ({} if score is None else {"score": score})} if judged else {}

    lines = tuple(
        Prediction(f"q{at}", (), text, "Oslo", text == "Oslo", details=details(score))
        for at, (text, score) in enumerate(SAID)
    )
    notes = {"judge": {"label": "j", "ungraded": 1, "usage": [0, 0, 0, 0.0, 0]}} if judged else {}
    return CellResult(replace(CELL, seed=seed), lines, complete=True, notes=notes)


def test_pairs_of_metrics_by_hand() -> None:
    exact, judge, contained = agreements([result()], TASKS, ["exact_match", "contains", "judge"])
    assert (exact.one, exact.two, exact.predictions) == ("exact_match", "contains", 5)
    assert exact.right == (0.4, 0.8)
    assert exact.only == (0, 2)
    assert exact.same.value == 0.6
    assert (judge.one, judge.two, judge.predictions) == ("exact_match", "judge", 4), "one was not graded"
    assert judge.only == (0, 1)
    assert judge.kappa is not None
    assert judge.kappa.value == pytest.approx(0.5)  # 3 of 4 the same; by chance 1/4 * 1/2 + 3/4 * 1/2
    assert contained.only == (1, 0)


def test_seeds_are_taken_together_and_rows_apart() -> None:
    other = replace(result(), cell=replace(CELL, selector="random", shots=2))
    found = agreements([result(0), result(1), other], TASKS, ["exact_match", "contains"])
    assert [(one.cell.selector, one.predictions) for one in found] == [("zero_shot", 10), ("random", 5)]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ConfigError, match="between different metrics, two or more: judge"):
        agreements([result()], TASKS, ["judge"])
    with pytest.raises(ConfigError, match="unknown metric 'containz'"):
        agreements([result()], TASKS, ["exact_match", "containz"])
    with pytest.raises(ConfigError, match="1 of 1 cells are not judged"):
        agreements([result(judged=False)], TASKS, ["exact_match", "judge"])
