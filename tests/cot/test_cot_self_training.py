"""Training rows out of chains: what is kept, what is hinted at, what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icl.cot.self_training import training_rows, write_jsonl
from icl.cot.shared.chain import rationale_of
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.prompts import PromptRenderer
from icl.protocols import Resources
from icl.types import Demonstration, Example, Template


@pytest.mark.parametrize(
    ("text", "rationale"),
    [
        (" 2 + 3 = 5. The answer is 5.", "2 + 3 = 5."),
        (" 2 + 3 = 5.\nSo the answer is 5.", "2 + 3 = 5."),
        (" The answer is 5.", ""),
        (" It is 5. Nothing more", "It is 5. Nothing more"),
        (" The answer is near. 2 + 3 = 5. The answer is 5.", "The answer is near. 2 + 3 = 5."),
    ],
)
def test_rationale_of(text: str, rationale: str) -> None:
    assert rationale_of(text) == rationale


def script(prompt: str, sample: int) -> str:
    """p0 is right at once, p1 only with the hint, p2 never, p3 in one of three samples."""
    asked = prompt.rsplit("Q: ", 1)[1]
    if asked.startswith("one and one"):
        return f" 1 + 1 = 2, way {sample}. The answer is 2."
    if asked.startswith("two and two and two"):
        return " 3 * 2 = 6. The answer is 6." if "(The answer is 6.)" in asked else " The answer is 4."
    if asked.startswith("a longer"):
        return " Sum. The answer is 15." if sample == 2 else " Sum. The answer is 14."
    return " The answer is 99."


def test_star(world: Any) -> None:
    resources = world.resources(script)
    rows = training_rows("few_shot", world.pool[:3], resources, rationalise=True)
    assert [(row.id, row.source) for row in rows] == [("p0", "sampled"), ("p1", "rationalised")]
    assert rows[1].prompt == "Q: two and two and two\nA:"
    assert rows[1].completion == " 3 * 2 = 6. The answer is 6."
    plain = training_rows("few_shot", world.pool[:3], resources)
    assert [row.id for row in plain] == ["p0"]


def test_demonstrations_are_hinted_at_in_the_same_form(world: Any) -> None:
    """The second round alone, and the question's own copy is not among them."""
    shown = [Demonstration(example) for example in world.pool[:3]]
    rows = training_rows(
        "few_shot", world.pool[1:2], world.resources(script), demonstrations=shown, rationalise=True
    )
    assert "(The answer" not in world.prompts[0]
    assert world.prompts[1] == (
        "Q: one and one (The answer is 2.)\nA: 1 + 1 = 2. The answer is 2.\n\n"
        "Q: three less one (The answer is 2.)\nA: 3 - 1 = 2. The answer is 2.\n\n"
        "Q: two and two and two (The answer is 6.)\nA:"
    )
    assert [row.completion for row in rows] == [" 3 * 2 = 6. The answer is 6."]


def test_demonstrations_of_the_methods_own_are_hinted_at_too(world: Any, tmp_path: Path) -> None:
    own = {"question": "one and two", "rationale": "1 + 2 = 3.", "answer": "3"}
    copy = {"question": "two and two and two", "rationale": "It is 6.", "answer": "6"}
    (tmp_path / "own.jsonl").write_text(f"{json.dumps(own)}\n{json.dumps(copy)}\n")
    method = {"few_shot": {"prompts": str(tmp_path / "own.jsonl")}}
    training_rows(method, world.pool[1:2], world.resources(script), rationalise=True)
    assert world.prompts[1] == (
        "Q: one and two (The answer is 3.)\nA: 1 + 2 = 3. The answer is 3.\n\n"
        "Q: two and two and two (The answer is 6.)\nA:"
    ), "and the question's copy is still seen to be one"


def choosing(world_with: Any, reply: Any) -> tuple[Any, list[str]]:
    """One question with choices whose answer is B, and what was asked."""
    wording = "Q: {{ q }}{% for k, v in choices.items() %} ({{ k }}) {{ v }}{% endfor %}\nA:"
    task = replace(world_with("multiple_choice").task, template=Template(wording))
    example = Example("c0", {"q": "which?"}, "B", {"A": "a bag", "B": "a basket"})
    asked: list[str] = []

    def answer(prompt: str, sample: int) -> str:
        asked.append(prompt)
        return str(reply(prompt))

    model = FakeModel(reply_with=answer)
    renderer = PromptRenderer(task=task, tokenizer=model.tokenizer, context_length=model.context_length)
    resources = Resources(task, model=model, renderer=renderer)
    method = {"few_shot": {"show": "bare"}}
    return training_rows(method, [example], resources, rationalise=True), asked


def test_the_right_choice_is_marked(world_with: Any) -> None:
    def reply(prompt: str) -> str:
        return " It holds things. The answer is a basket." if "(CORRECT)" in prompt else " The answer is A."

    rows, asked = choosing(world_with, reply)
    assert asked[1] == "Q: which? (A) a bag (B) a basket (CORRECT)\nA:"
    assert [(row.prompt, row.answer, row.source) for row in rows] == [
        ("Q: which? (A) a bag (B) a basket\nA:", "B", "rationalised")
    ]


@pytest.mark.parametrize(
    ("chain", "kept"),
    [
        (" 3 * 2 = 6. The answer is 6.", True),
        (" It says (The answer is 6.) so it is. The answer is 6.", False),
        (" (the answer is  6) The answer is 6.", False),
        (" The answer is 6. That is 3 * 2. The answer is 6.", False),
        (" The answer is 60 less 54. The answer is 6.", True),
        (" The answer is 6.", False),
        (" Let's think step by step. The answer is 6.", False),
        (" ... The answer is 6.", False),
    ],
)
def test_copied_hints_and_empty_rationales_are_left_out_and_counted(
    world: Any, chain: str, kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def reply(prompt: str, sample: int) -> str:
        return chain if prompt.endswith("(The answer is 6.)\nA:") else " The answer is 4."

    with caplog.at_level("WARNING", "icl"):
        rows = training_rows("few_shot", world.pool[1:2], world.resources(reply), rationalise=True)
    assert bool(rows) is kept
    assert ("right chains that were left out: 1 " in caplog.text) is not kept


@pytest.mark.parametrize("text", [" B is marked (Correct). It is B.", " It is CORRECT. So it is B."])
def test_a_copied_mark(world_with: Any, text: str) -> None:
    said = f"{text} The answer is B."
    rows, _ = choosing(world_with, lambda prompt: said if "(CORRECT)" in prompt else " The answer is A.")
    assert rows == []


def test_high_agreement_does_not_look_at_targets(world: Any) -> None:
    resources = world.resources(script)
    rows = training_rows(
        "few_shot", world.pool, resources, keep="agreement", n=3, temperature=0.7, agreement=0.6
    )
    assert [(row.id, row.answer, round(row.agreement, 2)) for row in rows] == [
        *[("p0", "2", 1.0)] * 3,
        ("p3", "14", 0.67),
    ]
    assert len({row.completion for row in rows[:3]}) == 3


def test_a_demonstration_is_never_asked_about_itself(world: Any) -> None:
    resources = world.resources(script)
    shown = [Demonstration(example) for example in world.pool[:2]]
    training_rows("few_shot", world.pool[:2], resources, demonstrations=shown)
    assert [prompt.count("Q: ") for prompt in world.prompts] == [2, 2]


def test_written_as_jsonl(world: Any, tmp_path: Path) -> None:
    rows = training_rows("few_shot", world.pool[:1], world.resources(script))
    write_jsonl(rows, tmp_path / "rows.jsonl")
    (line,) = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "id": "p0",
        "prompt": "Q: one and one\nA:",
        "completion": " 1 + 1 = 2, way 0. The answer is 2.",
        "answer": "2",
        "source": "sampled",
        "agreement": 1.0,
    }


def test_refusals(world: Any) -> None:
    resources = world.resources(script)
    with pytest.raises(ConfigError, match="method is 'direct', which writes no chains"):
        training_rows("direct", world.pool, resources)
    with pytest.raises(ValueError, match="temperature is 0 and n is 4"):
        training_rows("few_shot", world.pool, resources, n=4)
    with pytest.raises(ValueError, match="rationalise"):
        training_rows("few_shot", world.pool, resources, keep="agreement", rationalise=True)
