"""icl feedback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Said

Icl = Callable[..., Said]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(rows: list[dict[str, object]], name: str = "votes.jsonl") -> Path:
    path = Path(name)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def votes(said: dict[str, str]) -> list[dict[str, object]]:
    """Annotator -> a letter an item."""
    row = {"a": "x", "b": "y", "text_a": "yes", "text_b": "no"}
    return [
        {"item": f"q{at}", "annotator": who, "prompt": f"{at}?", "winner": letter, **row}
        for who, letters in said.items()
        for at, letter in enumerate(letters)
        if letter != "."
    ]


VOTES = votes({"ann": "aaabbabb", "bob": "aaabbaaa"})


def cells(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_agreement_and_strengths(icl: Icl) -> None:
    said = icl("feedback", "-q", written(VOTES), "--samples", "100")
    assert said.code == 0
    lines = cells(said.out)
    assert lines[0][:4] == ["of", "items", "units", "same %"]
    assert lines[1][:4] == ["all", "8", "8", "75.0"]
    assert lines[3][:5] == ["all", "ann", "bob", "8", "75.0"]
    assert lines[3][6] == "0.500"  # (6/8 - 1/2) / (1 - 1/2)
    assert [line[:4] for line in lines[5:]] == [["x", "10", "0", "6"], ["y", "6", "0", "10"]]
    assert lines[5][4] == "+0.26"  # ln(10 / 6) / 2
    assert said.err == "pairwise: 16 annotations of 8 items by 2 annotators\n"


def test_json_has_everything_and_the_seed_decides(icl: Icl) -> None:
    file = written(VOTES)
    first, again, other = (
        json.loads(icl("feedback", "-q", file, "--json", "--samples", "100", "--seed", seed).out)
        for seed in "001"
    )
    assert first == again
    assert first != other
    assert first["agreement"][0]["annotators"][0]["kappa"]["value"] == pytest.approx(0.5)
    assert first["strengths"][0]["candidates"][0]["candidate"] == "x"
    assert first["screening"] is None


def test_a_reference_screens_and_what_was_left_out_is_said(icl: Icl) -> None:
    gold = written(votes({"gold": "aaab"}), "gold.jsonl")
    file = written([*VOTES, *votes({"cat": "bbba...."})])
    said = icl("feedback", "-q", file, "--reference", gold, "--samples", "100")
    assert said.code == 0
    assert [line[:2] + line[4:5] for line in cells(said.out)[1:4]] == [
        ["ann", "4", "yes"],
        ["bob", "4", "yes"],
        ["cat", "4", "no"],
    ]
    assert (
        "left out: 4 items of gold.jsonl, on which annotators were chosen, and all of cat (below 0.75)"
        in said.err
    )


def test_pairs_are_written(icl: Icl) -> None:
    said = icl("feedback", "-q", written(VOTES), "--pairs", "out/pairs.jsonl", "--samples", "100", "--chat")
    rows = [json.loads(line) for line in Path("out/pairs.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert rows[0] == {
        "prompt": [{"role": "user", "content": "0?"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
    assert "out/pairs.jsonl: 6 pairs\nundecided, left out: 2\n" in said.err


def test_scales_have_means_and_rules_have_shares(icl: Icl) -> None:
    rated = [
        {"item": f"q{at}", "annotator": who, "quality": "kind", "candidate": "x", "value": value}
        for who, values in (("ann", (1, 2, 3)), ("bob", (1, 2, 5)))
        for at, value in enumerate(values)
    ]
    lines = cells(icl("feedback", "-q", written(rated), "--samples", "100").out)
    assert lines[-1][:5] == ["kind", "x", "3", "6", "2.333"]
    assert len(lines[0]) == 11  # alpha of three levels
    ruled = [
        {"item": f"q{at}", "annotator": who, "violated": ["\x1b[31mrude"] if at == 0 else []}
        for who in ("ann", "bob")
        for at in range(4)
    ]
    said = icl("feedback", "-q", written(ruled), "--samples", "100")
    assert cells(said.out)[-1][:5] == ["\\x1b[31mrude", "–", "4", "8", "25.0"]
    assert "\x1b" not in said.out


@pytest.mark.parametrize(
    ("rows", "arguments", "error"),
    [
        (
            votes({"ann": "aa..", "bob": "..aa"}),
            [],
            "votes.jsonl: no two of 2 annotators have an item in common: 'ann' has 2 (the first is 'q0')",
        ),
        (
            [
                {**VOTES[0], "annotator": who, "b": b, "text_b": None}
                for who, b in (("ann", "y"), ("bob", "z"))
            ],
            [],
            "no two of 2 annotators said something of the same candidates, or to the same question, of the",
        ),
        ([{"item": "q", "a": "x", "winner": "a"}], [], "votes.jsonl:1: b is missing; a row of kind pairwise"),
        ([*VOTES, *votes({"cat": ["tie"]})], ["--ties", "refuse"], "votes.jsonl:17: 'x' and 'y' are tied"),
        (VOTES, ["--ties", "halve"], "--ties: unknown value 'halve'. Did you mean 'half'?"),
        (VOTES, ["--least", "75"], "--least: 75; allowed: 0 to 1"),
        (VOTES, ["--prior", "-1"], "--prior: -1; allowed: 0 or more"),
        (VOTES, ["--prior", "nan"], "--prior: nan; allowed: 0 or more"),
        (VOTES, ["--kind", "pairwize"], "--kind: unknown kind 'pairwize'. Did you mean 'pairwise'?"),
        (VOTES, ["--quality", "kind"], "--quality kind: no row has a quality, which is for scales"),
        (
            VOTES,
            ["--pairs", "./votes.jsonl"],
            "--pairs: votes.jsonl is the file that is read; name another one",
        ),
        (VOTES, ["--reference", "gold.csv"], "gold.csv: no such file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(
    rows: list[dict[str, object]], arguments: list[str], error: str, icl: Icl
) -> None:
    said = icl("feedback", "-q", written(rows), "--pairs", "pairs.jsonl", *arguments)
    assert said.code == 2
    assert error in said.err
    assert said.err.count("\n") == 1
    assert not Path("pairs.jsonl").exists()


def test_messages_need_a_file_to_be_written_to(icl: Icl) -> None:
    said = icl("feedback", "-q", written(VOTES), "--chat")
    assert (said.code, said.out) == (2, "")
    assert said.err == "icl: error: --chat: says how --pairs FILE is written; no file is named\n"


def test_annotators_without_a_common_item_can_be_left_at_that(icl: Icl) -> None:
    said = icl(
        "feedback", written(votes({"ann": "ab..", "bob": "..ab"})), "--no-agreement", "--samples", "100"
    )
    assert said.code == 0
    assert cells(said.out)[0][0] == "candidate"


def test_rows_that_name_no_item_are_items_of_their_own(icl: Icl) -> None:
    rows = [
        {"annotator": who, "a": "x", "b": "y", "winner": winner} for who, winner in (("1", "a"), ("2", "b"))
    ]
    said = icl("feedback", "-q", written(rows), "--samples", "100")
    assert said.code == 0
    assert "no row names its item or prompt: 2 annotators have none in common" in said.err
    assert [line[0] for line in cells(said.out)] == ["candidate", "x", "y"]
