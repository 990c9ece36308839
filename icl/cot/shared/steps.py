"""Steps of a chain, and which of them are right: the labels that a step-aware verifier learns from.

Li et al. 2023 (DiVeRSe), as in the authors' code for GSM8K. Every step of a right chain is right. A
step of a wrong one is right if the results of the steps so far, each as often as it came, are among
those of some right chain of the question; without any result so far it is not. The annotated
rationale is one of the right chains, and the final answer is a step.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from icl.cot.shared.chain import Chain, rationale_of
from icl.cot.shared.shown import has_rationale
from icl.prompts.template import render_side
from icl.types import Example, Prompt, Task

_NUMBER = r"-?\$?\d[\d,]*(?:\.\d+)?"
_RESULT = re.compile(rf"=\s*({_NUMBER})")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chain."""

    text: str
    result: float | str | None
    """What its last equation comes to; of the step that gives it, the final answer."""


def value(text: str) -> float:
    """A number as chains write it: "$1,000.50". ValueError for anything else."""
    return float(text.replace(",", "").replace("$", ""))


def steps_of(text: str) -> list[str]:
    """The lines of a chain; of a chain of one line its sentences."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) != 1:
        return lines
    return [part for part in re.split(r"(?<=[.!?])\s+", lines[0]) if part]


def results(text: str) -> list[float]:
    """What the equations of a text come to, as written, in order."""
    return [value(hit[1]) for hit in _RESULT.finditer(text)]


def steps(chain: Chain) -> list[Step]:
    """The steps of its reasoning, and as the last one its answer, where one could be read."""
    if chain.answer is None:
        return [_step(text) for text in steps_of(chain.text)]
    reasoning = rationale_of(chain.text)
    closing = chain.text.strip()[len(reasoning) :].strip() or f"The answer is {chain.answer}."
    return [*(_step(text) for text in steps_of(reasoning)), Step(closing, _answer(chain.answer))]


def step_labels(chain: Chain, right_paths: Sequence[Chain]) -> list[bool]:
    """Whether each of `steps(chain)` is right, given all right chains of its question."""
    written = steps(chain)
    if chain in right_paths:
        return [True] * len(written)
    known = [_counted(steps(path)) for path in right_paths]
    so_far = [_counted(written[: at + 1]) for at in range(len(written))]
    return [bool(found) and any(found <= path for path in known) for found in so_far]


def gold_chain(example: Example, task: Task) -> Chain | None:
    """The annotated rationale and its answer, as a demonstration shows them; None where there is none."""
    if not has_rationale(example):
        return None
    text = render_side(task, "rationale", example).strip()
    return Chain(Prompt(""), text, text, example.target)


def _step(text: str) -> Step:
    found = results(text)
    return Step(text, found[-1] if found else None)


def _answer(answer: str) -> float | str:
    written = answer.strip().rstrip(".")
    return value(written) if re.fullmatch(_NUMBER, written) else written.casefold()


def _counted(some: Sequence[Step]) -> Counter[float | str]:
    return Counter(step.result for step in some if step.result is not None)
