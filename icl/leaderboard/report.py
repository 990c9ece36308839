"""A report in one HTML file: no script, no font, no picture from anywhere else.

Everything that comes from data or from a model passes through jinja2's autoescape; only figures
drawn by `icl.leaderboard.svg`, which escapes its own labels, are inserted as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from icl.experiments.records import CellResult
from icl.leaderboard.curves import curves
from icl.leaderboard.rows import Row
from icl.leaderboard.svg import COLOURS, Dot, dot_plot
from icl.leaderboard.table import Leaderboard
from icl.printable import visible
from icl.types import Prediction

CHARACTERS = 2000
"""Of a model's output shown in the report; the run folder holds all of it."""


def html_report(
    board: Leaderboard,
    *,
    title: str = "Leaderboard",
    manifest: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    results: Sequence[CellResult] = (),
    mistakes: int = 12,
) -> str:
    """The whole page as text. `results` add a few wrong or flagged answers a reader should see."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_shown)
    template = environment.from_string(
        files("icl.leaderboard").joinpath("report.html").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        board=board,
        columns=board.columns,
        sections=[list(rows) for _, rows in groupby(board.rows, key=lambda r: (r.model, r.task))],
        figures=[(caption, Markup(svg)) for caption, svg in figures(board)],
        colours=COLOURS,
        notes=notes,
        mistakes=_mistakes(results, mistakes),
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False, default=str) if manifest else "",
    )


def _shown(value: object) -> object:
    """Every text that stands in the page; figures are markup already."""
    return visible(value) if type(value) is str else value


def figures(board: Leaderboard) -> list[tuple[str, str]]:
    """(caption, SVG): a dot-and-interval plot a task; curves over shots where shots differ."""
    drawn = []
    for (model, task), group in groupby(board.rows, key=lambda r: (r.model, r.task)):
        rows = [row for row in group if row.value is not None]
        if rows:
            caption = f"{task}, {model}: {board.metric} in % with 95 % intervals"
            drawn.append((caption, dot_plot(_dots(board, rows), title=caption)))
    over_shots = curves(board)
    if any(len(line) > 1 for line in over_shots.lines.values()):
        caption = f"{board.metric} in % against shots; bars are 95 % intervals"
        drawn.append((caption, over_shots.to_svg()))
    return drawn


def _dots(board: Leaderboard, rows: Sequence[Row]) -> list[Dot]:
    """One colour a selector; reference rows are hollow."""
    colour = {name: i for i, name in enumerate(dict.fromkeys(row.selector for row in board.rows))}
    varying = [c for c in board.columns if c.key in ("selector", "shots", "orderer", "method", "tuning")]
    dots = []
    for row in rows:
        if row.value is None:
            continue
        words = [f"{c.show(row)}-shot" if c.key == "shots" else c.show(row) for c in varying]
        label = row.name if row.is_reference else " · ".join(words)
        value = row.value
        dots.append(Dot(label, value.value, value.low, value.high, colour[row.selector], row.is_reference))
    return dots


def _mistakes(results: Sequence[CellResult], count: int) -> list[tuple[str, Prediction]]:
    """The first unparsed, then the first wrong predictions: one a cell in turn, `count` in all."""
    queues = []
    for result in results:
        wrong = [p for p in result.predictions if not p.correct or p.flags]
        wrong.sort(key=lambda p: (p.answer is not None, not p.flags))
        queues.append([(result.cell.id, _cut(p)) for p in wrong[:count]])
    turns = [queue[i] for i in range(count) for queue in queues if i < len(queue)]
    return turns[:count]


def _cut(prediction: Prediction) -> Prediction:
    if len(prediction.output) <= CHARACTERS:
        return prediction
    shown = prediction.output[:CHARACTERS] + f" ... ({len(prediction.output)} characters in all)"
    return replace(prediction, output=shown)
