"""Rows of several models: compared where the prompts were the same, and told apart in every sentence."""

from __future__ import annotations

from dataclasses import replace

from icl.experiments.records import CellResult
from icl.leaderboard import leaderboard
from icl.types import Dropped

from .cells import cell


def of(result: CellResult, model: str, shown: dict[int, tuple[str, ...]] | None = None) -> CellResult:
    """The cell as another model's; `shown`: demonstrations of some queries, a and b of the others."""
    predictions = [
        replace(p, demonstrations=tuple((name, None) for name in (shown or {}).get(i, ("a", "b"))))
        for i, p in enumerate(result.predictions)
    ]
    return replace(result, cell=replace(result.cell, model=model), predictions=tuple(predictions))


def compared(mine: CellResult, its: CellResult):
    board = leaderboard([its, mine], compare_to={"model": "A"}, resamples=100, majority=False)
    (row,) = [r for r in board.rows if r.model == "B"]
    return row.comparison, board


def test_pairs_are_queries_with_the_same_prompt():
    same, board = compared(of(cell("knn", hits=0.9), "B"), of(cell("knn"), "A"))
    assert (same.matched, same.unmatched, same.other_prompts) == (40, 0, 0)
    assert "shown the same demonstrations in the same order" in " ".join(board.footer)
    other = {0: ("b", "a"), 1: ("a",), 2: ("a", "c")}
    some, board = compared(of(cell("knn", hits=0.9), "B", other), of(cell("knn"), "A"))
    assert (some.matched, some.unmatched, some.other_prompts) == (37, 3, 3)
    assert (
        "B: knn 4-shot as_selected direct: 37 pairs matched with the baseline, 3 without a partner left out "
        "(3 of them because the models were shown different demonstrations)."
    ) in board.footer


def test_the_difference_is_that_of_the_pairs():
    """Of 40 queries the 20 that were asked alike: on these B is right, A wrong; on the others the reverse."""

    def answered(result: CellResult, first: bool) -> CellResult:
        return replace(
            result,
            predictions=tuple(
                replace(p, correct=(i < 20) == first, answer=p.gold if (i < 20) == first else "x")
                for i, p in enumerate(result.predictions)
            ),
        )

    other = dict.fromkeys(range(20, 40), ("c",))
    found, _ = compared(of(answered(cell("knn"), True), "B", other), of(answered(cell("knn"), False), "A"))
    assert found.matched == 20
    assert found.difference.value == 1.0


def test_without_a_prompt_in_common_nothing_is_compared_and_it_is_said():
    found, board = compared(of(cell("knn"), "B", dict.fromkeys(range(40), ("c",))), of(cell("knn"), "A"))
    assert found is None
    assert (
        "No seed and query in common with the baseline (of another model: no prompt), not compared: knn."
        in board.footer
    )


def test_what_a_shorter_context_dropped_makes_another_prompt():
    mine = of(cell("knn"), "B")
    lost = replace(mine.predictions[0], dropped=(Dropped("c", "does not fit"),))
    found, _ = compared(replace(mine, predictions=(lost, *mine.predictions[1:])), of(cell("knn"), "A"))
    assert (found.matched, found.other_prompts) == (39, 1)


def test_within_a_model_prompts_may_differ():
    """A selector is judged by what it shows."""
    rows = [
        of(cell("random"), "A", {0: ("c",)}),
        of(cell("knn"), "A"),
        of(cell("random"), "B"),
        of(cell("knn"), "B"),
    ]
    board = leaderboard(rows, compare_to="random", resamples=100, majority=False)
    assert [(r.model, r.comparison.matched) for r in board.rows if r.comparison] == [("A", 40), ("B", 40)]


def test_a_baseline_of_model_and_selector():
    rows = [of(cell(name, hits=h), m) for m in "AB" for name, h in (("random", 0.5), ("knn", 0.8))]
    board = leaderboard(rows, compare_to={"model": "A", "selector": "random"}, resamples=100, majority=False)
    assert {(r.model, r.selector): bool(r.comparison) for r in board.rows} == {
        ("A", "random"): False,
        ("A", "knn"): True,
        ("B", "random"): True,
        ("B", "knn"): True,
    }
    assert all(
        r.comparison.baseline == "A: random 4-shot as_selected direct" for r in board.rows if r.comparison
    )
