"""Many chains, and the answer that most of them reach."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from icl.components import check_choice, check_flag, check_number
from icl.cot.shared.adaptive import CRITERIA, Criterion, confidence
from icl.cot.shared.chain import Chain, ChainDefaults, ChainMethod, Chains, Decoding
from icl.cot.shared.nested import InnerKinds, InnerNeeds, InnerShows, chain_method
from icl.cot.shared.sampled import check_sampling, elect, elected
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Query, Request, Response


@methods.register(
    "self_consistency",
    paper="Wang et al. 2023, Self-Consistency Improves Chain of Thought Reasoning in Language Models",
)
class SelfConsistency(ChainDefaults):
    """Samples n chains of another method and takes the answer that most of them reach.

    `of`: the method whose chains are drawn: a name, {name: {parameters}}, or the object.
    `n`, `temperature`, `top_k`: paper 40, 0.7, 40 (0.5 for smaller models). Unparsed chains do not
    vote; a tie goes to the answer that reached the winning number first.
    `adaptive`: null draws all n at once. "beta" or "dirichlet" draws `step` at a time and stops as
    soon as the leading answer stays the winner with probability `confidence` (Aggarwal et al.
    2023); n is then the most that is drawn, and details["adaptive"] says what was saved.
    `texts`: whether the chains' texts are kept in the details, beside their answers.

    Sample i is the same whatever n: accuracy at smaller n can be read off one run (`icl.cot.shared.curves`).
    """

    shows_selected = InnerShows()
    needs = InnerNeeds()  # type: ignore[assignment]
    kinds = InnerKinds()  # type: ignore[assignment]
    example_parameters: ClassVar[dict[str, Any]] = {"of": {"few_shot": {"max_tokens": 24}}, "n": 3}

    def __init__(
        self,
        *,
        of: str | Mapping[str, Any] | ChainMethod = "few_shot",
        n: int = 40,
        temperature: float = 0.7,
        top_k: int = 40,
        adaptive: Criterion | None = None,
        confidence: float = 0.95,
        step: int = 1,
        texts: bool = False,
    ) -> None:
        chain_method(of)
        check_sampling(n, temperature, top_k)
        if adaptive is not None:
            check_choice("adaptive", adaptive, CRITERIA)
        check_number("confidence", confidence, low=0.5, high=1)
        check_number("step", step, low=1, whole=True)
        check_flag("texts", texts)
        self.of = of
        self.n = n
        self.temperature = temperature
        self.top_k = top_k
        self.adaptive = adaptive
        self.confidence = confidence
        self.step = step
        self.texts = texts

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Fits the inner method."""
        self._inner = chain_method(self.of).fit(pool, resources)
        return self

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """The inner method's chains, as asked."""
        return (yield from self._inner.chains(query, demonstrations, resources, decoding))

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """All chains at once, or in rounds until the vote is decided."""
        decoding = Decoding(self.n, self.temperature, self.top_k)
        if self.adaptive is None:
            drawn = yield from self.chains(query, demonstrations, resources, decoding)
            return elected(drawn, elect(drawn, resources.task), texts=self.texts)
        drawn, reached = yield from self._until_decided(query, demonstrations, resources, decoding)
        told = {
            "criterion": self.adaptive,
            "confidence": reached,
            "samples": len(drawn),
            "limit": self.n,
            "saved": self.n - len(drawn),
        }
        return elected(drawn, elect(drawn, resources.task), {"adaptive": told}, texts=self.texts)

    def _until_decided(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Generator[list[Request], list[Response], tuple[list[Chain], float]]:
        """Chains in rounds of `step`, and how sure the vote was at the end."""
        drawn: list[Chain] = []
        reached = 0.0
        while len(drawn) < self.n and reached < self.confidence:
            some = replace(decoding, n=min(self.step, self.n - len(drawn)), first=len(drawn))
            drawn += yield from self.chains(query, demonstrations, resources, some)
            ballot = elect(drawn, resources.task)
            reached = confidence(list(ballot.totals.values()), self.adaptive or "beta")
        return drawn, reached
