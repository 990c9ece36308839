"""Demonstrations from easy to hard, as the model itself finds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from icl.components import check_choice
from icl.errors import ContextOverflow
from icl.labels import renderer_of
from icl.orderers.shared.label_scores import model_of
from icl.orderers.shared.permutations import Order
from icl.protocols import Renderer, Resources, orderers
from icl.types import Demonstration, Example, Query, ScoreRequest

_DECIMALS = 6


@orderers.register("curriculum", paper="Bengio et al. 2009, Curriculum Learning")
class Curriculum:
    """By the perplexity of each demonstration under the model: the lower, the easier.

    A demonstration is written as a prompt without demonstrations would write it, instruction
    included, with its answer; its perplexity is exp(-mean log-probability) over all tokens but the
    first (`of`: "demonstration", input and answer; "answer", the answer's tokens given the input).
    `hardest`: "last" goes from easy to hard, "first" from hard to easy. Equally hard
    demonstrations keep the selector's order. Every demonstration is scored once, all in one call.
    """

    needs: frozenset[str] = frozenset({"model", "renderer"})

    def __init__(
        self,
        *,
        of: Literal["demonstration", "answer"] = "demonstration",
        hardest: Literal["first", "last"] = "last",
    ) -> None:
        check_choice("of", of, ("demonstration", "answer"))
        check_choice("hardest", hardest, ("first", "last"))
        self.of = of
        self.hardest = hardest

    def order(
        self,
        demonstrations: Sequence[Sequence[Demonstration]],
        queries: Sequence[Query],
        resources: Resources,
    ) -> list[Order]:
        """One permutation a query. Sets `reasons`: id -> perplexity.

        Raises ContextOverflow for a demonstration that does not fit into the window by itself.
        """
        perplexity = self._perplexities([d.example for chosen in demonstrations for d in chosen], resources)
        sign = 1 if self.hardest == "last" else -1
        self.reasons: list[Mapping[str, Any]] = []
        orders = []
        for chosen in demonstrations:
            values = [perplexity[_key(d.example)] for d in chosen]
            orders.append(tuple(sorted(range(len(chosen)), key=lambda at: (sign * values[at], at))))
            by_id = {d.example.id: value for d, value in zip(chosen, values, strict=True)}
            self.reasons.append({"perplexity": by_id} if chosen else {})
        return orders

    def _perplexities(
        self, examples: Sequence[Example], resources: Resources
    ) -> dict[tuple[str, ...], float]:
        """Content of an example -> perplexity, rounded so that a batch's last bits cannot turn two."""
        renderer, model = renderer_of(resources), model_of(resources)
        unique = {_key(example): example for example in examples}
        requests = [self._request(example, renderer, resources) for example in unique.values()]
        scores = model.score(requests) if requests else []
        means = [one.mean_logprobs[0] for one in scores]
        return {key: round(math.exp(-mean), _DECIMALS) for key, mean in zip(unique, means, strict=True)}

    def _request(self, example: Example, renderer: Renderer, resources: Resources) -> ScoreRequest:
        text = renderer.prompt(example.query, ()).text
        answer = renderer.answer(example.target)
        model = model_of(resources)
        ids = model.tokenizer.encode(text + answer)
        if len(ids) > model.context_length:
            raise ContextOverflow(
                f"demonstration {example.id!r} has {len(ids)} tokens; the context of {model.name} holds "
                f"{model.context_length}"
            )
        if self.of == "answer":
            return ScoreRequest(text, (answer,))
        # By ids: the first token, which nothing comes before, is the prompt of all the others.
        return ScoreRequest(ids[:1], (ids[1:],))


def _key(example: Example) -> tuple[str, ...]:
    return (example.id, example.text, example.target)
