"""Training rows out of chains: what is kept, what is hinted at, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icl.cot.self_training import training_rows, write_jsonl
from icl.cot.shared.chain import rationale_of
from icl.errors import ConfigError
from icl.types import Demonstration


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
