"""Inline SVG without a plotting library: a scale, and curves with intervals.

Colours are CSS variables (--ink, --dim, --grid, --page, --series-0..5), so that a page decides on
light or dark; each has a light one to fall back on where a figure is saved alone.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from icl.printable import visible

COLOURS = ("#2563eb", "#d97706", "#059669", "#c026d3", "#dc2626", "#0891b2")
TOP, BOTTOM = 12, 34
GLYPH = 7.2
"""Pixels that a letter of the 12 px font takes, about."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval at `x`."""

    x: float
    value: float
    low: float
    high: float


def escape(text: str) -> str:
    """Text for SVG, with what steers or hides written out: XML takes no control characters."""
    return html.escape(visible(text))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, at most count + 2."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def padded(numbers: Sequence[float]) -> tuple[float, float]:
    """The range of `numbers` with a margin, never empty."""
    low, high = min(numbers), max(numbers)
    margin = 0.06 * (high - low) or 0.05
    return low - margin, high + margin


def colour(series: int) -> str:
    """The CSS colour of a series."""
    return f"var(--series-{series % len(COLOURS)}, {COLOURS[series % len(COLOURS)]})"


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "ink") -> str:
    fill = f"var(--{kind}, {'#111' if kind == 'ink' else '#666'})"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{stroke}" stroke-width="{width}"{dashed}/>'
    )


GRID, DIM = "var(--grid, #ddd)", "var(--dim, #666)"
DASHES = ("6 4", "2 3", "10 3 2 3")


def _figure(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )


def curve_plot(
    series: Mapping[str, Sequence[Point]],
    levels: Mapping[str, float],
    *,
    title: str,
    x_label: str,
    width: int = 760,
    height: int = 320,
    doubling: bool = False,
) -> str:
    """Lines with their intervals as bars, side by side; `levels` are dashed lines across (zero-shot).

    doubling: 1, 2, 4, 8 (> 0) stand equally far apart.
    """
    points = [p for line in series.values() for p in line]
    if not points:
        return ""
    names = [*series, *levels]
    legend = min(GLYPH * max(len(name) for name in names) + 44, width * 0.4)
    left, right, floor = 48.0, width - max(legend, 90), height - BOTTOM
    xs = sorted({p.x for p in points})
    low, high = padded([y for p in points for y in (p.low, p.high)] + list(levels.values()))
    scale: Callable[[float], float] = math.log2 if doubling else float
    x_low, x_high = (scale(xs[0]), scale(xs[-1])) if len(xs) > 1 else (scale(xs[0]) - 1, scale(xs[0]) + 1)
    margin, middle = 14 + 2 * len(series), (len(series) - 1) / 2

    def across(x: float, number: float) -> float:
        beside = 4.0 * (number - middle)  # intervals of one x do not cover one another
        return left + margin + (right - left - 2 * margin) * (scale(x) - x_low) / (x_high - x_low) + beside

    def up(y: float) -> float:
        return TOP + (floor - TOP) * (high - y) / (high - low)

    body = []
    for tick in ticks(low, high):
        body.append(_line(left, up(tick), right, up(tick), GRID))
        body.append(_text(left - 6, up(tick) + 4, f"{100 * tick:g}", "end", "dim"))
    body += [_text(across(x, middle), floor + 16, f"{x:g}", "middle", "dim") for x in xs]
    body.append(_text((left + right) / 2, height - 4, x_label, "middle", "dim"))
    for i, level in enumerate(levels.values()):
        body.append(_line(left, up(level), right, up(level), DIM, 1.5, DASHES[i % len(DASHES)]))
    for i, (name, line) in enumerate(series.items()):
        ordered = sorted(line, key=lambda p: p.x)
        path = " ".join(f"{across(p.x, i):.1f},{up(p.value):.1f}" for p in ordered)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour(i)}" stroke-width="2"/>')
        for p in ordered:
            x = across(p.x, i)
            body.append(_line(x, up(p.low), x, up(p.high), colour(i), 1.5))
            body.append(
                f'<circle cx="{x:.1f}" cy="{up(p.value):.1f}" r="4" fill="{colour(i)}"><title>{escape(name)} '
                f"at {p.x:g}: {100 * p.value:.1f} [{100 * p.low:.1f}, {100 * p.high:.1f}]</title></circle>"
            )
    for i, name in enumerate(names):
        y, level = TOP + 12 + 18 * i, i - len(series)
        dash = DASHES[level % len(DASHES)] if level >= 0 else ""
        body.append(_line(right + 10, y, right + 28, y, DIM if dash else colour(i), 2, dash))
        body.append(_text(right + 34, y + 4, _cut(name, int((width - right - 34) / GLYPH))))
    return _figure(width, max(height, TOP + 18 * len(names) + 12), title, body)


def _cut(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: max(letters - 1, 1)] + "…"
