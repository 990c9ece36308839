"""The report of `functions`: errors by number of examples, and what the paper expects of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared import intervals
from icl.mechanism.shared.functions.prompts import NONE, SHUFFLED

OURS = "decoder"
CLOSE = 0.05
"""Of the variance: two mean errors that differ by less are said to be close."""
BEST = {
    "linear": ("is close to least squares", "least squares"),
    "sparse": ("is close to the lasso", "lasso"),
    "network": ("is close to a two-layer network fitted to the examples", "two-layer network"),
    "tree": ("is below a greedy tree", "greedy tree"),
}
"""What the paper expects of each class, and of which estimator."""
ERROR = "squared error / variance of f(x)"
HIGHEST = 3.0
"""Of the errors that are drawn: least squares with as many examples as dimensions goes to hundreds."""
SIMPLE = ("3-NN", "averaging")
PAPER = "(Garg 2022)"


def report(found: Mapping[str, Found], dimension: int, resamples: int) -> Report:
    """Of the classes that are done; those of which only one half is done are said in a note."""
    named = list(dict.fromkeys(name.split()[1] for name in found))
    kinds = [kind for kind in named if {f"learn {kind}", f"rivals {kind}"} <= set(found)]
    claims: list[Claim] = []
    tables: list[Table] = []
    figures: list[Figure] = []
    for kind in kinds:
        learned, others = found[f"learn {kind}"], found[f"rivals {kind}"]["shifts"]
        claims += _claims(kind, learned, others, resamples)
        tables += [_by_examples(kind, learned, others, dimension), _by_shift(kind, learned, others)]
        figures += [_curves(kind, learned, others), _shifted(kind, learned)]
    notes = [
        "Errors are squared, against f(x) without noise, in units of the variance of f(x): 1 is what the "
        "answer 0 has."
    ]
    notes += [f"{kind}: not complete" for kind in named if kind not in kinds]
    return Report(tuple(claims), tuple(tables), tuple(figures), tuple(notes))


def _claims(kind: str, learned: Found, others: Mapping[str, Any], resamples: int) -> list[Claim]:
    ours, usual = learned["shifts"], others[NONE]
    said, rival = BEST[kind]

    def less(one: Mapping[str, Any], other: Mapping[str, Any]) -> intervals.Estimate:
        pairs = zip(one["rows"], other["rows"], strict=True)
        return intervals.mean([a - b for a, b in pairs], resamples)

    fresh = less(learned["untrained"], usual[rival])
    shuffled = less(ours[SHUFFLED], ours[NONE])
    gap = less(ours[NONE], usual[rival])
    span = f"mean over 0 to {learned['examples'][-1]} examples, n = {len(usual[rival]['rows'])} prompts"

    def above_simple(one: Mapping[str, Any]) -> intervals.Estimate:
        return max((less(one, usual[name]) for name in SIMPLE), key=lambda found: found.high)

    worst = above_simple(ours[NONE])
    claims = [
        Claim(
            f"{kind}: the decoder's error {said}{'' if kind == 'tree' else f' (within {CLOSE})'} {PAPER}",
            f"decoder less {rival}: {gap} ({span})",
            f"the same network untrained less {rival}: {fresh}",
            _below(gap, 0.0 if kind == "tree" else CLOSE),
        ),
        Claim(
            f"{kind}: the decoder's error is below those of 3-NN and averaging {PAPER}",
            f"decoder less the better of the two: {worst} ({span})",
            f"untrained less the same: {above_simple(learned['untrained'])}",
            _below(worst, 0.0),
        ),
        Claim(
            f"{kind}: the decoder reads which label belongs to which x",
            f"error after the examples' labels changed places less before: {shuffled} ({span})",
            f"ridge the same: {less(others[SHUFFLED]['ridge'], usual['ridge'])}",
            True if shuffled.low > 0 else False if shuffled.high <= 0 else None,
        ),
    ]  # fmt: skip
    for shift in ours:
        if shift not in (NONE, SHUFFLED) and kind == "linear":
            # With noisy labels and as many examples as dimensions least squares has no finite error: there
            # ridge, Bayes's answer, is what to be close to.
            name = "ridge" if shift == "noisy" else "least squares"
            far = less(ours[shift], others[shift][name])
            claims.append(
                Claim(
                    f"linear, {shift}: the decoder's error is close to that of {name} {PAPER}",
                    f"decoder less {name}: {far} ({span})",
                    f"as in training: {gap}",
                    _below(far, CLOSE),
                )
            )
    return claims


def _below(found: intervals.Estimate, bound: float) -> bool | None:
    return True if found.high < bound else False if found.low > bound else None


def _by_examples(kind: str, learned: Found, others: Mapping[str, Any], dimension: int) -> Table:
    examples = learned["examples"]
    asked = sorted({0, dimension // 2, dimension, examples[-1]} & set(examples))
    rows = {
        OURS: learned["shifts"][NONE], **others[NONE], "decoder, untrained": learned["untrained"],
        "decoder, shuffled labels": learned["shifts"][SHUFFLED],
    }  # fmt: skip
    columns = ("estimator", *(f"{number} examples" for number in asked))
    return Table(
        f"{kind}: error by examples",
        columns,
        tuple((name, *(_cell(r, n) for n in asked)) for name, r in rows.items()),
    )


def _by_shift(kind: str, learned: Found, others: Mapping[str, Any]) -> Table:
    last = learned["examples"][-1]
    rows = []
    for shift, ours in learned["shifts"].items():
        rows.append((shift, _cell(ours, last), *(_cell(one, last) for one in others[shift].values())))
    return Table(
        f"{kind}: error after {last} examples of other distributions",
        ("shift", OURS, *others[NONE]),
        tuple(rows),
    )


def _cell(errors: Mapping[str, Any], at: int) -> str:
    return f"{errors['mean'][at]:.3f} [{errors['low'][at]:.3f}, {errors['high'][at]:.3f}]"


def _curves(kind: str, learned: Found, others: Mapping[str, Any]) -> Figure:
    examples = learned["examples"]
    lines = [_line(OURS, examples, learned["shifts"][NONE])]
    lines += [_line(name, examples, one) for name, one in others[NONE].items()]
    lines.append(_line("untrained", examples, learned["untrained"], control=True))
    lines.append(_line(SHUFFLED, examples, learned["shifts"][SHUFFLED], control=True))
    title = f"{kind.capitalize()} functions: error by number of examples"
    return Figure(f"functions_{kind}", title, "examples", ERROR, tuple(lines), highest=HIGHEST)


def _shifted(kind: str, learned: Found) -> Figure:
    lines = [
        _line(shift, learned["examples"], one, control=shift == SHUFFLED)
        for shift, one in learned["shifts"].items()
    ]
    title = f"{kind.capitalize()} functions: the decoder on other distributions"
    return Figure(f"functions_{kind}_shifts", title, "examples", ERROR, tuple(lines), highest=HIGHEST)


def _line(name: str, examples: list[int], one: Mapping[str, Any], control: bool = False) -> Series:
    return Series(name, examples, one["mean"], one["low"], one["high"], control=control)
