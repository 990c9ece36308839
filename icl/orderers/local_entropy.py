"""Orders under which the model is least over-confident on probes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from icl.orderers.shared.entropy import EntropyOrderer
from icl.protocols import orderers


@orderers.register(
    "local_entropy",
    paper="Lu et al. 2022, Fantastically Ordered Prompts and Where to Find Them: "
    "Overcoming Few-Shot Prompt Order Sensitivity",
)
class LocalEntropy(EntropyOrderer):
    """LocalE: the orders whose label distributions, probe by probe, have the highest mean entropy.

    The model writes the probes itself, one text for each of the `permutations` candidate orders
    (24, or "all") and each length in `no_repeat_ngram`, sampled with `temperature` and `top_k`, of
    `max_tokens`. What it writes is parsed by the task's template; texts under `min_words` words
    are dropped, labels discarded, duplicates removed; `max_probes` keeps a random part (None: all).
    Every probe is answered under every candidate; an order's score is the mean over probes of the
    entropy of the label probabilities, normalised over the labels.

    `keep`: a query gets one of this many best orders, drawn by its id, so that a cell's accuracy
    estimates the paper's mean over the best 4; 1: always the best. Where there are no more
    candidates than `keep`, all are kept. `normalise`: labels of several tokens by "sum" or "mean"
    log-probability. Computed once for each distinct set of demonstrations.
    """

    name = "local_entropy"

    @staticmethod
    def measure(probabilities: NDArray[np.float64]) -> float:
        """Mean over probes of the entropy of the label distribution."""
        from scipy.special import entr

        return float(entr(probabilities).sum(axis=1).mean())
