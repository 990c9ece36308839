"""Chains of prompts that differ in the order or the rationales of their demonstrations."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from icl.components import check_choice, check_number
from icl.cot.shared.chain import (
    Chain,
    ChainDefaults,
    ChainMethod,
    Chains,
    Decoding,
    rationale_of,
    side_by_side,
)
from icl.cot.shared.nested import InnerKinds, InnerNeeds, InnerShows, chain_method
from icl.cot.shared.sampled import check_sampling, elect, elected
from icl.cot.shared.shown import ShowingMethod, Shown
from icl.errors import ConfigError
from icl.prompts.answers import is_right
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Query, Request, Response

Vary = Literal["fixed", "order", "rationales"]
VARY: tuple[Vary, ...] = ("fixed", "order", "rationales")
Decode = Literal["greedy", "sampled"]
DECODE: tuple[Decode, ...] = ("greedy", "sampled")


@methods.register("ensemble", paper="Wang et al. 2022, Rationale-Augmented Ensembles in Language Models")
class Ensemble(ChainDefaults):
    """Rationale-augmented ensemble: a vote over prompts whose demonstrations vary.

    `of`: a method that shows demonstrations (few_shot, auto_cot, complexity).
    `vary`: "order" shuffles the demonstrations anew for each of the `n` members; "rationales" puts
    rationales that the model sampled in the place of each demonstration's own (`rationales` of
    them, each after the other demonstrations, kept where they reach the demonstration's answer);
    "fixed" varies nothing, which with decode: sampled is self-consistency.
    `decode`: "greedy" or "sampled" at `temperature` with `top_k`. Paper: n 40, temperature 0.7.
    """

    shows_selected = InnerShows()
    needs = InnerNeeds()  # type: ignore[assignment]
    kinds = InnerKinds()  # type: ignore[assignment]
    example_parameters: ClassVar[dict[str, Any]] = {
        "of": {"few_shot": {"max_tokens": 24}},
        "vary": "rationales",
        "n": 3,
        "rationales": 2,
    }

    def __init__(
        self,
        *,
        of: str | Mapping[str, Any] | ChainMethod = "few_shot",
        vary: Vary = "order",
        decode: Decode = "sampled",
        n: int = 40,
        temperature: float = 0.7,
        top_k: int = 40,
        rationales: int = 8,
    ) -> None:
        _showing(of)
        check_choice("vary", vary, VARY)
        check_choice("decode", decode, DECODE)
        check_sampling(n, temperature, top_k)
        check_number("rationales", rationales, low=1, whole=True)
        if vary == "fixed" and decode == "greedy" and n > 1:
            raise ValueError(f"n is {n}: vary: fixed with decode: greedy has one member only; allowed: n: 1")
        if vary == "rationales" and temperature == 0:
            raise ValueError("temperature is 0, but vary: rationales samples them; allowed: temperature > 0")
        self.of = of
        self.vary = vary
        self.decode = decode
        self.n = n
        self.temperature = temperature
        self.top_k = top_k
        self.rationales = rationales

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Fits the inner method."""
        self._inner = _showing(self.of)
        self._inner.fit(pool, resources)
        return self

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """Members `first` to `first + n`, one chain each. `decoding` says whether they are sampled."""
        shown = self._inner.shown(query, demonstrations)
        members = range(decoding.first, decoding.first + decoding.n)
        if self.vary == "fixed":
            return (yield from self._inner.written(query, shown, resources, decoding))
        if self.vary == "order":
            sets = [_shuffled(shown, member, resources) for member in members]
        else:
            written = yield from self._rewritten(shown, resources)
            sets = [_redressed(shown, written, member, resources) for member in members]
        talks = [
            self._inner.written(query, some, resources, replace(decoding, n=1, first=member))
            for member, some in zip(members, sets, strict=True)
        ]
        found = yield from side_by_side(talks)
        return [chains[0] for chains in found]

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """One chain a member; plurality."""
        sampled = self.decode == "sampled"
        decoding = Decoding(self.n, self.temperature if sampled else 0.0, self.top_k if sampled else 0)
        drawn = yield from self.chains(query, demonstrations, resources, decoding)
        return elected(drawn, elect(drawn, resources.task), {"vary": self.vary, "decode": self.decode})

    def _rewritten(
        self, shown: Shown, resources: Resources
    ) -> Generator[list[Request], list[Response], list[list[str]]]:
        """For each demonstration the sampled rationales that reach its answer."""
        decoding = Decoding(self.rationales, self.temperature, self.top_k)
        talks = []
        for at, demonstration in enumerate(shown.kept):
            others = Shown((*shown.kept[:at], *shown.kept[at + 1 :]))
            talks.append(self._inner.written(demonstration.example.query, others, resources, decoding))
        found = yield from side_by_side(talks)
        return [
            _right(chains, demonstration.example, resources)
            for chains, demonstration in zip(found, shown.kept, strict=True)
        ]


def _showing(spec: object) -> ShowingMethod:
    method = chain_method(spec)
    if not isinstance(method, ShowingMethod):
        showing = [name for name in methods if hasattr(methods.entry(name).factory, "written")]
        raise ConfigError(
            f"of is {spec!r}, which shows no demonstrations to vary; allowed: {', '.join(showing)}"
        )
    return method


def _right(chains: Sequence[Chain], example: Example, resources: Resources) -> list[str]:
    right = [c for c in chains if is_right(c.answer, example, resources.task)]
    return [text for chain in right if (text := rationale_of(chain.text))]


def _shuffled(shown: Shown, member: int, resources: Resources) -> Shown:
    """Keyed by the member alone: all queries with the same demonstrations share its prompt."""
    order = resources.generator("cot.ensemble.order", str(member)).permutation(len(shown.kept))
    return Shown(tuple(shown.kept[int(at)] for at in order), shown.dropped)


def _redressed(shown: Shown, written: Sequence[Sequence[str]], member: int, resources: Resources) -> Shown:
    """Each demonstration with one of its sampled rationales; its own where none was right."""
    draw = resources.generator("cot.ensemble.rationales", str(member))
    kept = []
    for demonstration, texts in zip(shown.kept, written, strict=True):
        pick = int(draw.integers(1 << 30))
        if texts:
            example = replace(demonstration.example, rationale=texts[pick % len(texts)])
            demonstration = replace(demonstration, example=example)
        kept.append(demonstration)
    return Shown(tuple(kept), shown.dropped)
