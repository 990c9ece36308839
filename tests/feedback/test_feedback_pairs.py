"""Preference pairs: who is chosen, what is left out, and that datasets and trl's format read them."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from icl.errors import DataError
from icl.feedback.pairs import preferences

from .rows import rated, read, vote


def made(feedback):
    return preferences(feedback, feedback.comparisons())


def test_most_annotators_decide_and_a_draw_is_left_out(tmp_path: Path) -> None:
    rows = [vote("q", "ann", "a"), vote("q", "bob", "b", a="y", b="x"), vote("q", "cat", "b")]
    rows += [vote("r", "ann", "a"), vote("r", "bob", "b"), vote("s", "ann", "tie"), vote("s", "bob", "b")]
    found = made(read(tmp_path, rows))
    assert found.rows == (("q?", "x on q", "y on q"), ("s?", "y on s", "x on s"))
    assert found.undecided == 1


def test_a_ranking_and_a_best_of_n_give_their_pairs(tmp_path: Path) -> None:
    row = {"item": "q", "prompt": "Why?", "candidates": ["x", "y", "z"], "texts": ["X", "Y", "Z"]}
    ranking = made(read(tmp_path, [{**row, "ranking": ["z", "x", "y"]}]))
    assert set(ranking.rows) == {("Why?", "Z", "X"), ("Why?", "Z", "Y"), ("Why?", "X", "Y")}
    best = made(read(tmp_path, [{**row, "best": "y"}]))
    assert set(best.rows) == {("Why?", "Y", "X"), ("Why?", "Y", "Z")}


def test_two_equal_texts_are_no_pair(tmp_path: Path) -> None:
    found = made(read(tmp_path, [{**vote("q", "ann", "a"), "text_b": "x on q"}]))
    assert (found.rows, found.alike) == ((), 1)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (
            [{**vote("q", "ann", "a"), "prompt": None}],
            "rows.jsonl:1: prompt is missing, which --pairs writes",
        ),
        ([{**vote("q", "ann", "a"), "text_b": None}], "rows.jsonl:1: the text of candidate 'y' is missing"),
        ([{"item": "q", "violated": ["rude"]}], "--pairs: nothing is compared in annotations of kind rules"),
        (
            [
                rated("q", "ann", value, candidate=name, quality=quality, text=name, prompt="?")
                for quality in ("kind", "true")
                for name, value in (("x", 1), ("y", 2))
            ],
            "--pairs: 2 qualities (kind, true), which may prefer unlike answers; say one with --quality",
        ),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, rows, error: str) -> None:
    with pytest.raises(DataError) as raised:
        made(read(tmp_path, rows))
    assert error in str(raised.value)


@pytest.mark.parametrize("chat", [False, True])
def test_datasets_reads_the_columns_of_the_preference_format(tmp_path: Path, chat: bool) -> None:
    rows = [vote("q", "ann", "a"), {**vote("r", "ann", "b"), "text_b": 'two\nlines, "quoted" \u4f60'}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f"{line}\n" for line in made(read(tmp_path, rows)).lines(chat)), encoding="utf-8")
    found = datasets.load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert sorted(found.column_names) == ["chosen", "prompt", "rejected"]
    expected = {"prompt": "r?", "chosen": 'two\nlines, "quoted" \u4f60', "rejected": "x on r"}
    if chat:
        roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
        expected = {key: [{"role": roles[key], "content": text}] for key, text in expected.items()}
    assert found[1] == expected
