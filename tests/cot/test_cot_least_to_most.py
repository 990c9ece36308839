"""Least-to-most: the list of questions, and each answered after those before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icl.cot.least_to_most import LeastToMost
from icl.cot.shared.chain import Decoding, drive
from icl.cot.shared.questions import own_question
from icl.errors import ConfigError, DataError
from icl.types import Query

STEPS = [{"question": "Half of 8?", "answer": "4."}, {"question": "One more?", "answer": "4 + 1 = 5."}]
ROW = {"question": "Half of 8 and one more?", "steps": STEPS, "answer": "5"}


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "ltm.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    return str(path)


def script(prompt: str, sample: int) -> str:
    if prompt.endswith("\n1."):
        return " How many are left?\n2. And then?\n\nQ: more"
    if prompt.endswith("Answer 1:"):
        return " 10 - 3 = 7.\nQuestion 2: whatever"
    if prompt.endswith("Answer 2:"):
        return " Nothing.\n\nx"
    return f" 7 + {sample} = {7 + sample}. The answer is {7 + sample}.\nQ: x"


def test_decompose_then_solve_in_sequence(world: Any, prompts: str) -> None:
    outcome = world.ask(LeastToMost(prompts=prompts), script)
    lists = "Q: Half of 8 and one more?\nA: To answer this, first answer:\n1. Half of 8?\n2. One more?\n\n"
    solved = (
        "Q: Half of 8 and one more?\nA: Question 1: Half of 8?\nAnswer 1: 4.\n"
        "Question 2: One more?\nAnswer 2: 4 + 1 = 5.\n"
        "Question 3: Half of 8 and one more?\nAnswer 3: The answer is 5.\n\n"
    )
    query = "Q: ten less three\nA:"
    first = f"{solved}{query} Question 1: How many are left?\nAnswer 1:"
    assert world.prompts == [
        f"{lists}{query} To answer this, first answer:\n1.",
        first,
        f"{first} 10 - 3 = 7.\nQuestion 2: And then?\nAnswer 2:",
        f"{first} 10 - 3 = 7.\nQuestion 2: And then?\nAnswer 2: Nothing.\n"
        "Question 3: ten less three\nAnswer 3:",
    ]
    assert isinstance(world.model.requests[1].prompt, tuple)
    assert outcome.answer == "7"
    assert outcome.details["questions"] == ["How many are left?", "And then?", "ten less three"]
    assert outcome.details["own_question"] == "appended"
    assert outcome.output == (
        "Question 1: How many are left?\nAnswer 1: 10 - 3 = 7.\n"
        "Question 2: And then?\nAnswer 2: Nothing.\n"
        "Question 3: ten less three\nAnswer 3: 7 + 0 = 7. The answer is 7."
    )


def test_many_chains_share_the_list(world: Any, prompts: str) -> None:
    resources = world.resources(script)
    method = LeastToMost(prompts=prompts).fit((), resources)
    query = Query("q", {"q": "x"})
    chains = drive(method.chains(query, (), resources, Decoding(3, 0.7, 40)), world.model)
    assert [chain.answer for chain in chains] == ["7", "8", "9"]
    assert [(r.n, r.first_sample) for r in world.model.requests] == [(1, 0), (3, 0)] + 2 * [
        (1, 0),
        (1, 1),
        (1, 2),
    ]


@pytest.mark.parametrize(
    ("listed", "questions", "flags"),
    [
        ("", ["ten less three"], {"no_decomposition"}),
        (" a?\n2. b?\n3. c?\n4. d?", ["a?", "ten less three"], {"questions_cut"}),
        (" a?\n2. a?", ["a?", "ten less three"], set()),
        (" a?\n2. So: Ten less three.", ["a?", "So: Ten less three."], set()),
        (" Ten less three?\n2. a?", ["a?", "ten less three"], set()),
        (" I'm not sure.\n2. a?", ["a?", "ten less three"], {"questions_refused"}),
        (" We cannot tell.", ["ten less three"], {"questions_refused", "no_decomposition"}),
        (" --", ["ten less three"], {"questions_refused", "no_decomposition"}),
    ],
)
def test_lists(world: Any, prompts: str, listed: str, questions: list[str], flags: set[str]) -> None:
    def reply(prompt: str, sample: int) -> str:
        return listed if prompt.endswith("\n1.") else " The answer is 7."

    outcome = world.ask(LeastToMost(prompts=prompts, max_questions=2), reply)
    assert outcome.details["questions"] == questions
    assert flags <= set(outcome.flags)
    assert outcome.answer == "7"


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Ann has 2.5 kg. How much has Mr. Bo? Give grams.", "How much has Mr. Bo? Give grams."),
        ("Some story? Yes.\nIs it so?", "Is it so?"),
        ("Is it so?\nHint: think.", "Is it so?"),
        ("Add two and two. Then stop.", "Add two and two. Then stop."),
        ("小明有两个。他还有几个？", "他还有几个？"),
    ],
)
def test_a_problems_own_question(text: str, own: str) -> None:
    assert own_question(Query("q", {"q": text})) == own


def test_a_demonstration_that_asks_its_own_question_is_left_as_it_is(world: Any, tmp_path: Path) -> None:
    row = {**ROW, "question": "One day there are 8. What is half of 8, and one more?"}
    row["steps"] = [STEPS[0], {"question": "What is half of 8, and one more?", "answer": "4 + 1 = 5."}]
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    world.ask(LeastToMost(prompts=str(tmp_path / "own.jsonl")), script)
    assert "Answer 2: 4 + 1 = 5. The answer is 5.\n\nQ: ten" in world.prompts[1]


def test_a_list_cut_by_the_limit_loses_its_last_question(world: Any, prompts: str) -> None:
    outcome = world.ask(LeastToMost(prompts=prompts, decomposition_tokens=25), script)
    assert outcome.details["questions"] == ["How many are left?", "ten less three"]
    assert "decomposition_cut_by_length" in outcome.flags


@pytest.mark.parametrize("kind", ["numeric", "string", "boolean", "multiple_choice"])
def test_demonstrations_of_the_package(world_with: Any, kind: Any) -> None:
    world = world_with(kind, ("True", "False") if kind == "boolean" else ())
    outcome = world.ask(LeastToMost(), lambda p, i: " The answer is 7.")
    assert "Answer 1:" in world.prompts[1]
    assert world.prompts[0].count("first answer:") >= 3
    assert outcome.prompt.demonstrations == ()


def test_bad_demonstrations(world: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({**ROW, "steps": []}) + "\n")
    with pytest.raises(DataError, match=r"bad.jsonl:1: steps is \[\]"):
        LeastToMost(prompts=str(path)).fit((), world.resources())


def test_no_demonstrations_for_a_kind(world_with: Any) -> None:
    world = world_with("classification", ("a", "b"))
    with pytest.raises(ConfigError, match="no demonstrations for tasks of kind classification"):
        LeastToMost().fit((), world.resources())
