"""Is a paired difference more than chance?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from icl.seeding import generator

RESAMPLES = 10_000


def sign_flip(rows: ArrayLike) -> float:
    """Two-sided p of paired differences [n] with mean zero: the share of random signs (all of them up to 13
    rows) under which the mean is as far from zero. 1 where all differences are zero."""
    from scipy.stats import permutation_test

    values = np.asarray(rows, dtype=np.float64)
    if not values.any():
        return 1.0
    test = permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=RESAMPLES,
        rng=generator(0, "study sign flips", str(len(values))), vectorized=True,
    )  # fmt: skip
    return float(test.pvalue)
