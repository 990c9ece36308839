"""The report of `bursty`: accuracies over training, and what the papers expect of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.bursty.learner import difference, interval

IN_CONTEXT, IN_WEIGHTS, SHUFFLED = "in context", "in weights", "in context, shuffled labels"
OF_TWO, USUAL = "in context, of two", "as in training"
COIN = 0.5
"""Of who answers one of the context's two labels, whichever."""


def report(found: Mapping[str, Found], steps: int, number: int) -> Report:
    """Of the trainings that are done. steps: at which they are compared. number: of sequences asked."""
    claims = [*_bursty_claims(found, steps, number), *_zipf_claims(found, steps, number)]
    claims += _transience(found, number)
    notes = (
        f"Intervals are over {number} sequences asked of one network: another training may differ by more.",
        f"In context, {COIN} is what either label of the context by lot would reach.",
    )
    figures = [_figure(found, IN_CONTEXT, number), _figure(found, IN_WEIGHTS, number)]
    return Report(tuple(claims), (_table(found, steps, number),), tuple(figures), notes)


def _bursty_claims(found: Mapping[str, Found], steps: int, number: int) -> list[Claim]:
    """For each exponent: the most bursty data against the least bursty."""
    claims = []
    for zipf in dict.fromkeys(one["zipf"] for one in found.values()):
        ordered = sorted((o for o in found.values() if o["zipf"] == zipf), key=lambda o: o["bursty"])
        if len(ordered) < 2:
            continue
        least, most = _at(ordered[0], steps), _at(ordered[-1], steps)
        pair = f"bursty {ordered[-1]['bursty']:g} less {ordered[0]['bursty']:g}, zipf {zipf:g}, {steps} steps"
        first = ordered[-1]["looks"][0]
        for name, said, sign in (
            (IN_CONTEXT, "bursty data raise accuracy in context (Chan 2022)", 1),
            (IN_WEIGHTS, "bursty data lower accuracy from weights (Chan 2022)", -1),
        ):
            low, high = difference(most[name], least[name], number)
            controls = [f"untrained {first[name]:.3f}"]
            if name == IN_CONTEXT:
                controls.append(f"with shuffled labels {most[SHUFFLED]:.3f}")
            claims.append(
                Claim(
                    f"zipf {zipf:g}: {said}",
                    f"{most[name] - least[name]:+.3f} [{low:+.3f}, {high:+.3f}], {most[name]:.3f} less "
                    f"{least[name]:.3f} ({pair}; n = {number})",
                    "; ".join(controls),
                    True if sign * low > 0 and sign * high > 0 else
                    False if sign * low <= 0 and sign * high <= 0 else None,
                )
            )  # fmt: skip
    return claims


def _zipf_claims(found: Mapping[str, Found], steps: int, number: int) -> list[Claim]:
    """Both kinds of learning at once, in the most bursty data of each exponent."""
    claims = []
    for zipf in dict.fromkeys(one["zipf"] for one in found.values()):
        most = max((o for o in found.values() if o["zipf"] == zipf), key=lambda o: o["bursty"])
        there, fresh = _at(most, steps), most["looks"][0]
        context, weights = interval(there[IN_CONTEXT], number), interval(there[IN_WEIGHTS], number)
        good = (context[0] > COIN, weights[0] > most["chance"])
        bad = (context[1] < COIN, weights[1] < most["chance"])
        if zipf:
            held = True if all(good) else False if any(bad) else None
        else:
            held = False if all(good) else True if any(good) and any(bad) else None
        said = (
            "skewed classes let learning in context and in weights be side by side (Chan 2022)"
            if zipf
            else "with even classes one of the two is bought with the other (Chan 2022)"
        )
        claims.append(
            Claim(
                f"zipf {zipf:g}, bursty {most['bursty']:g}: {said}",
                f"in context {_share(there[IN_CONTEXT], number)} (either label by lot {COIN}), in weights "
                f"{_share(there[IN_WEIGHTS], number)} (most frequent label {most['chance']:.3f}), "
                f"{steps} steps",
                f"untrained {fresh[IN_CONTEXT]:.3f} and {fresh[IN_WEIGHTS]:.3f}; with shuffled labels "
                f"{there[SHUFFLED]:.3f}",
                held,
            )
        )
    return claims


def _transience(found: Mapping[str, Found], number: int) -> list[Claim]:
    """Of the longest training."""
    if not found:
        return []
    name, longest = max(found.items(), key=lambda item: item[1]["looks"][-1]["step"])
    looks = longest["looks"]
    peak, last = max(looks, key=lambda look: float(look[IN_CONTEXT])), looks[-1]
    low, high = difference(peak[IN_CONTEXT], last[IN_CONTEXT], number)
    rose = interval(peak[IN_CONTEXT], number)[0] > COIN
    return [
        Claim(
            "learning in context is transient: it comes, and goes while accuracy from weights grows "
            "(Singh 2023)",
            f"{name}: in context {_share(peak[IN_CONTEXT], number)} at its peak after {peak['step']} steps, "
            f"{_share(last[IN_CONTEXT], number)} after {last['step']}, gone "
            f"{peak[IN_CONTEXT] - last[IN_CONTEXT]:.3f} [{low:.3f}, {high:.3f}]; in weights "
            f"{peak[IN_WEIGHTS]:.3f} and {last[IN_WEIGHTS]:.3f}",
            f"with shuffled labels {peak[SHUFFLED]:.3f} and {last[SHUFFLED]:.3f}; the peak is the highest of "
            f"{len(looks)} looks, so a part of the fall is chance",
            None if not rose else True if low > 0.05 else False if high < 0.05 else None,
        )
    ]


def _at(one: Found, steps: int) -> Mapping[str, Any]:
    return next(look for look in one["looks"] if look["step"] == steps)


def _share(share: float, number: int) -> str:
    low, high = interval(share, number)
    return f"{share:.3f} [{low:.3f}, {high:.3f}]"


def _table(found: Mapping[str, Found], steps: int, number: int) -> Table:
    names = (IN_CONTEXT, OF_TWO, SHUFFLED, IN_WEIGHTS, USUAL)
    rows: list[tuple[str | float | int | None, ...]] = []
    for name, one in found.items():
        asked = {0, steps, one["looks"][-1]["step"]}
        looks = [look for look in one["looks"] if look["step"] in asked]
        rows += [(name, look["step"], *(_share(look[n], number) for n in names)) for look in looks]
    return Table("accuracy", ("data", "steps", *names), tuple(rows))


def _figure(found: Mapping[str, Found], what: str, number: int) -> Figure:
    lines = [_line(name, one["looks"], what, number) for name, one in found.items()]
    if what == IN_CONTEXT:
        lines += [
            _line(f"{name}, shuffled labels", one["looks"], SHUFFLED, number, control=True)
            for name, one in list(found.items())[:1]
        ]
    else:
        end = max(one["looks"][-1]["step"] for one in found.values())
        lines += [
            Series(
                f"most frequent label, zipf {zipf:g}", [0, end], [chance, chance], control=True,
            )
            for zipf, chance in {one["zipf"]: one["chance"] for one in found.values()}.items()
        ]  # fmt: skip
    name = f"bursty_{what.replace(' ', '_')}"
    return Figure(name, f"Accuracy {what} over training", "training steps", "accuracy", tuple(lines))


def _line(name: str, looks: list[Any], what: str, number: int, control: bool = False) -> Series:
    shares = [look[what] for look in looks]
    bounds = [interval(share, number) for share in shares]
    low, high = [one[0] for one in bounds], [one[1] for one in bounds]
    return Series(name, [look["step"] for look in looks], shares, low, high, control=control)
