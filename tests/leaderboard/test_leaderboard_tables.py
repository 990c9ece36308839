"""Tables arranged: rows that fit, other orders and sections, crosswise; what is said where nothing fits."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

from icl.errors import ConfigError, DataError
from icl.leaderboard import leaderboard

from .cells import board_cells, cell


def two_tasks():
    return [*board_cells(), *(cell("knn", 4, seed, 0.5, task="trec") for seed in range(3))] + [
        cell("random", 4, seed, 0.5, task="trec") for seed in range(3)
    ]


def made(**asked):
    return leaderboard(two_tasks(), compare_to="random", resamples=100, **asked)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("selector=knn", {("knn", 4), ("knn", 8)}),
        ("selector=knn|zero_shot", {("knn", 4), ("knn", 8), ("zero_shot", 0)}),
        ("selector!=random,task=sst2,reference=0", {("knn", 4), ("knn", 8)}),
        ("shots>4", {("knn", 8), ("random", 8), ("zero_shot", 0), ("majority_class", 0)}),
        ("shots<=4, reference=0", {("knn", 4), ("random", 4)}),
        ("value>0.85", {("knn", 4), ("knn", 8)}),
        ("accuracy>0.85", {("knn", 4), ("knn", 8)}),
    ],
)
def test_rows_that_fit_keep_the_numbers_of_the_whole_table(condition, kept):
    board = made(where=[condition])
    assert {(row.selector, row.shots) for row in board.rows} == kept
    whole = {row.cell: row for row in made().rows}
    assert all(row == whole[row.cell] for row in board.rows)
    assert any(line.startswith(f"Shown: {len(board.rows)} of {len(whole)} rows") for line in board.footer)


def test_a_component_fits_by_its_name_and_by_some_of_its_parameters():
    results = [cell("mmr(lambda=0.5, k=2)"), cell("mmr(lambda=0.9, k=2)"), cell("knn")]
    names = [
        {row.selector for row in leaderboard(results, where=[f"selector={value}"], majority=False).rows}
        for value in ("mmr", "mmr(lambda=0.5)")
    ]
    assert [len(found) for found in names] == [2, 1]


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"where": ["selector=knx"]}, DataError, "where: no row has selector=knx; selector: "),
        ({"where": ["shots=4,shots=8,reference=0"]}, DataError, "where: no row has shots=8; shots: 4"),
        ({"where": ["selectr=knn"]}, ConfigError, "Did you mean 'selector'?"),
        ({"where": ["knn"]}, ConfigError, "'knn' is no condition; write FIELD=VALUE"),
        ({"where": [""]}, ConfigError, "'' is no condition"),
        ({"where": ["shots=many"]}, ConfigError, "shots is a number, 'many' is none"),
        ({"where": ["selector>a"]}, ConfigError, "selector is compared by = or !=, not by >"),
        ({"where": ["training_steps>1"]}, DataError, "where: no row has a number for training_steps"),
        ({"sort": "acuracy"}, ConfigError, "sort: "),
        ({"sort": "-training_steps"}, DataError, "sort: no row has a number for training_steps"),
        ({"group": ["shot"]}, ConfigError, "Did you mean 'shots'?"),
        ({"group": ["task,task"]}, ConfigError, "group: task is given twice"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(asked, error, said):
    with pytest.raises(error, match=re.escape(said)) as caught:
        made(**asked)
    assert "\n" not in str(caught.value)


def test_one_text_is_as_good_as_a_list_of_one():
    board = made(where="selector=knn,task=sst2", group="task,selector")
    assert board.rows == made(where=["selector=knn", "task=sst2"], group=["task", "selector"]).rows
    assert board.sections == ("task", "selector")
    assert board.pivot("shots").to_csv() == board.pivot(["shots"]).to_csv()


def test_sorted_within_sections_by_any_field():
    board = made(sort="tokens_per_query", where=["task=sst2"])
    costs = [row.tokens_per_query for row in board.rows]
    assert costs[-1] is None
    assert costs[:-1] == sorted(costs[:-1])
    high = [row.shots for row in made(sort="-shots").rows if row.task == "sst2"]
    assert high == sorted(high, reverse=True)
    by_metric = made(sort="accuracy", where=["task=sst2"])
    assert [row.cell for row in by_metric.rows] == [
        row.cell for row in made(sort="value", where=["task=sst2"]).rows
    ]


def test_sections_are_what_rows_are_ranked_in():
    board = made(group=["task", "shots"], where=["reference=0"])
    sections = [board.section(row) for row in board.rows]
    assert list(dict.fromkeys(sections)) == [("sst2", "4"), ("sst2", "8"), ("trec", "4")]
    assert sections == sorted(sections)
    best = {board.section(row) for row in board.rows if row.leads}
    assert best == set(sections)
    assert {row.standing.of for row in board.rows} == {2}
    assert board.to_latex().count(r"\midrule") == 3


def test_crosswise_one_value_a_cell_and_the_best_of_each_column():
    board = made(group=["task"], where=["shots=4", "reference=0"])
    table = board.pivot(["selector"])
    assert table.columns == [("sst2",), ("trec",)]
    assert set(table.rows) == {("knn",), ("random",)}
    lines = list(csv.reader(io.StringIO(table.to_csv())))
    assert lines[0] == ["selector", "sst2", "trec"]
    by_cell = {(row.selector, row.task): row for row in board.rows}
    for name, *values in lines[1:]:
        assert [float(v) for v in values] == [by_cell[name, t].value.value for t in ("sst2", "trec")]
    for cell_ in json.loads(table.to_json())["cells"]:
        row = by_cell[cell_["row"][0], cell_["col"][0]]
        assert (cell_["value"], cell_["p_best"]) == (row.value.value, row.standing.p)
    shown = f"{100 * by_cell['knn', 'sst2'].value.value:.1f}"
    markdown, latex = table.to_markdown(), table.to_latex()
    assert f"**{shown}° \\*\\*\\***" in markdown or f"**{shown}°" in markdown
    assert rf"\textbf{{{shown}}}" in latex
    heads = {line.count("&") for line in latex.splitlines() if line.endswith(r"\\")}
    assert heads == {2}
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(table.to_rich(80))
    assert f"{shown}°" in console.file.getvalue()


def test_crosswise_over_shots_stands_by_size_and_leaves_gaps():
    results = [cell("knn", shots, seed, 0.6) for shots in (16, 4, 8) for seed in range(2)]
    results += [cell("random", 4, seed, 0.6) for seed in range(2)]
    table = leaderboard(results, resamples=100, majority=False, group=["shots"]).pivot(["selector"])
    assert table.columns == [("4",), ("8",), ("16",)]
    assert table.rows == [("knn",), ("random",)]
    assert list(csv.reader(io.StringIO(table.to_csv())))[2][2:] == ["", ""]


def test_several_rows_in_one_cell_are_refused_with_what_to_write():
    table = made(group=["task"]).pivot(["selector"])
    with pytest.raises(DataError, match="give rows selector,shots, or keep one value: where shots="):
        table.to_markdown()
    assert made(group=["task"]).pivot(["selector,shots"]).to_csv().startswith("selector,shots,sst2,trec")


def test_a_crosswise_table_keeps_the_caveats():
    results = [*two_tasks(), cell("bm25", 4, 0, complete=False)]
    board = leaderboard(results, compare_to="random", resamples=100, precision="bfloat16", where=["shots=4"])
    crosswise = board.pivot(["selector"])
    assert "Precision: bfloat16." in crosswise.footer
    assert [line for line in board.footer if line.startswith("! INCOMPLETE")] == [crosswise.footer[-1]]
    assert "bm25 4-shot as_selected direct: seed 0: 40 predictions so far" in crosswise.footer[-1]
    assert [line for line in board.footer if " compared with: random" in line] != []
    assert set(crosswise.footer) >= {line for line in board.footer if " compared with: random" in line}
    assert any(line.startswith("Shown: ") for line in crosswise.footer)


@pytest.mark.parametrize("first", ["[x]", "*x"])
def test_what_latex_would_read_as_an_argument_of_the_line_before(first):
    """Behind a line end that has no argument of its own, a bracket or a star on the next line is one."""
    board = leaderboard([cell(first), cell("knn")], resamples=50, majority=False)
    for text in (board.to_latex(), board.pivot(["selector"]).to_latex()):
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if f"{first} &" in line)
        assert lines[at].startswith("{}" + first)
        assert not any(line.startswith(("[", "*")) for line in lines)
