"""Stochastic few-shot (Perez et al. 2022): questions that did well are shown more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def drawn_by_score(
    scores: Sequence[float], count: int, temperature: float, rng: np.random.Generator
) -> list[int]:
    """Places of `count` items, drawn one after another without replacement, weights exp(score / temperature).

    All where there are no more than `count`. The largest of score / temperature + Gumbel noise, in falling
    order, are such a draw (Kool et al. 2019) and never overflow. ValueError for a temperature that is not
    above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature!r}; allowed: a number above 0")
    keys = np.asarray(scores, dtype=float) / temperature + rng.gumbel(size=len(scores))
    return [int(at) for at in np.argsort(-keys, kind="stable")[:count]]
