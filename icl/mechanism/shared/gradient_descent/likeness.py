"""How like a trained layer and a step of gradient descent are: predictions, sensitivities, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from icl.mechanism.shared.gradient_descent.layer import Layer, descent_layer, layer_of
from icl.mechanism.shared.gradient_descent.regression import (
    Regressions,
    best_step,
    descent,
    least_squares,
    regressions,
    squared_error,
)

SHARES = tuple(round(0.1 * at, 1) for at in range(11))
WRONG = 2.0
"""By which the best step is multiplied for a control."""


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, of two vectors. It does not see their scales. 0 where one of them is constant."""
    pair = torch.stack([one, other]).double()
    pair = pair - pair.mean(dim=1, keepdim=True)
    norm = float(pair[0].norm() * pair[1].norm())
    return float(pair[0] @ pair[1]) / norm if norm > 0 else 0.0


def mean_cosine(one: Tensor, other: Tensor) -> float:
    """Mean over rows of the cosine of two [B, d]."""
    return float(functional.cosine_similarity(one, other, dim=1).double().mean())


def off_pattern(layer: Layer) -> tuple[float, float]:
    """(of K^T Q, of P V): the share of squared weight that is not where the construction has it.

    Of K^T Q what a query with y = 0 meets counts, its first d columns [d + 1, d]; the pattern there is a
    multiple of the unit matrix above a row of zeros. Of P V what reaches the prediction counts, the last row;
    the pattern is its last entry. 0: the pattern, 1: nothing of it.
    """
    match, write = layer.match[:, :-1].double(), layer.write.double()
    along = float(match.diagonal().sum()) ** 2 / layer.dimension
    return 1 - along / float(match.square().sum()), 1 - float(write[-1] ** 2 / write.square().sum())


def path(one: Layer, other: Layer, tasks: Regressions, shares: Sequence[float]) -> list[float]:
    """Squared errors on the way from `one` (share 0) to `other` (share 1), their products mixed.

    A factor may be moved between K^T Q and P V without changing a layer, so each is first brought to the norm
    of the unit matrix in K^T Q, and to a last entry of P V that is not negative.
    """
    ends = [_scaled(one), _scaled(other)]
    found = []
    for share in shares:
        match, write = ((1 - share) * a + share * b for a, b in zip(*ends, strict=True))
        layer = layer_of(match, write)
        found.append(squared_error(layer.predict(tasks.x, tasks.y, tasks.asked), tasks))
    return found


def _scaled(layer: Layer) -> tuple[Tensor, Tensor]:
    match = layer.match
    factor = match[:, :-1].norm() / layer.dimension**0.5
    factor = torch.where(layer.write[-1] < 0, -factor, factor)
    return match / factor, layer.write * factor


def turned(layer: Layer) -> Layer:
    """The same layer with the coordinates of the query moved by one: as large weights in the wrong places."""
    match = layer.match.clone()
    match[:, :-1] = match[:, :-1].roll(1, dims=1)
    return layer_of(match, layer.write)


def compared(
    trained: Layer, fresh: Layer, draw: Callable[[str], np.random.Generator], *, points: int, count: int,
    scales: Sequence[float],
) -> dict[str, Any]:  # fmt: skip
    """All comparisons, as plain data. fresh: the layer before training, a control. draw: a stream by name.
    count: of tasks; the step is searched on as many others. Errors are squared ones, each a mean over tasks.

    Correlation does not see a step of the wrong size, as all steps from zero predict multiples of one
    another; losses do.
    """
    size = trained.dimension
    step = best_step(regressions(draw("search"), count, points, size))
    tests = regressions(draw("test"), count, points, size)
    predicted = {
        "trained": trained.predict(tests.x, tests.y, tests.asked),
        "best step": descent(tests, step),
        "wrong step": descent(tests, WRONG * step),
        "untrained": fresh.predict(tests.x, tests.y, tests.asked),
        "least squares": least_squares(tests),
        "nothing": torch.zeros_like(tests.target),
    }
    slopes = {
        "trained": trained.sensitivity(tests.x, tests.y),
        "untrained": fresh.sensitivity(tests.x, tests.y),
    }
    ideal = descent_layer(size, points, step)
    wanted = ideal.sensitivity(tests.x, tests.y)
    return {
        "step": step,
        "loss": {name: squared_error(values, tests) for name, values in predicted.items()},
        "correlation": {
            name: correlation(predicted["trained"], predicted[name])
            for name in ("best step", "least squares", "untrained")
        },
        "cosine": {name: mean_cosine(slope, wanted) for name, slope in slopes.items()},
        "off_pattern": {"trained": off_pattern(trained), "untrained": off_pattern(fresh)},
        "path": {
            "shares": list(SHARES),
            "to descent": path(trained, ideal, tests, SHARES),
            "to turned": path(trained, turned(ideal), tests, SHARES),
        },
        "scales": [
            _scale(
                scale, trained, fresh, step, regressions(draw(f"scale {scale:g}"), count, points, size, scale)
            )
            for scale in scales
        ],
    }


def _scale(scale: float, trained: Layer, fresh: Layer, step: float, tasks: Regressions) -> dict[str, float]:
    """Errors in units of those of predicting zero."""
    unit = squared_error(torch.zeros_like(tasks.target), tasks)
    predicted = {
        "trained": trained.predict(tasks.x, tasks.y, tasks.asked),
        "best step": descent(tasks, step),
        "searched anew": descent(tasks, best_step(tasks)),
        "wrong step": descent(tasks, WRONG * step),
        "untrained": fresh.predict(tasks.x, tasks.y, tasks.asked),
    }
    return {"scale": scale} | {name: squared_error(v, tasks) / unit for name, v in predicted.items()}
