"""When a vote is decided: the stopping rules of adaptive consistency.

Aggarwal et al. 2023, "Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning and
Coding with LLMs" (EMNLP).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Criterion = Literal["beta", "dirichlet"]
CRITERIA: tuple[Criterion, ...] = ("beta", "dirichlet")


def confidence(counts: Sequence[float], criterion: Criterion = "beta") -> float:
    """Probability that the answer that leads is the one that would win in the long run.

    counts: votes of each answer, in any order; none gives 0.
    "beta": the leader against the runner-up alone, P(p > 1/2) under Beta(v1 + 1, v2 + 1).
    "dirichlet": the leader against every answer seen, P(its p is the largest) under Dirichlet(v + 1);
    below three answers that is "beta", as in the paper. An answer not yet seen has no part in either.
    """
    ranked = sorted(counts, reverse=True)
    if not ranked:
        return 0.0
    if criterion == "beta" or len(ranked) < 3:
        runner_up = ranked[1] if len(ranked) > 1 else 0
        from scipy import stats

        return float(stats.beta.sf(0.5, ranked[0] + 1, runner_up + 1))
    return _largest(np.asarray(ranked, dtype=np.float64) + 1.0)


def _largest(alphas: np.ndarray) -> float:
    """P(first component of Dirichlet(alphas) is the largest), by its independent gamma variables."""
    from scipy import integrate, stats

    leader, others = stats.gamma(alphas[0]), [stats.gamma(a) for a in alphas[1:]]

    def density(x: float) -> float:
        below = [other.cdf(x) for other in others]
        return float(leader.pdf(x) * np.prod(below))

    upper = float(leader.isf(1e-12))
    return float(integrate.quad(density, 0.0, upper, limit=200)[0])
