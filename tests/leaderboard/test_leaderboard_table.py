"""Rows and the four notations on small results made by hand."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from icl.errors import DataError
from icl.leaderboard import leaderboard
from icl.printable import visible
from icl.types import Dropped

from .cells import board_cells, cell


def test_rows_are_sorted_and_compared_with_the_baseline_of_their_own_setting():
    board = leaderboard(board_cells(), compare_to="random", resamples=500)
    values = [row.value.value for row in board.rows if row.value]
    assert values == sorted(values, reverse=True)
    compared = {(row.selector, row.shots): row.comparison and row.comparison.baseline for row in board.rows}
    assert compared[("knn", 8)] == "random 8-shot as_selected direct"
    assert compared[("knn", 4)] == "random 4-shot as_selected direct"
    assert compared[("zero_shot", 0)] == "random 4-shot as_selected direct"
    assert compared[("majority_class", 0)] == "random 4-shot as_selected direct"
    assert compared[("random", 4)] is None
    knn = next(row for row in board.rows if row.selector == "knn")
    assert knn.comparison is not None
    assert knn.comparison.mark.strip("()") in ("**", "***")
    assert knn.comparison.p <= knn.comparison.p_holm < 0.01
    assert (knn.seeds, knn.queries, knn.predictions, knn.comparison.matched) == (3, 40, 120, 120)


def test_numbers_of_a_row_are_those_of_its_cells():
    results = board_cells()
    row = next(r for r in leaderboard(results, resamples=200).rows if (r.selector, r.shots) == ("knn", 8))
    mine = [r for r in results if r.cell.selector == "knn" and r.cell.shots == 8]
    right = [sum(p.correct for p in r.predictions) / 40 for r in mine]
    assert row.value is not None
    assert row.value.value == pytest.approx(sum(right) / 3)
    assert row.usage.tokens_flat == 3 * 40 * 100
    assert row.selection.tokens_flat == 3 * 1000
    assert row.sharing == 4.0
    assert row.tokens_per_query == 100.0
    assert row.seconds == pytest.approx(3 * (40 * 0.5 + 2.0))


def test_majority_row_is_added_once_and_only_where_labels_are_scored():
    board = leaderboard(board_cells(), resamples=100)
    (majority,) = [row for row in board.rows if row.selector == "majority_class"]
    assert majority.value is not None
    assert majority.value.value == 0.75
    assert majority.is_reference
    given = [*board_cells(), replace(cell("majority_class", 0), notes={"majority_label": "negative"})]
    assert len([r for r in leaderboard(given, resamples=100).rows if r.selector == "majority_class"]) == 1
    written = [
        replace(r, predictions=tuple(replace(p, label_scores={}) for p in r.predictions))
        for r in board_cells()
    ]
    assert "majority_class" not in {row.selector for row in leaderboard(written, resamples=100).rows}


def test_unequal_query_sets_are_matched_and_the_rest_is_reported():
    results = [cell("random", n=40), cell("knn", n=30), cell("bm25", ids="other")]
    board = leaderboard(results, compare_to="random", resamples=100, majority=False)
    rows = {row.selector: row for row in board.rows}
    assert rows["knn"].comparison is not None
    assert (rows["knn"].comparison.matched, rows["knn"].comparison.unmatched) == (30, 10)
    assert rows["bm25"].comparison is None
    assert (
        "No seed and query in common with the baseline (of another model: no prompt), not compared: bm25."
        in board.footer
    )
    assert not any("without a baseline of the same setting" in line for line in board.footer)
    assert any("30 pairs matched with the baseline, 10 without a partner" in line for line in board.footer)


def test_incomplete_cells_are_listed_and_never_averaged():
    results = board_cells()
    full = leaderboard(results, resamples=100, majority=False)
    results.append(cell("mmr(lambda=0.5)", 4, 0, 1.0))
    results.append(cell("mmr(lambda=0.5)", 4, 1, 0.0, n=7, complete=False))
    results.append(cell("knn", 16, 0, 1.0, n=3, complete=False))
    board = leaderboard(results, resamples=100, majority=False)
    mmr = next(r for r in board.rows if r.selector.startswith("mmr"))
    assert mmr.value is not None
    assert mmr.value.value == 1.0
    assert mmr.seeds == 1
    assert mmr.incomplete == ("seed 1: 7 predictions so far",)
    last = board.rows[-1]
    assert (last.selector, last.shots, last.value) == ("knn", 16, None)
    assert "incomplete" in board.to_markdown()
    assert sum("INCOMPLETE" in line for line in board.footer) == 2
    assert [r.value for r in full.rows if r.selector != "mmr"] == [
        r.value for r in board.rows if r.value and not r.selector.startswith("mmr")
    ]


def test_a_cell_of_two_runs_counts_once_unless_they_disagree():
    shared = cell("random")
    cheaper = replace(shared, selection_seconds=0.0)
    board = leaderboard([shared, cell("knn"), cheaper, cell("bm25")], resamples=100, majority=False)
    assert [r.seeds for r in board.rows] == [1, 1, 1]
    half = replace(shared, predictions=shared.predictions[:5], complete=False)
    rows = leaderboard([half, shared], resamples=100, majority=False).rows
    assert (rows[0].predictions, rows[0].incomplete) == (40, ())
    other = replace(shared, predictions=shared.predictions[1:])
    with pytest.raises(DataError, match="twice with different predictions"):
        leaderboard([shared, other])
    first, *rest = shared.predictions
    judged = replace(shared, predictions=(replace(first, correct=not first.correct), *rest))
    with pytest.raises(DataError, match="twice with different predictions"):
        leaderboard([shared, judged])
    damaged = replace(judged, complete=False, damage="its lines are others")
    for both in ([shared, damaged], [damaged, shared]):
        (row,) = leaderboard(both, resamples=100, majority=False).rows
        assert (row.predictions, row.incomplete) == (40, ())


def test_no_results_is_said():
    with pytest.raises(DataError, match="no results"):
        leaderboard([])


def test_flags_and_drops_are_shown_and_summed_up():
    results = board_cells()
    first = results[0].predictions[0]
    flagged = replace(first, answer=None, flags=("unparsed", "run_on"), dropped=(Dropped("e1", "too long"),))
    results[0] = replace(
        results[0],
        predictions=(flagged, *results[0].predictions[1:]),
        notes={"queries_with_fewer_demonstrations": 2, "overlap_kept_out_of_pool": 5},
    )
    board = leaderboard(results, resamples=100)
    text = " ".join(board.footer)
    assert "Flagged of 720 predictions: 2 fewer demonstrations, 1 run on, 1 unparsed." in text
    assert "context window: 1." in text
    assert "pools of sst2 (all seeds): 5." in text
    assert "| unparsed |" in board.to_markdown()


def test_those_that_abstain_and_tokens_of_thinking_are_counted_apart():
    written = cell("zero_shot", 0, method="few_shot")
    said = [replace(p, output="a text", label_scores={}) for p in written.predictions]
    said[0] = replace(said[0], answer=None, flags=("no_trigger", "abstained"), details={"thinking_tokens": 7})
    said[1] = replace(said[1], answer=None, flags=("unparsed",), details={"thinking_tokens": 5})
    said[2] = replace(said[2], flags=("abstained",))  # a vote, of which one chain abstained
    board = leaderboard([replace(written, predictions=tuple(said))], resamples=100, majority=False)
    shown = {c.key: c.show(board.rows[0]) for c in board.columns}
    assert (shown["extraction"], shown["abstained"], shown["thinking"]) == ("1/0/0", "1", "12")
    assert [c.header for c in board.columns].count("abstained") == 1
    text = " ".join(board.footer)
    assert "unparsed 1, abstained (says that it does not know) 1, cut by" in text
    assert "Tokens of thinking in the outputs that were read: 12" in text
    (row,) = csv.DictReader(io.StringIO(board.to_csv()))
    assert (row["unparsed"], row["abstained"], row["thinking_tokens"]) == ("1", "1", "12")


def test_what_was_read_from_text_is_counted_in_a_column_and_the_footer():
    scored, written = cell("zero_shot", 0), cell("zero_shot", 0, method="few_shot")
    said = [replace(p, output="a text", label_scores={}) for p in written.predictions]
    both = ("first_last_disagree", "first_trigger_disagree", "tied_vote")
    said[0] = replace(said[0], answer=None, flags=("unparsed", "chains_cut_by_length"))
    said[1:3] = [replace(p, flags=both) for p in said[1:3]]
    board = leaderboard([scored, replace(written, predictions=tuple(said))], resamples=100, majority=False)
    shown = {
        row.method: next(c for c in board.columns if c.key == "extraction").show(row) for row in board.rows
    }
    assert shown == {"direct": "–", "few_shot": "1/1/2"}
    assert (
        "Answers read from text: 40; unparsed 1, cut by the token limit 1, first, last and trigger reading "
        "differ 2, tied votes 2." in board.footer
    )
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(board.to_csv()))}
    counts = [
        rows["few_shot"][k] for k in ("read_from_text", "unparsed", "cut", "readings_differ", "tied_votes")
    ]
    assert counts == ["40", "1", "1", "2", "2"]
    assert "extraction" not in [c.key for c in leaderboard([scored], resamples=100, majority=False).columns]


def test_constant_columns_go_to_the_title_and_varying_ones_to_the_table():
    board = leaderboard(board_cells(), resamples=100)
    assert (
        board.title == "model tiny · task sst2 · orderer as_selected · method direct · 3 seeds x 40 queries"
    )
    keys = [column.key for column in board.columns]
    assert keys[:2] == ["selector", "shots"]
    assert not {"model", "task", "orderer", "method", "n"} & set(keys)
    two = leaderboard([*board_cells(), cell("knn", task="trec")], resamples=100)
    assert "task" in [column.key for column in two.columns]
    assert [r.task for r in two.rows] == sorted(r.task for r in two.rows)


def printed(board, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(board.to_rich(width))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_terminal_table_fits_and_says_what_it_left_out(width):
    board = leaderboard(board_cells(), compare_to="random", resamples=100)
    lines = printed(board, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "knn" in text
    assert "(base)" in text
    assert ("Not shown" in text) == (width < 160)
    body = [line for line in lines if line.startswith(("knn", "random", "zero_shot"))]
    assert len(body) >= 5  # no row is folded onto a second line at these widths


def test_at_100_columns_costs_stand_beside_accuracy_and_interval():
    results = [*board_cells(), cell("mmr(lambda=0.5)", 8)]
    lines = printed(leaderboard(results, compare_to="random", resamples=100), 100)
    head = next(line for line in lines if "selector" in line)
    for column in ("accuracy", "95 % CI", "random", "(Holm)", "tokens", " s"):
        assert column in head
    assert head.count("95 % CI") == 2


def test_names_cannot_break_any_notation():
    hostile = "x|y_[bold]&%$#{}~^\\<b>`*"
    board = leaderboard([cell(hostile), cell("random")], compare_to="random", resamples=100)
    assert hostile in " ".join(printed(board, 200))
    (line,) = [one for one in board.to_markdown().splitlines() if one.startswith("| x")]
    head = board.to_markdown().splitlines()[2]
    assert line.replace("\\|", "").count("|") == head.count("|")
    assert "\\[bold\\]" in line
    assert "\\<b\\>" in line
    latex = board.to_latex()
    assert r"x|y\_[bold]\&\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}b" in latex
    assert hostile in {row["selector"] for row in csv.DictReader(io.StringIO(board.to_csv()))}


def test_csv_holds_full_precision_and_every_row():
    board = leaderboard(board_cells(), compare_to="random", resamples=300)
    rows = list(csv.DictReader(io.StringIO(board.to_csv())))
    assert len(rows) == len(board.rows)
    for line, row in zip(rows, board.rows, strict=True):
        assert row.value is not None
        assert float(line["value"]) == row.value.value
        assert float(line["low"]) == row.value.low
        assert line["p_holm"] == (str(row.comparison.p_holm) if row.comparison else "")
        assert line["p_seeds"] == (str(row.comparison.p_seeds) if row.comparison else "")
        assert int(line["tokens_flat"]) == row.usage.tokens_flat


def test_json_reads_back_equal_to_the_csv():
    results = [*board_cells(), cell("x\u202ey", complete=False)]
    board = leaderboard(results, compare_to="random", resamples=100)
    whole = json.loads(board.to_json())
    assert "\u202e" not in board.to_json()
    assert (whole["metric"], whole["compare_to"], whole["notes"]) == ("accuracy", "random", board.footer)
    lines = csv.DictReader(io.StringIO(board.to_csv()))
    for line, row in zip(lines, whole["rows"], strict=True):
        row["selector"] = visible(row["selector"])
        assert line == {name: "" if value is None else str(value) for name, value in row.items()}


def test_latex_rows_have_as_many_cells_as_the_head():
    lines = leaderboard(board_cells(), compare_to="random", resamples=100).to_latex().splitlines()
    start, end = lines.index(r"\toprule"), lines.index(r"\bottomrule")
    counts = {line.replace(r"\&", "").count("&") for line in lines[start:end] if line.endswith(r"\\")}
    assert len(counts) == 1


def test_footer_names_test_baseline_correction_and_precision():
    board = leaderboard(board_cells(), compare_to="random", resamples=700, precision="float32")
    text = " ".join(board.footer)
    for said in ("700 resamples", "Baseline random", "sign-flip permutation", "Holm over 4 rows", "float32"):
        assert said in text
    single = leaderboard([cell("random"), cell("knn")], compare_to="random", resamples=100, majority=False)
    assert "McNemar, exact" in " ".join(single.footer)
    assert any("nothing about other seeds" in line for line in single.footer)


def test_a_mark_in_brackets_where_nothing_is_shown_for_new_seeds():
    # One seed loses, one wins by far: on these seeds the queries agree, over seeds nobody knows.
    results = []
    for seed, hits in enumerate((1.0, 0.55)):
        results += [cell("random", 4, seed, 0.5, n=100), cell("knn", 4, seed, hits, n=100)]
    board = leaderboard(results, compare_to="random", resamples=1000, majority=False)
    comparison = next(r.comparison for r in board.rows if r.comparison)
    assert comparison.p_holm < 0.05
    assert comparison.p_seeds > 0.05
    assert 0.0 in comparison.difference
    assert comparison.mark.startswith("(*")
    assert any(line.startswith("(*)") for line in board.footer)


def test_one_seed_never_has_a_bare_star():
    results = [cell("random", 4, 0, 0.1, n=100), cell("knn", 4, 0, 0.95, n=100)]
    board = leaderboard(results, compare_to="random", resamples=500, majority=False)
    comparison = next(r.comparison for r in board.rows if r.comparison)
    assert 0.0 not in comparison.difference
    assert comparison.mark == "(***)"


def test_five_seeds_that_agree_have_a_bare_star():
    results = []
    for seed in range(5):
        results += [cell("random", 4, seed, 0.4, n=100), cell("knn", 4, seed, 0.8, n=100)]
    board = leaderboard(results, compare_to="random", resamples=2000, majority=False)
    assert next(r.comparison for r in board.rows if r.comparison).mark == "***"


def test_reproducible_and_independent_of_the_other_rows():
    results = board_cells()
    board = leaderboard(results, compare_to="random", resamples=300)
    assert board == leaderboard(results, compare_to="random", resamples=300)
    fewer = leaderboard([r for r in results if r.cell.shots != 8], compare_to="random", resamples=300)
    by_setting = {row.setting: row for row in board.rows}
    for row in fewer.rows:
        assert row.value == by_setting[row.setting].value
        if row.comparison:
            other = by_setting[row.setting].comparison
            assert other is not None
            assert row.comparison.p == other.p


def test_macro_f1_and_each_tasks_own_metric():
    board = leaderboard(board_cells(), metric="macro_f1", compare_to="random", resamples=200)
    majority = next(r for r in board.rows if r.selector == "majority_class")
    assert majority.value is not None
    # All "positive" where 3 of 4 are: F1 = 2 * 0.75 / 1.75 for positive and 0 for negative.
    assert majority.value.value == pytest.approx((2 * 0.75 / 1.75) / 2)
    assert board.metric == "macro_f1"
    assert leaderboard(board_cells(), metric=None, resamples=100).metric == "accuracy"


def test_resamples_are_said_of_tests_that_draw_them():
    """Two rows of 3 queries have 8 exchanges, which are all looked at."""
    few = [cell(name, 4, seed, n=3) for seed in (0, 1) for name in ("random", "knn")]
    (line,) = [x for x in leaderboard(few, compare_to="random", majority=False).footer if "Baseline" in x]
    assert "; sign-flip permutation, exact, two-sided" in line
    many = [cell(name, 4, s, p, n=40) for s in (0, 1) for name, p in (("random", 0.5), ("knn", 0.6))]
    (line,) = [x for x in leaderboard([*many], compare_to="random", majority=False).footer if "Baseline" in x]
    assert "; sign-flip permutation (10,000 resamples), two-sided" in line
