"""How rows are called: long labels shortened where there is no room, and said in full below."""

from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from icl.leaderboard import leaderboard, overall
from icl.leaderboard.footer import NAMED
from icl.leaderboard.names import Names

from .cells import cell

LONG = "lora(learning_rate=[0.0001, 0.001], steps=16)"
OTHER = "lora(layers=attention, learning_rate=[0.0001, 0.001], steps=16)"


def tuned(tuning: str, seed: int = 0, hits: float = 0.6):
    made = cell("zero_shot", 0, seed, hits)
    return replace(made, cell=replace(made.cell, tuning=tuning))


def board(**options):
    cells = [f(seed) for seed in (0, 1) for f in (lambda s: tuned(LONG, s, 0.9), lambda s: tuned(OTHER, s))]
    cells += [cell("knn", 8, seed, method="contextual(texts=10)") for seed in (0, 1)]
    return leaderboard(cells, resamples=50, **options)


def printed(table, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as taken:
        console.print(table.to_rich(width))
    return [line.rstrip() for line in taken.get().splitlines()]


def test_a_row_is_called_by_what_tells_it_from_the_others():
    rows = [
        cell("mmr(lambda=0.5, start=1)", 4, method="direct"),
        cell("mmr(lambda=0.7, start=1)", 4, method="direct"),
        cell("bm25(b=0.4)", 4, method="pmi(null_text=x)"),
        cell("zero_shot", 0, method="direct"),
        cell("zero_shot", 0, method="pmi(null_text=x)"),
        cell("majority_class", 0, method="-", orderer="-"),
    ]
    names = Names(one.cell for one in rows)
    assert [names.of(one.cell) for one in rows] == [
        "mmr(lambda=0.5) direct",
        "mmr(lambda=0.7) direct",
        "bm25 pmi",
        "zero_shot direct",
        "zero_shot pmi",
        "majority_class",
    ]
    assert names.legend == [
        "mmr(lambda=0.5): mmr(lambda=0.5, start=1)",
        "mmr(lambda=0.7): mmr(lambda=0.7, start=1)",
        "bm25: bm25(b=0.4)",
        "pmi: pmi(null_text=x)",
    ]


def test_rows_without_demonstrations_are_told_apart_by_their_method():
    cells = [cell("zero_shot", 0, s, p, method=m) for s in (0, 1) for m, p in (("direct", 0.9), ("pmi", 0.8))]
    (line,) = [one for one in leaderboard(cells, resamples=50).footer if one.startswith("Best")]
    assert line.startswith(
        "Best: zero_shot direct. Not distinguishable from it: zero_shot pmi, majority_class ("
    )


def test_models_of_one_section_are_named():
    cells = [cell("knn", 4, seed) for seed in (0, 1)]
    cells += [replace(one, cell=replace(one.cell, model="other(dtype=bfloat16)")) for one in cells]
    apart = "\n".join(leaderboard(cells, resamples=50, majority=False, group=["task"]).footer)
    assert "Best: tiny knn. Not distinguishable from it: other knn (" in apart
    assert "Best" not in "\n".join(leaderboard(cells, resamples=50, majority=False).footer)


def test_long_labels_are_shortened_where_there_is_no_room_and_said_in_full_below():
    found = board()
    wide = printed(found, 400)
    assert any(LONG in line for line in wide)
    assert not any("Names in full" in line for line in wide)
    narrow = printed(found, 80)
    (first, second) = [line.split() for line in narrow if line.startswith("zero_shot ")][:2]
    assert {first[2], second[2]} == {"lora", "lora(layers=attention)"}
    said = " ".join(" ".join(narrow).split())
    assert f"Names in full: contextual: contextual(texts=10); lora: {LONG}; " in said
    assert f"lora(layers=attention): {OTHER}." in said
    assert max(map(len, narrow)) <= 80
    for text in (found.to_markdown().replace("\\", ""), found.to_csv(), found.to_latex().replace("\\_", "_")):
        assert LONG in text


def test_what_is_elided_below_is_found_in_the_csv():
    cells = [cell(f"s{i}", 4, 0, 0.6) for i in range(NAMED + 3)]
    board = leaderboard(cells, resamples=50, majority=False)
    (line,) = [one for one in board.footer if one.startswith("Best")]
    assert "and 2 more (rank_group in the CSV)" in line
    assert sum(row.leads for row in board.rows) == NAMED + 3


def test_of_two_columns_with_one_head_the_one_left_out_is_named():
    cells = [cell(name, 4, seed) for seed in (0, 1) for name in ("random", "knn")]
    lines = printed(leaderboard(cells, compare_to="random", resamples=50), 60)
    assert "95 % CI of vs random" in " ".join(" ".join(lines).split())


def test_overall_and_crosswise_tables_are_shortened_too():
    cells = [
        cell(name, 4, seed, hits, method="contextual(texts=10)")
        for seed in (0, 1)
        for name, hits in (("mmr(lambda=0.5)", 0.8), ("random(per_query=false)", 0.5))
    ]
    one = overall(cells)
    assert any(line.startswith(" mmr(lambda=0.5) 4-shot as_selected") for line in printed(one, 120))
    narrow = printed(one, 60)
    assert [line.split()[0] for line in narrow[3:5]] == ["mmr", "random"]
    said = " ".join(" ".join(narrow).split())
    assert "Names in full: mmr: mmr(lambda=0.5); random: random(per_query=false)." in said
    assert "mmr(lambda=0.5) 4-shot" in one.to_markdown()
    crosswise = leaderboard(cells, resamples=50, majority=False).pivot(["selector"])
    assert "Names in full" not in " ".join(printed(crosswise, 80))
    assert "random: random(per_query=false)" in " ".join(printed(crosswise, 30)).replace("  ", "")
    assert "random(per\\_query=false)" in crosswise.to_markdown()


def test_a_crosswise_table_that_is_too_wide_goes_on_below():
    tasks = [f"a_long_name_{i}" for i in range(6)]
    cells = [cell(name, 4, 0, 0.7, task=task) for task in tasks for name in ("knn", "random")]
    crosswise = leaderboard(cells, resamples=50, majority=False).pivot(["selector"])
    lines = printed(crosswise, 60)
    heads = [line.split() for line in lines if line.startswith(" selector")]
    assert len(heads) > 1
    assert [head for words in heads for head in words[1:]] == tasks
    shown = [line.split()[1:] for line in lines if line.startswith(" knn")]
    whole = next(line.split()[1:] for line in printed(crosswise, 200) if line.startswith(" knn"))
    assert [number for block in shown for number in block] == whole
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("width", [20, 28, 36, 50])
def test_no_digit_is_lost_however_narrow_the_terminal_is(width):
    """Down each column: what folds goes on in the line below, and what is cropped would be missing."""
    found = board(view="variance")
    console = Console(width=width, force_terminal=False, color_system=None)
    table = found.to_rich(width)
    with console.capture() as taken:
        console.print(table)
    digits = Counter(c for c in taken.get().split("seed, query, rest:")[0] if c.isdigit())
    told = Counter()
    for column, own in zip(table.columns, (list(column.cells) for column in table.columns), strict=True):
        told.update(c for cell_ in [column.header, *own] for c in str(cell_) if c.isdigit())
    told.update(c for c in found.title + found.footer[0] if c.isdigit())
    assert digits == told
