"""Demonstrations with their labels mixed as evenly as they can be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from icl.components import check_choice
from icl.orderers.shared.permutations import Order
from icl.protocols import Resources, orderers
from icl.types import Demonstration, Query


@orderers.register(
    "label_interleaved",
    paper="Zhao et al. 2021, Calibrate Before Use: Improving Few-Shot Performance of Language Models",
)
class LabelInterleaved:
    """Labels by turns, each spread evenly over the prompt, against the bias to the last label.

    The paper shows that bias (its section 4) and no orderer; this is the remedy that needs no
    model. The j-th of the n demonstrations of a label stands at (2j + 1) / 2n of the way through the
    prompt; among equals the label goes first that the selector preferred first. Within a label the
    selector's order stays. Uses the demonstrations' labels only.

    `preferred`: the end of the prompt at which the selector's most preferred demonstrations stand,
    "first" (far from the query) or "last" (next to it).
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, *, preferred: Literal["first", "last"] = "first") -> None:
        check_choice("preferred", preferred, ("first", "last"))
        self.preferred = preferred

    def order(
        self,
        demonstrations: Sequence[Sequence[Demonstration]],
        queries: Sequence[Query],
        resources: Resources,
    ) -> list[Order]:
        """One permutation a query."""
        orders = []
        for chosen in demonstrations:
            order = interleaved([d.example.target for d in chosen])
            orders.append(order if self.preferred == "first" else order[::-1])
        return orders


def interleaved(labels: Sequence[str]) -> Order:
    """Indices of `labels` so that equal labels stand as far apart as even spacing puts them."""
    counts = Counter(labels)
    met: dict[str, int] = defaultdict(int)
    places = []
    for label in labels:
        places.append(Fraction(2 * met[label] + 1, 2 * counts[label]))
        met[label] += 1
    return tuple(sorted(range(len(labels)), key=lambda at: (places[at], labels.index(labels[at]))))
