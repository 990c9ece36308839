"""What the study of gradient descent found, as claims, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.gradient_descent.reading_decoder import Sets

WITHIN = 0.02
"""A loss is that of the best step where it is at most so much larger, as a share."""
ALIKE = 0.99
"""From here on a correlation or a cosine counts as one."""


def report(found: Mapping[str, Found], resamples: int) -> Report:
    """Of the steps that are done."""
    claims: list[Claim] = []
    tables: list[Table] = []
    figures: list[Figure] = []
    if "construction" in found:
        claims.append(_construction(found["construction"]))
    if "layer" in found:
        layer = found["layer"]
        claims += [_loss(layer), _predictions(layer), _weights(layer), _scales(layer)]
        tables.append(_losses(layer))
        figures += [_path_figure(layer), _scale_figure(layer)]
    sets = [value for name, value in found.items() if name.startswith("set ")]
    if not sets:
        return Report(tuple(claims), tuple(tables), tuple(figures))
    read = Sets(sets, resamples)
    return Report(
        (*claims, *read.claims()), (*tables, *read.tables()), (*figures, *read.figures()), read.notes()
    )


def _construction(found: Found) -> Claim:
    worst = max(row["difference"] for row in found["sizes"])
    least = min(row["wrong step"] for row in found["sizes"])
    sizes = ", ".join(f"{row['dimension']} x {row['points']}" for row in found["sizes"])
    return Claim(
        "linear self-attention with Q = K = diag(I, 0), V = y - w0 . x, P = step / N predicts what one step "
        "of gradient "
        "descent predicts (von Oswald 2023, proposition 1)",
        f"largest difference {worst:.1e} of the largest prediction, fp64, dimension x points {sizes}, w0 not "
        "zero",
        f"the same weights with twice the step: {least:.2g} at least",
        worst < 1e-6,
    )


def _loss(found: Found) -> Claim:
    loss = found["loss"]
    return Claim(
        "a layer trained on linear regression in context reaches the loss of the best step (von Oswald 2023, "
        "figure 2)",
        f"{loss['trained']:.3f} against {loss['best step']:.3f} with step {found['step']:.2f}",
        f"twice that step {loss['wrong step']:.3f}, the layer before training {loss['untrained']:.3f}, "
        f"least squares {loss['least squares']:.3f}",
        loss["trained"] <= (1 + WITHIN) * loss["best step"],
    )


def _predictions(found: Found) -> Claim:
    near, cosine = found["correlation"], found["cosine"]
    return Claim(
        "its predictions and their slopes in the query are those of the best step (von Oswald 2023, figure "
        "2)",
        f"correlation of predictions {near['best step']:.4f}, cosine of slopes {cosine['trained']:.4f}",
        f"with least squares {near['least squares']:.3f}; of the layer before training "
        f"{near['untrained']:.3f} and "
        f"{cosine['untrained']:.3f}",
        min(near["best step"], cosine["trained"]) >= ALIKE > near["least squares"],
    )


def _weights(found: Found) -> Claim:
    off, way = found["off_pattern"], found["path"]
    ends = max(way["to descent"][0], way["to descent"][-1])
    top, control = max(way["to descent"]), max(way["to turned"][:-1])
    return Claim(
        "its weights are those of the construction: the way between them has no hill (von Oswald 2023, "
        "figure 2)",
        f"squared weight off the pattern: {off['trained'][0]:.4f} of K^T Q, {off['trained'][1]:.4f} of P V; "
        "highest "
        f"loss on the way {top:.3f}, at its ends {ends:.3f}",
        f"before training {off['untrained'][0]:.2f} and {off['untrained'][1]:.2f}; on the way to a "
        "construction whose "
        f"coordinates are moved by one {control:.2f}",
        max(off["trained"]) < 1 - ALIKE and top <= (1 + WITHIN) * ends < control,
    )


def _scales(found: Found) -> Claim:
    rows = found["scales"]
    apart = max(abs(row["trained"] / row["best step"] - 1) for row in rows)
    last, ranges = rows[-1], ", ".join(f"{row['scale']:g}" for row in rows)
    return Claim(
        "off the scale of x that it was trained on it errs as the same step errs (von Oswald 2023, figure 3)",
        f"losses at most {100 * apart:.1f} % apart over x in {ranges} times the range",
        f"at {last['scale']:g} a step searched anew has {last['searched anew']:.2f} of the loss of "
        "predicting zero, "
        f"the trained layer {last['trained']:.2f}, twice the step {last['wrong step']:.2f}",
        apart < 0.1,
    )


def _losses(found: Found) -> Table:
    return Table(
        "losses of the linear layer",
        ("predictor", "squared error"),
        tuple((name, round(value, 4)) for name, value in found["loss"].items()),
    )


def _path_figure(found: Found) -> Figure:
    way = found["path"]
    return Figure(
        "gradient_descent_path",
        "From the trained layer to the construction",
        "share of the construction's weights",
        "squared error",
        (
            Series("to the best step's construction", way["shares"], way["to descent"]),
            Series("to one with its coordinates moved", way["shares"], way["to turned"], control=True),
        ),
    )


def _scale_figure(found: Found) -> Figure:
    rows = found["scales"]
    names = {
        "trained": False,
        "best step": False,
        "searched anew": True,
        "wrong step": True,
        "untrained": True,
    }
    return Figure(
        "gradient_descent_scale",
        "Off the scale of x in training",
        "range of x, in those of training",
        "squared error, in those of predicting zero",
        tuple(
            Series(name, [row["scale"] for row in rows], [row[name] for row in rows], control=control)
            for name, control in names.items()
        ),
        log_y=True,
    )
