"""Files of annotations: kinds known by their columns, and what is wrong in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from icl.errors import ConfigError, DataError
from icl.feedback import read_feedback

from .rows import rated, read, vote


def pairs(feedback) -> list[tuple[str, str, float]]:
    return [(c.first, c.second, c.score) for c in feedback.comparisons()]


def test_a_pair_is_known_by_its_winner_and_sides_do_not_matter(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [vote("q", "ann", "a"), vote("q", "bob", "b", a="y", b="x"), vote("q", "cat", "tie")],
    )
    assert found.kind == "pairwise"
    assert [(s.unit, s.value) for s in found.said] == [("x / y", "first")] * 2 + [("x / y", "tie")]
    assert pairs(found) == [("x", "y", 1.0), ("x", "y", 1.0), ("x", "y", 0.5)]


def test_the_best_of_n_is_n_minus_one_pairs(tmp_path: Path) -> None:
    found = read(tmp_path, [{"item": "q", "annotator": "ann", "candidates": ["x", "y", "z"], "best": "y"}])
    assert found.kind == "best"
    assert pairs(found) == [("y", "x", 1.0), ("y", "z", 1.0)]
    assert [(s.unit, s.value) for s in found.said] == [("", "y")]


def test_a_ranking_is_all_pairs_with_ties(tmp_path: Path) -> None:
    found = read(tmp_path, [{"item": "q", "annotator": "ann", "ranking": ["z", ["y", "x"]]}])
    assert found.kind == "ranking"
    assert pairs(found) == [("z", "y", 1.0), ("z", "x", 1.0), ("y", "x", 0.5)]
    assert {s.unit: s.value for s in found.said} == {"x / y": "tie", "x / z": "second", "y / z": "second"}


def test_csv_says_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('item,annotator,candidates,ranking\nq,ann,x|y|z,z > y = x\nr,ann,,"[""y"", ""x""]"\n')
    found = read_feedback(str(path))
    assert [row.tiers for row in found.rows] == [(("z",), ("y", "x")), (("y",), ("x",))]


def test_parquet_has_numbers_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {
        "item": [7, 7],
        "annotator": ["ann", "bob"],
        "candidates": [["x", "y"]] * 2,
        "best": ["x", "y"],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    found = read_feedback(str(path))
    assert found.items == ("7",)
    assert [one.value for one in found.said] == ["x", "y"]


def test_white_space_is_part_of_texts_and_not_of_names(tmp_path: Path) -> None:
    found = read(tmp_path, [{**vote("q", "ann", "a", a=" x "), "text_a": " two words", "text_b": ""}])
    assert found.rows[0].tiers == (("x",), ("y",))
    assert found.rows[0].texts == {"x": " two words", "y": ""}


def test_candidates_that_one_annotator_rated_are_compared_within_a_quality(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            rated("q", "ann", 3, candidate="x", quality="helpful"),
            rated("q", "ann", 5, candidate="y", quality="helpful"),
            rated("q", "ann", 5, candidate="x", quality="harmless"),
            rated("q", "bob", 1, candidate="z", quality="helpful"),
        ],
    )
    assert found.kind == "scale"
    assert pairs(found) == [("x", "y", 0.0)]
    assert found.questions == ("helpful", "harmless")


def test_each_rule_is_a_question_and_only_rules_that_were_asked_are_kept(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            {"item": "q", "annotator": "ann", "violated": ["rude"]},
            {"item": "q", "annotator": "bob", "violated": [], "rules": ["long"]},
            {"item": "r", "annotator": "ann", "violated": ["long"]},
        ],
    )
    assert found.kind == "rules"
    assert [(s.question, s.annotator, s.item, s.value) for s in found.said] == [
        ("rude", "ann", "q", "yes"),
        ("long", "ann", "q", "no"),
        ("long", "bob", "q", "no"),
        ("rude", "ann", "r", "no"),
        ("long", "ann", "r", "yes"),
    ]


def test_items_are_named_by_prompts_or_are_rows(tmp_path: Path) -> None:
    row = {"annotator": "ann", "a": "x", "b": "y", "winner": "a"}
    by_prompt = read(tmp_path, [{**row, "prompt": "Why?"}, {**row, "prompt": "How?"}])
    assert by_prompt.items == ("Why?", "How?")
    assert by_prompt.named_items
    by_row = read(tmp_path, [row, row])
    assert by_row.items == ("row 1", "row 2")
    assert not by_row.named_items


def test_columns_of_ones_own_are_said_and_not_read(tmp_path: Path) -> None:
    found = read(tmp_path, [{**vote("q", "ann", "a"), "seconds": 12}])
    assert found.notes == ("columns that are not read: seconds",)


BEST = {"item": "q", "annotator": "ann", "candidates": ["x", "y"], "best": "x"}
RANKED = {"item": "q", "annotator": "ann", "candidates": ["small", "large"], "ranking": ["small", "large"]}
RULED = {"item": "q", "annotator": "ann", "violated": ["polite"], "rules": ["polite", "short"]}
LACKING = {"item": "q", "annotator": "ann", "a": "x", "winner": "a"}


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([LACKING], "rows.jsonl:1: b is missing; a row of kind pairwise has a and b and winner"),
        (
            [vote("q", "ann", "a"), {**vote("r", "ann", "a"), "b": None}],
            "rows.jsonl:2: b is missing; a row of kind pairwise has a and b and winner",
        ),
        ([vote("q", "ann", "left")], "rows.jsonl:1: winner is 'left'; allowed: a, b, tie"),
        ([vote("q", "ann", "a", b="x")], "rows.jsonl:1: a and b are both 'x'"),
        (
            [vote("q", "ann", "a"), vote("q", "ann", "b")],
            "rows.jsonl:2: annotator 'ann' says twice what 'x / y'",
        ),
        ([{**BEST, "best": "z"}], "rows.jsonl:1: best: unknown candidate 'z'."),
        (
            [{**BEST, "best": ["x", "y"]}],
            "rows.jsonl:1: best is ['x', 'y']; allowed: one candidate; ties are",
        ),
        ([{**BEST, "candidates": "x"}], "rows.jsonl:1: candidates is ['x']; allowed: two or more"),
        (
            [{**RANKED, "ranking": ["small", "larg"]}],
            "rows.jsonl:1: ranking: unknown candidate 'larg'. Did you mean 'large'? Allowed: large, small",
        ),
        ([{**RANKED, "ranking": ["small"]}], "rows.jsonl:1: ranking leaves out 'large' of 2 candidates"),
        ([{**RANKED, "ranking": ["small", "small"]}], "rows.jsonl:1: ranking names 'small' twice"),
        (
            [{**RANKED, "ranking": ["small", []]}],
            "rows.jsonl:1: ranking is ['small', []]; allowed: no empty place",
        ),
        ([{**RANKED, "texts": ["one"]}], "rows.jsonl:1: texts has 1 entries, and 2 are candidates"),
        (
            [rated("q", "ann", 3), {**rated("r", "ann", 3), "value": "good"}],
            "rows.jsonl:2: value is 'good'; allowed",
        ),
        ([{**rated("q", "ann", 3), "value": "inf"}], "rows.jsonl:1: value is 'inf'; allowed: a number"),
        (
            [{**RULED, "violated": ["polit"]}],
            "rows.jsonl:1: violated: unknown rule 'polit'. Did you mean 'polite'?",
        ),
        ([RULED, {**RULED, "item": "r", "violated": None}], "rows.jsonl:2: violated is missing"),
        (
            [vote("q", "ann", "a"), {**vote("r", "x", "a"), "annotator": None}],
            "rows.jsonl:2: annotator is missing",
        ),
        (
            [{"item": "q", "a": "x", "b": "y", "winer": "a"}],
            "rows.jsonl: no column says what kind of annotations",
        ),
        (
            [{**vote("q", "ann", "a"), "value": 1}],
            "columns of several kinds: winner (pairwise), value (scale); say",
        ),
        (
            [{**vote("q", "ann", "a"), "promt": "?", "prompt": None}],
            "unknown column 'promt'. Did you mean 'prompt'?",
        ),
        (
            [vote("q", "ann", "a"), {**vote("q", "bob", "a"), "text_a": "else"}],
            "rows.jsonl:2: the text of 'x' of item 'q' is 'else'; in ",
        ),
    ],
)
def test_what_is_wrong_is_said_with_line_key_and_value(tmp_path: Path, rows, error: str) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, rows)
    assert error in str(raised.value)


def test_a_kind_can_be_said_and_is_held_to_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**vote("q", "ann", "a"), "value": 1}), encoding="utf-8")
    assert read_feedback(str(path), "scale").said[0].value == 1.0
    with pytest.raises(
        DataError, match=r"rows.jsonl:1: ranking is missing; a row of kind ranking has ranking"
    ):
        read_feedback(str(path), "ranking")
    with pytest.raises(ConfigError, match=r"--kind: unknown kind 'pairs'\. Did you mean 'pairwise'"):
        read_feedback(str(path), "pairs")


def test_an_empty_file_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(ConfigError, match=r"rows.jsonl: no such file"):
        read_feedback(str(path))
    path.write_text("\n")
    with pytest.raises(DataError, match=r"rows.jsonl is empty: it holds no rows"):
        read_feedback(str(path))


def test_ties_can_be_dropped_and_refused(tmp_path: Path) -> None:
    found = read(tmp_path, [vote("q", "ann", "a"), vote("r", "ann", "tie")])
    assert [c.score for c in found.comparisons("drop")] == [1.0]
    with pytest.raises(
        DataError, match=r"rows.jsonl:2: 'x' and 'y' are tied, and --ties refuse allows no ties"
    ):
        found.comparisons("refuse")
