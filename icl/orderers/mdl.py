"""The order under which the model is surest about the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_flag
from icl.errors import ConfigError
from icl.labels import LABELLED, label_texts, longest, renderer_of
from icl.orderers.shared.label_scores import check_labelled, model_of
from icl.orderers.shared.permutations import AmongOrders, Order, Wanted, candidate_orders
from icl.prompts.template import render_side
from icl.protocols import Renderer, Resources, orderers
from icl.types import Demonstration, Query, ScoreRequest

Span = Literal["input_and_label", "label"]
SPANS: tuple[Span, ...] = ("input_and_label", "label")


@orderers.register(
    "mdl",
    paper="Wu et al. 2023, Self-Adaptive In-Context Learning: An Information Compression "
    "Perspective for In-Context Example Selection and Ordering",
)
class MDL(AmongOrders):
    """Self-adaptive ordering: per query, the candidate order with the shortest description of its label.

    For each of `permutations` random orders (10, or "all") the entropy of p(y), proportional to
    exp(-mean negative log-likelihood of the span), is taken over the labels; the lowest wins, ties
    go to the order drawn first. The selector's own order is the first candidate (`include_selected`).
    `span`: "input_and_label", the tokens of the query and the label after the demonstrations, as
    in the paper; "label", those of the label alone, whose entropy is that of direct scoring with
    mean log-probabilities.

    The authors' candidates are also different subsets of 8 from the 30 nearest (kNN); an orderer
    keeps the set that its selector chose. All queries, orders and labels are asked in one call.
    """

    needs: frozenset[str] = frozenset({"model", "renderer"})
    kinds = LABELLED

    def __init__(
        self,
        *,
        permutations: Wanted = 10,
        include_selected: bool = True,
        span: Span = "input_and_label",
    ) -> None:
        super().__init__(permutations)
        check_flag("include_selected", include_selected)
        check_choice("span", span, SPANS)
        self.include_selected = include_selected
        self.span = span

    def order(
        self,
        demonstrations: Sequence[Sequence[Demonstration]],
        queries: Sequence[Query],
        resources: Resources,
    ) -> list[Order]:
        """One permutation a query. Sets `reasons`: entropy, highest entropy, candidates.

        ConfigError for a task without labels.
        """
        check_labelled(resources.task, "mdl")
        renderer, model = renderer_of(resources), model_of(resources)
        candidates = [
            self._candidates(len(c), q, resources) for c, q in zip(demonstrations, queries, strict=True)
        ]
        requests = [
            self._request(query, [chosen[at] for at in order], renderer, resources)
            for query, chosen, tried in zip(queries, demonstrations, candidates, strict=True)
            if len(tried) > 1
            for order in tried
        ]
        scores = iter(model.score(requests) if requests else [])
        self.reasons: list[Mapping[str, Any]] = []
        orders = []
        for tried in candidates:
            if len(tried) == 1:
                orders.append(tried[0])
                self.reasons.append({})
                continue
            entropies = [label_entropy(np.array(next(scores).mean_logprobs)) for _ in tried]
            # Rounded, so that a batch's last bits cannot turn two candidates around.
            best = min(range(len(tried)), key=lambda at: (round(entropies[at], 9), at))
            orders.append(tried[best])
            self.reasons.append(
                {"entropy": entropies[best], "highest_entropy": max(entropies), "permutations": len(tried)}
            )
        return orders

    def _candidates(self, count: int, query: Query, resources: Resources) -> list[Order]:
        selected: Order = tuple(range(count))
        if count < 2:
            return [selected]
        drawn = candidate_orders(
            count, self.permutations, lambda: resources.generator("orderers.mdl", query.id)
        )
        if not self.include_selected:
            return drawn
        others = [order for order in drawn if order != selected]
        return [selected, *others[: len(drawn) - 1]]

    def _request(
        self, query: Query, shown: Sequence[Demonstration], renderer: Renderer, resources: Resources
    ) -> ScoreRequest:
        _, answers = label_texts(query, resources)
        text = renderer.prompt(query, shown, reserve=longest(answers, resources)).text
        if self.span == "label":
            return ScoreRequest(text, answers)
        asked = render_side(resources.task, "query", query)
        start = text.rfind(asked)
        if start < 1:
            raise ConfigError(
                f"orderer 'mdl': query {query.id!r} cannot be found as a span of its prompt; use span: label"
            )
        return ScoreRequest(text[:start], tuple(text[start:] + answer for answer in answers))


def label_entropy(mean_logprobs: NDArray[np.float64]) -> float:
    """Entropy, in nats, of the distribution proportional to exp(mean_logprobs); [labels] -> number."""
    from scipy.special import entr, softmax

    return float(entr(softmax(mean_logprobs)).sum())
