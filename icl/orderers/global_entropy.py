"""Orders under which the model's answers to probes are spread over the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from icl.orderers.shared.entropy import EntropyOrderer
from icl.protocols import orderers

ABSENT = 1e-5
"""The count of a label that no probe is answered with, as in the authors' code."""


@orderers.register(
    "global_entropy",
    paper="Lu et al. 2022, Fantastically Ordered Prompts and Where to Find Them: "
    "Overcoming Few-Shot Prompt Order Sensitivity",
)
class GlobalEntropy(EntropyOrderer):
    """GlobalE: the orders whose predicted labels over probes have the highest entropy.

    The model writes the probes itself, one text for each of the `permutations` candidate orders
    (24, or "all") and each length in `no_repeat_ngram`, sampled with `temperature` and `top_k`, of
    `max_tokens`. What it writes is parsed by the task's template; texts under `min_words` words
    are dropped, labels discarded, duplicates removed; `max_probes` keeps a random part (None: all).
    Every probe is answered under every candidate; an order's score is the entropy of the
    histogram of its answers (a label never answered counts 1e-5 probes).

    `keep`: a query gets one of this many best orders, drawn by its id, so that a cell's accuracy
    estimates the paper's mean over the best 4; 1: always the best. Where there are no more
    candidates than `keep`, all are kept. `normalise`: labels of several tokens by "sum" or "mean"
    log-probability. Computed once for each distinct set of demonstrations.
    """

    name = "global_entropy"

    @staticmethod
    def measure(probabilities: NDArray[np.float64]) -> float:
        """Entropy of the histogram of the most probable labels; ties go to the first label."""
        labels = probabilities.shape[1]
        counts = np.bincount(probabilities.argmax(axis=1), minlength=labels).astype(np.float64)
        counts[counts == 0] = ABSENT
        shares = counts / counts.sum()
        return float(-(shares * np.log(shares)).sum())
