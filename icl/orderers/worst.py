"""The worst order on validation: a lower bound, not a method."""

from __future__ import annotations

from typing import Any, ClassVar

from icl.orderers.shared.validation import ValidationOrderer
from icl.protocols import orderers


@orderers.register(
    "worst",
    paper="Lu et al. 2022, Fantastically Ordered Prompts and Where to Find Them: "
    "Overcoming Few-Shot Prompt Order Sensitivity",
)
class Worst(ValidationOrderer):
    """Uses gold labels: the order with the lowest accuracy on a validation split of the pool.

    What an unlucky order costs. Of each distinct set of demonstrations, `permutations` orders (24,
    or "all"), the same as oracle's, answer `validation` labelled examples of the pool, none of
    them a demonstration or its duplicate; the least accurate is taken, ties broken by the mean
    log-probability of the gold label. `normalise`: labels of several tokens by "sum" or "mean"
    log-probability. The test set's labels are never seen.
    """

    name = "worst"
    best = False
    example_parameters: ClassVar[dict[str, Any]] = {"validation": 5, "permutations": 6}
