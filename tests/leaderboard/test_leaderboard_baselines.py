"""Which row each row is compared with, whatever component the baseline names."""

from dataclasses import replace

import pytest

from icl.errors import ConfigError
from icl.leaderboard import leaderboard

from .cells import board_cells, cell


def test_rows_without_their_own_baseline_are_not_compared_and_counted():
    results = [cell("random", 4), cell("knn", 4), cell("knn", 8), cell("knn", 4, orderer="similarity")]
    board = leaderboard(results, compare_to="random", resamples=100, majority=False)
    assert [bool(r.comparison) for r in board.rows if r.selector == "knn" and r.shots == 8] == [False]
    assert "2 rows without a baseline of the same setting: not compared." in board.footer


def test_a_zero_shot_baseline_serves_every_row_of_its_method():
    results = [
        cell("zero_shot", 0),
        cell("zero_shot", 0, method="channel"),
        cell("knn", 4),
        cell("knn", 8, method="channel"),
    ]
    board = leaderboard(results, compare_to="zero_shot", resamples=100)
    baselines = {(r.selector, r.method): r.comparison.baseline for r in board.rows if r.comparison}
    assert baselines[("knn", "direct")] == "zero_shot 0-shot as_selected direct"
    assert baselines[("knn", "channel")] == "zero_shot 0-shot as_selected channel"


def test_compare_to_takes_a_label_or_the_only_label_of_a_component():
    one = [cell("random(fixed=true)"), cell("knn")]
    board = leaderboard(one, compare_to="random", resamples=100)
    assert [r.selector for r in board.rows if r.is_baseline] == ["random(fixed=true)"]
    two = [*one, cell("random(fixed=false)")]
    with pytest.raises(
        ConfigError, match=r"several selectors; name one of: random\(fixed=true\), random\(fixed=f"
    ):
        leaderboard(two, compare_to="random")
    with pytest.raises(ConfigError, match=r"unknown selector 'randm'. Did you mean 'random'\?"):
        leaderboard([cell("random"), cell("knn")], compare_to="randm")


def baselines(board) -> dict[str, str]:
    """Row -> baseline of those that are compared."""
    return {row.setting: row.comparison.baseline for row in board.rows if row.comparison}


def test_an_orderer_as_the_baseline_is_paired_within_selector_shots_and_method():
    orders = ("as_selected", "mdl")
    results = [cell(s, n, orderer=o) for s in ("knn", "bm25") for n in (4, 8) for o in orders]
    results.append(cell("zero_shot", 0))
    board = leaderboard(results, compare_to={"orderer": "as_selected"}, resamples=100)
    assert baselines(board) == {
        **{
            f"{s} {n}-shot mdl direct": f"{s} {n}-shot as_selected direct"
            for s in ("knn", "bm25")
            for n in (4, 8)
        },
        "zero_shot 0-shot as_selected direct": "knn 4-shot as_selected direct",
        "majority_class 0-shot - -": "knn 4-shot as_selected direct",
    }
    assert sum(row.is_baseline for row in board.rows) == 4
    assert "vs orderer as_selected" in board.to_markdown().replace("\\", "")
    (said,) = [line for line in board.footer if " compared with: " in line]
    assert said.endswith("compared with: knn 4-shot as_selected direct.")
    assert {name.strip() for name in said.split(" compared")[0].split(",")} == {"zero_shot", "majority_class"}
    assert board == leaderboard(results, compare_to="orderer=as_selected", resamples=100)


def test_a_method_as_the_baseline_serves_zero_shot_rows_too():
    results = [
        cell(s, n, method=m) for s, n in (("zero_shot", 0), ("knn", 4)) for m in ("direct", "contextual")
    ]
    board = leaderboard(results, compare_to={"method": "direct"}, resamples=100)
    assert baselines(board) == {
        "zero_shot 0-shot as_selected contextual": "zero_shot 0-shot as_selected direct",
        "knn 4-shot as_selected contextual": "knn 4-shot as_selected direct",
        "majority_class 0-shot - -": "zero_shot 0-shot as_selected direct",
    }
    gone = [
        r if r.cell.shots == 0 or r.cell.method != "direct" else replace(r, complete=False) for r in results
    ]
    left = leaderboard(gone, compare_to={"method": "direct"}, resamples=100)
    assert "knn 4-shot as_selected contextual" not in baselines(left)  # zero-shot is no stand-in for it


def test_a_method_as_the_baseline_where_all_rows_are_zero_shot():
    names = ("few_shot(max_tokens=32, show=answer)", "few_shot(max_tokens=128)", "zero_shot")
    results = [cell("zero_shot", 0, method=m) for m in names]
    board = leaderboard(
        results, compare_to={"method": "few_shot(show=answer)"}, resamples=100, majority=False
    )
    assert set(baselines(board).values()) == {f"zero_shot 0-shot as_selected {names[0]}"}
    assert len(baselines(board)) == 2
    assert "compared with" not in " ".join(board.footer)
    assert "vs baseline" in board.to_markdown()
    with pytest.raises(ConfigError) as error:
        leaderboard(results, compare_to={"method": "few_shot"})
    assert str(error.value) == (
        f"compare_to: 'few_shot' stands for several methods; name one of: {names[0]}, {names[1]}"
    )


def test_shots_as_the_baseline():
    board = leaderboard(board_cells(), compare_to={"shots": 4}, resamples=100, majority=False)
    assert baselines(board)["knn 8-shot as_selected direct"] == "knn 4-shot as_selected direct"
