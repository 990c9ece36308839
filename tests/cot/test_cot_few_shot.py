"""Few-shot chain of thought: what is shown, what is read, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icl.cot.few_shot import FewShot
from icl.errors import ConfigError, DataError
from icl.protocols import methods
from icl.types import Query


def test_rationales_are_shown_and_the_answer_after_the_trigger_counts(world: Any) -> None:
    outcome = world.ask(FewShot(), lambda prompt, i: " 10 - 3 = 7. The answer is 7. I said 9 before")
    assert outcome.prompt.text == (
        "Q: one and one\nA: 1 + 1 = 2. The answer is 2.\n\n"
        "Q: two and two and two\nA: 2 + 2 = 4.\n4 + 2 = 6. The answer is 6.\n\nQ: ten less three\nA:"
    )
    assert outcome.answer == "7"
    assert outcome.details["readings"] == {"first": "7", "last": "9", "trigger": "7"}
    assert set(outcome.flags) == {"first_last_disagree", "last_trigger_disagree"}
    (request,) = world.model.requests
    assert (request.n, request.temperature, request.max_tokens, request.stop) == (1, 0.0, 256, ("\nQ:",))


def test_a_blank_line_ends_nothing_and_the_next_question_does(world: Any) -> None:
    outcome = world.ask(FewShot(), lambda p, i: " 10 - 3\n\n= 7. The answer is 7.\n\nQ: next?\nA: 8")
    assert (outcome.answer, outcome.output) == ("7", " 10 - 3\n\n= 7. The answer is 7.\n")
    assert outcome.details["chains"][0]["steps"] == 2


def test_what_went_wrong_is_flagged(world: Any) -> None:
    cut = world.ask(FewShot(max_tokens=9), lambda p, i: " 10 - 3 = 7. The answer is 7.")
    assert cut.answer == "3"
    assert {"cut_by_length", "no_trigger"} <= set(cut.flags)
    nothing = world.ask(FewShot(), lambda p, i: " who knows")
    assert nothing.answer is None
    assert "unparsed" in nothing.flags
    other = world.ask(FewShot(), lambda p, i: " The answer is 7.\nQuestion: what is 1 + 1?\nAnswer: 2")
    assert other.answer == "7"
    assert "run_on" in other.flags


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


ROW = {"question": "4 and 4", "rationale": "4 + 4 = 8.", "answer": "8"}


def test_a_file_of_ones_own_replaces_the_selectors(world: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", ROW, {**ROW, "question": "Ten less three!"})
    outcome = world.ask(FewShot(prompts=path), lambda p, i: " The answer is 7.")
    assert outcome.prompt.text == "Q: 4 and 4\nA: 4 + 4 = 8. The answer is 8.\n\nQ: ten less three\nA:"
    assert outcome.prompt.demonstrations == ("mine/0",)
    assert [(d.id, d.reason) for d in outcome.prompt.dropped] == [
        ("mine/1", "the query itself, or a duplicate")
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "rationale": ""}, r"bad.jsonl:2: rationale is ''"),
        ({k: v for k, v in ROW.items() if k != "question"}, r"bad.jsonl:2: question is None"),
    ],
)
def test_a_bad_row_is_named(world: Any, tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "bad.jsonl", ROW, row)
    with pytest.raises(DataError, match=message):
        FewShot(prompts=path).fit(world.pool, world.resources())


def test_answers_are_those_of_the_task(world_with: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "bool.jsonl", {**ROW, "answer": "Yes"}, {**ROW, "question": "5?", "answer": "no"})
    world = world_with("boolean", ("True", "False"))
    outcome = world.ask(FewShot(prompts=path), lambda p, i: " The answer is False.")
    assert "The answer is True." in outcome.prompt.text
    assert "The answer is False." in outcome.prompt.text
    assert outcome.answer == "False"
    with pytest.raises(DataError, match="answer 'maybe' is none of True, False"):
        FewShot(prompts=write(tmp_path / "b.jsonl", {**ROW, "answer": "maybe"})).fit((), world.resources())


def published(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "prompts" / "cot_wei"
    folder.mkdir(parents=True)
    write(folder / "math.jsonl", ROW)
    write(folder / "coins.jsonl", {**ROW, "answer": "yes"})
    monkeypatch.setenv("ICL_DATA", str(root))


def test_published_demonstrations(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, monkeypatch)
    for manual in (True, "math"):
        outcome = world.ask(FewShot(manual=manual), lambda p, i: " The answer is 7.")
        assert outcome.prompt.demonstrations == ("math/0",)
    with pytest.raises(ConfigError, match=r"manual: unknown set.* 'meth'.*Did you mean 'math'"):
        FewShot(manual="meth").fit((), world.resources())


def test_no_published_demonstrations(
    world_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=r"no published demonstrations for task 'sums'.*coins, math"):
        FewShot(manual=True).fit((), world_with("string").resources())
    monkeypatch.delenv("ICL_DATA")
    with pytest.raises(DataError, match="ICL_DATA"):
        FewShot(manual=True).fit((), world_with("numeric").resources())


def test_pool_without_rationales(world: Any) -> None:
    bare = tuple(replace(example, rationale=None) for example in world.pool)
    with pytest.raises(ConfigError, match=r"4 of 4 pool examples have no rationale \(the first: 'p0'\)"):
        FewShot().fit(bare, world.resources())
    with pytest.raises(ConfigError, match="4 of 4"):
        FewShot(missing="drop").fit(bare, world.resources())
    world.pool = (bare[0], *world.pool[1:])
    with pytest.raises(ConfigError, match=r"1 of 4.*set missing: drop"):
        FewShot().fit(world.pool, world.resources())
    outcome = world.ask(FewShot(missing="drop"), lambda p, i: " The answer is 7.")
    assert outcome.prompt.demonstrations == ("p1",)
    assert [(d.id, d.reason) for d in outcome.prompt.dropped] == [("p0", "no rationale")]


def test_standard_prompting_with_the_same_demonstrations(world: Any) -> None:
    world.pool = tuple(replace(example, rationale=None) for example in world.pool)
    outcome = world.ask(FewShot(show="answer"), lambda p, i: " The answer is 7.")
    assert outcome.prompt.text == (
        "Q: one and one\nA: The answer is 2.\n\nQ: two and two and two\nA: The answer is 6.\n\n"
        "Q: ten less three\nA:"
    )
    assert outcome.answer == "7"
    outcome = world.ask(FewShot(show="bare"), lambda p, i: " 7, then 8")
    assert outcome.prompt.text == (
        "Q: one and one\nA: 2\n\nQ: two and two and two\nA: 6\n\nQ: ten less three\nA:"
    )
    assert outcome.answer == "7"


def test_a_selector_of_its_own(world: Any) -> None:
    query = Query("q", {"q": "three less one less one"})
    method = FewShot(selector={"bm25": {}}, shots=1)
    outcome = world.ask(method, lambda p, i: " The answer is 1.", query=query)
    assert outcome.prompt.demonstrations == ("p2",)
    assert FewShot(selector="knn").needs == {"renderer", "encoder"}
    assert FewShot().needs == {"renderer"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"manual": True, "prompts": "x.jsonl"}, "give one"),
        ({"selector": "knm"}, "selector: unknown selector 'knm'.*'knn'"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"missing": "skip"}, "allowed: refuse, drop"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        methods.create("few_shot", given)
