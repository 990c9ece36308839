"""The verifier: what it learns from, and what it then trusts."""

from __future__ import annotations

from typing import Any

import pytest

from icl.cot.shared.chain import Chain
from icl.cot.shared.scorer import equations_held, results, step_labels, steps_of
from icl.cot.verifier import Verifier
from icl.errors import ConfigError
from icl.types import Example, Prompt


def chain(text: str) -> Chain:
    return Chain(Prompt(""), text, text, "1")


def test_steps_and_results() -> None:
    assert steps_of("a b.\n\nc") == ["a b.", "c"]
    assert steps_of("It is 4. So 5.") == ["It is 4.", "So 5."]
    assert results("3 + 4 = 7, and 2 * 1,000 = 2,000.0") == {7.0, 2000.0}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("3 + 4 = 7.", 1.0),
        ("3 + 4 = 8. 2 * 3 = 6", 0.5),
        ("none", 0.5),
        ("4 / 0 = 0", 0.0),
        ("9 - 12 = -3", 1.0),
    ],
)
def test_equations_held(text: str, share: float) -> None:
    assert equations_held(text) == share


def test_a_step_is_right_while_its_results_occur_in_a_right_chain() -> None:
    right = [chain("1 + 1 = 2\n2 + 3 = 5")]
    assert step_labels(chain("1 + 1 = 2\nthen\n2 + 2 = 4\nand"), right) == [True, True, False, False]
    assert step_labels(chain("1 + 1 = 2"), []) == [False]


POOL = tuple(Example(f"p{n}", {"q": f"question {n}"}, "5", rationale="2 + 3 = 5.") for n in range(12))


def script(prompt: str, sample: int) -> str:
    """Careful chains reach 5; hasty ones, which are more, reach 9."""
    if sample % 3 == 0:
        return " carefully we add\n2 + 3 = 5\nThe answer is 5."
    return " hasty guess\n2 + 3 = 9\nThe answer is 9."


def test_a_trained_verifier_outvotes_the_majority(world: Any) -> None:
    world.pool = POOL
    method = Verifier(of={"few_shot": {}}, n=6, questions=8, samples=3, shots=2)
    outcome = world.ask(method, script, shots=0)
    # right chains have 3 right steps each; of the 16 others the first step computes nothing wrong
    asked = [r for r in world.model.requests if r.n == 3]
    assert len(asked) == 8
    assert outcome.details["training"] == {"chains": 24, "right": 8, "steps": 72, "right_steps": 40}
    scores = outcome.details["scores"]
    assert min(scores[0], scores[3]) > 0.7
    assert max(scores[1], scores[2], scores[4], scores[5]) < 0.3
    assert outcome.answer == "5", "two of six chains, but the trusted ones"
    assert outcome.details["votes"]["5"] == pytest.approx(scores[0] + scores[3])


def test_nothing_to_learn_is_flagged_and_every_chain_counts_one(world: Any) -> None:
    world.pool = POOL
    outcome = world.ask(
        Verifier(n=3, questions=4, samples=2, shots=2), lambda p, i: " The answer is 9.", shots=0
    )
    assert outcome.details["scores"] == [1.0, 1.0, 1.0]
    assert "untrained_verifier" in outcome.flags
    assert outcome.answer == "9"


def test_a_training_question_is_not_among_its_own_demonstrations(world: Any) -> None:
    world.pool = POOL
    world.ask(Verifier(n=1, questions=6, samples=2, shots=3), script, shots=0)
    for prompt in world.prompts[:6]:
        *shown, asked = prompt.split("\n\n")
        assert len(shown) == 3
        assert asked.removesuffix("\nA:") not in "".join(shown)


def test_needs(world: Any) -> None:
    assert Verifier().needs == {"renderer", "model", "encoder"}
    from dataclasses import replace

    with pytest.raises(ConfigError, match="encoder is missing"):
        Verifier().fit(POOL, replace(world.resources(script), encoder=None))
