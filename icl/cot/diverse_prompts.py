"""Several prompts, each with demonstrations of its own, and a vote over the chains of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from icl.components import check_number
from icl.cot.shared.annotate import self_taught
from icl.cot.shared.chain import ChainDefaults, Chains, Decoding, Reading, side_by_side
from icl.cot.shared.manual import given_file, read_demonstrations
from icl.cot.shared.sampled import check_sampling, elect, elected
from icl.cot.shared.shown import OwnDemonstrations, Shown, Writing, has_rationale, write_chains
from icl.labels import renderer_of
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Query

STRIDE = 1 << 20
"""Sample indices of a prompt begin at its number times this: two prompts that happen to be equal (a
pool too small for more) still give different chains."""


@methods.register(
    "diverse_prompts",
    paper="Li et al. 2023, Making Language Models Better Reasoners with Step-Aware Verifier (DiVeRSe)",
)
class DiversePrompts(ChainDefaults):
    """Samples chains after several prompts with different demonstrations; all chains vote.

    `prompts`: how many prompts, each with `shots` demonstrations drawn at random from the examples
    that have a rationale (from the pool, or from the JSONL file `examples`, in which $ICL_DATA is
    put in; where none has one, from zero-shot chains of the model that reach their answer).
    `samples`: chains a prompt (5 prompts of 20), at `temperature` with `top_k`.
    `max_tokens`: of a chain.

    Chain i comes from prompt i modulo `prompts`, so the first N chains of a run are spread over all
    prompts. Flag fewer_demonstrations: there were not enough rationales. The voting verifier of the
    paper is `verifier: {of: {diverse_prompts: {}}}`. The experiment's selector has no say.
    """

    shows_selected = False
    needs = frozenset({"renderer", "model"})
    example_parameters: ClassVar[dict[str, Any]] = {
        "prompts": 2,
        "samples": 2,
        "shots": 2,
        "max_tokens": 24,
    }

    def __init__(
        self,
        *,
        prompts: int = 5,
        samples: int = 20,
        shots: int = 8,
        examples: str | None = None,
        temperature: float = 0.7,
        top_k: int = 40,
        max_tokens: int = 256,
    ) -> None:
        check_number("prompts", prompts, low=1, whole=True)
        check_number("samples", samples, low=1, whole=True)
        check_number("shots", shots, low=1, whole=True)
        if examples is not None and not isinstance(examples, str):
            raise ValueError(f"examples is {examples!r}; allowed: the path of a JSONL file")
        check_sampling(samples, temperature, top_k)
        check_number("max_tokens", max_tokens, low=1, whole=True)
        self.prompts = prompts
        self.samples = samples
        self.shots = shots
        self.examples = examples
        self.temperature = temperature
        self.top_k = top_k
        self.max_tokens = max_tokens

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Draws the demonstrations of every prompt."""
        candidates: Sequence[Example] = pool
        if self.examples is not None:
            candidates = read_demonstrations(given_file(self.examples), resources.task)
        able = [example for example in candidates if has_rationale(example)]
        if not able:
            order = resources.generator("cot.diverse_prompts", "teach").permutation(len(candidates))
            shuffled = [candidates[int(at)] for at in order]
            able = self_taught(shuffled, 2 * self.shots, resources, max_tokens=self.max_tokens)
        self._sets = []
        for number in range(self.prompts):
            drawn = resources.generator("cot.diverse_prompts", str(number)).permutation(len(able))
            # One more than shown, so that a query which is one of them is still shown enough.
            some = [able[int(at)] for at in drawn[: self.shots + 1]]
            self._sets.append(OwnDemonstrations(some, resources.duplicate_threshold))
        return self

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """Samples `first` to `first + n` in turn over the prompts; one request a prompt."""
        stop = renderer_of(resources).stops(chain=True)
        writing = Writing(self.max_tokens, stop, Reading("trigger"), wanted=self.shots)
        wanted = range(decoding.first, decoding.first + decoding.n)
        talks, owners = [], []
        for number, own in enumerate(self._sets):
            mine = [i // self.prompts for i in wanted if i % self.prompts == number]
            if not mine:
                continue
            shown = Shown(own.show(query).kept[: self.shots])
            part = replace(decoding, n=len(mine), first=number * STRIDE + mine[0])
            talks.append(write_chains(query, shown, resources, part, writing))
            owners.append([i for i in wanted if i % self.prompts == number])
        found = yield from side_by_side(talks)
        by_index = {
            i: chain
            for indices, chains in zip(owners, found, strict=True)
            for i, chain in zip(indices, chains, strict=True)
        }
        return [by_index[i] for i in wanted]

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """All samples of all prompts; plurality."""
        decoding = Decoding(self.prompts * self.samples, self.temperature, self.top_k)
        drawn = yield from self.chains(query, demonstrations, resources, decoding)
        return elected(drawn, elect(drawn, resources.task), {"prompts": self.prompts})
