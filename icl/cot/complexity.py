"""Demonstrations with many steps, and a vote among the chains with most steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from icl.components import check_choice, check_number
from icl.cot.shared.annotate import self_taught
from icl.cot.shared.chain import (
    RULES,
    STEP_UNITS,
    ChainDefaults,
    Chains,
    Decoding,
    Reading,
    StepUnit,
    count_steps,
)
from icl.cot.shared.manual import given_file, read_demonstrations
from icl.cot.shared.sampled import check_sampling, elect, elected
from icl.cot.shared.shown import OwnDemonstrations, Shown, Writing, has_rationale, write_chains
from icl.cot.shared.votes import longest
from icl.labels import renderer_of
from icl.prompts.answers.parse import Rules
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Query


@methods.register("complexity", paper="Fu et al. 2023, Complexity-Based Prompting for Multi-Step Reasoning")
class Complexity(ChainDefaults):
    """Shows the examples with most reasoning steps; the longest of many chains vote.

    `steps`: what a step is: "line" (the paper), "sentence" or "step_i" ("Step 1", "Step 2", ...), which
    its sensitivity study compares. Many sets of rationales, the published ones of commonsense and
    symbolic tasks among them, are of one line each: lines tell nothing apart there.
    The `shots` examples whose rationales have most steps are shown, the longest
    question first among equals; in a pool without rationales the longest questions, with zero-shot
    chains of the model that reach their answer. `prompts`: a JSONL file to choose from instead of
    the pool ($ICL_DATA is put in). Most steps stand last, next to the query.
    `n` chains are drawn at `temperature` with `top_k`; the `top` with most steps vote (paper 50 and
    30 to 40 at 0.7). n: 1 with temperature 0 is the greedy form.
    `max_tokens`: of a chain. `rules`: as for few_shot.

    Flags. demonstrations_not_by_steps: none of those shown has more steps than the best one left
    out, so the longest questions were taken. vote_not_by_steps: no voter has more steps than the
    best chain without a vote, so the first chains voted. fewer_demonstrations: the model could not
    write as many rationales as wanted. The experiment's selector has no say.
    """

    shows_selected = False
    needs = frozenset({"renderer", "model"})
    example_parameters: ClassVar[dict[str, Any]] = {"shots": 2, "n": 3, "top": 2, "max_tokens": 24}

    def __init__(
        self,
        *,
        shots: int = 8,
        steps: StepUnit = "line",
        prompts: str | None = None,
        n: int = 50,
        top: int = 40,
        temperature: float = 0.7,
        top_k: int = 40,
        max_tokens: int = 256,
        rules: Rules = "robust",
    ) -> None:
        check_number("shots", shots, low=1, whole=True)
        check_choice("steps", steps, STEP_UNITS)
        if prompts is not None and not isinstance(prompts, str):
            raise ValueError(f"prompts is {prompts!r}; allowed: the path of a JSONL file")
        check_sampling(n, temperature, top_k)
        check_number("top", top, low=1, whole=True)
        check_number("max_tokens", max_tokens, low=1, whole=True)
        check_choice("rules", rules, RULES)
        self.shots = shots
        self.steps = steps
        self.prompts = prompts
        self.n = n
        self.top = top
        self.temperature = temperature
        self.top_k = top_k
        self.max_tokens = max_tokens
        self.rules = rules

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Ranks the examples; has the model write rationales where none has one."""
        candidates: Sequence[Example] = pool
        if self.prompts is not None:
            candidates = read_demonstrations(given_file(self.prompts), resources.task)
        # Twice as many as shown, so that a query which is one of them is still shown enough.
        wanted = 2 * self.shots
        ranked = most_steps([e for e in candidates if has_rationale(e)], self.steps)
        counts = [count_steps(e.rationale or "", self.steps) for e in ranked]
        # In a pool without rationales the paper, too, takes the longest questions.
        self._told_apart = not ranked or decided_by(counts, range(min(self.shots, len(counts)))) > 0
        if not ranked:
            by_length = sorted(candidates, key=lambda e: -len(e.text.split()))
            ranked = self_taught(by_length, self.shots, resources, max_tokens=self.max_tokens)
        self._own = OwnDemonstrations(ranked[:wanted], resources.duplicate_threshold)
        return self

    def shown(self, query: Query, demonstrations: Sequence[Demonstration]) -> Shown:
        """The examples with most steps, instead of `demonstrations`."""
        kept = self._own.show(query).kept[: self.shots]
        return Shown(kept[::-1])

    def written(self, query: Query, shown: Shown, resources: Resources, decoding: Decoding) -> Chains:
        """Chains after a prompt that shows `shown`."""
        reading = Reading("trigger", self.rules)
        writing = Writing(
            self.max_tokens, renderer_of(resources).stops(chain=True), reading, wanted=self.shots
        )
        chains = yield from write_chains(query, shown, resources, decoding, writing)
        alike = () if self._told_apart else ("demonstrations_not_by_steps",)
        return [replace(chain, step_unit=self.steps, flags=(*chain.flags, *alike)) for chain in chains]

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """One request for `decoding.n` chains."""
        return (yield from self.written(query, self.shown(query, demonstrations), resources, decoding))

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """Draws n chains; those with most steps vote."""
        decoding = Decoding(self.n, self.temperature, self.top_k)
        drawn = yield from self.chains(query, demonstrations, resources, decoding)
        steps = [chain.steps for chain in drawn]
        voters = longest(steps, self.top)
        decided = decided_by(steps, voters)
        told = {"voters": voters, "steps": self.steps, "voters_by_steps": decided}
        outcome = elected(drawn, elect(drawn, resources.task, voters=voters), told)
        return outcome if decided else replace(outcome, flags=(*outcome.flags, "vote_not_by_steps"))


def most_steps(examples: Sequence[Example], unit: StepUnit = "line") -> list[Example]:
    """By steps of the rationale, then by words of the question, most first; then in pool order."""
    return sorted(examples, key=lambda e: (-count_steps(e.rationale or "", unit), -len(e.text.split())))


def decided_by(steps: Sequence[int], chosen: Sequence[int]) -> int:
    """How many of the `chosen` indices have more steps than every index left out; all, where none is."""
    taken = set(chosen)
    most_left = max((count for at, count in enumerate(steps) if at not in taken), default=-1)
    return sum(steps[at] > most_left for at in chosen)
