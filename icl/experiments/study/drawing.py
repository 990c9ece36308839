"""Figures of a study as PNG files, by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from icl.experiments.folder.disk import write_whole
from icl.mechanism.contract import Figure, Series
from icl.printable import visible

LACKING = (
    "no figures are drawn into files: matplotlib is not installed (pip install 'icl[plot]'); icl report "
    "draws them on a page"
)
SIZE = (6.4, 4.0)
"""Inches."""
DPI = 110
FEW = 40
"""Points of a line that are marked."""
LONGEST = 24
"""Characters of a place's name."""
CONTROL = {"linestyle": "--", "alpha": 0.65}
"""How a control is told from what it is held against."""


def draw_figures(figures: Sequence[Figure], folder: Path) -> str:
    """Each as <folder>/<name>.png; in words what hindered, "" if nothing did. Raises OSError."""
    if not figures:
        return ""
    if importlib.util.find_spec("matplotlib") is None:
        return LACKING
    folder.mkdir(exist_ok=True)
    for figure in figures:
        write_whole(folder / f"{figure.name}.png", png(figure))
    return ""


def png(figure: Figure) -> bytes:
    """The figure as an image; the same bytes for the same data and version of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    axes.set_title(_text(figure.title), fontsize=10)
    axes.set_xlabel(_text(figure.x))
    axes.set_ylabel(
        _text(figure.y) if figure.highest is None else f"{_text(figure.y)}, cut off at {figure.highest:g}"
    )
    if figure.cells:
        _map(drawing, axes, figure)
    else:
        _series(axes, figure)
    made = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn in its place
        drawing.savefig(made, format="png", metadata={"Software": None})
    return made.getvalue()


def _map(drawing: Any, axes: Any, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator

    cells = np.array([[np.nan if v is None else v for v in row] for row in figure.cells], dtype=float)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    image = axes.imshow(cells, aspect="auto", origin="lower", interpolation="nearest", cmap="viridis")
    drawing.colorbar(image, ax=axes)


def _series(axes: Any, figure: Figure) -> None:
    """Lines, points and rows of bars over numbers or names."""
    names = list(dict.fromkeys(x for one in figure.series for x in one.x if isinstance(x, str)))
    bars = [one for one in figure.series if one.kind == "bars"]
    for at, one in enumerate(figure.series):
        x = np.array([names.index(v) if isinstance(v, str) else v for v in one.x], dtype=float)
        colour = f"C{at % 10}"
        if one.kind == "bars":
            _bars(axes, one, x, bars.index(one), len(bars), colour)
        else:
            _line(axes, one, x, colour)
    if names:
        labels = [_text(_cut(name, LONGEST)) for name in names]
        aslant = {"rotation": 30, "ha": "right"} if max(map(len, labels)) > 8 or len(labels) > 12 else {}
        axes.set_xticks(range(len(names)), labels, **aslant)
    if figure.log_x:
        axes.set_xscale("log")
    if figure.log_y:
        axes.set_yscale("log")
    if figure.highest is not None:
        axes.set_ylim(0.0, figure.highest)
    if figure.series:
        axes.legend(fontsize=8)


def _bars(axes: Any, one: Series, x: Any, at: int, of: int, colour: str) -> None:
    """Bars of one series beside those of the others."""
    steps = np.diff(np.unique(x))
    width = 0.8 * float(steps.min() if len(steps) else 1.0) / of
    y, error = _numbers(one.y), _errors(one)
    place = x + (at - (of - 1) / 2) * width
    look = {"hatch": "//", "alpha": CONTROL["alpha"]} if one.control else {}
    axes.bar(place, y, width, label=_name(one), color=colour, yerr=error, capsize=2, **look)


def _line(axes: Any, one: Series, x: Any, colour: str) -> None:
    """A line with a band, or points with bars of error."""
    y, look = _numbers(one.y), dict(CONTROL) if one.control else {}
    if one.kind == "points":
        mark = "x" if one.control else "o"
        axes.errorbar(
            x,
            y,
            yerr=_errors(one),
            fmt=mark,
            color=colour,
            label=_name(one),
            markersize=4,
        )
        return
    dot = "." if len(x) <= FEW else None  # a point between two holes is no line
    axes.plot(x, y, color=colour, label=_name(one), marker=dot, **look)
    if one.low and one.high:
        axes.fill_between(x, _numbers(one.low), _numbers(one.high), color=colour, alpha=0.15, linewidth=0)


def _errors(one: Series) -> Any:
    """Distances to the ends of the intervals, [2, n]; None without them."""
    if not one.low or not one.high:
        return None
    y = _numbers(one.y)
    return np.nan_to_num(np.clip([y - _numbers(one.low), _numbers(one.high) - y], 0, None))


def _numbers(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _text(text: str) -> str:
    """As it stands, if not too long: a dollar begins no formula."""
    return visible(text, keep="").replace("$", r"\$")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _name(one: Series) -> str:
    return _text(_cut(one.name, 2 * LONGEST))
