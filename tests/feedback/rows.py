"""Files of annotations, and planted comparisons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from icl.feedback import Comparison, Feedback, read_feedback

STRENGTHS = {"weak": -0.9, "plain": -0.2, "good": 0.3, "best": 0.8}
"""Their mean is 0."""


def read(tmp_path: Path, rows: Sequence[Mapping[str, object]], name: str = "rows.jsonl") -> Feedback:
    """The rows, written and read."""
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_feedback(str(path))


def vote(item: str, annotator: str, winner: str, a: str = "x", b: str = "y") -> dict[str, object]:
    """A row of kind pairwise, with texts."""
    texts = {"text_a": f"{a} on {item}", "text_b": f"{b} on {item}"}
    return {
        "item": item,
        "annotator": annotator,
        "prompt": f"{item}?",
        "a": a,
        "b": b,
        "winner": winner,
    } | texts


def rated(item: str, annotator: str, value: float, **more: object) -> dict[str, object]:
    """A row of kind scale."""
    return {"item": item, "annotator": annotator, "value": value, **more}


def planted_games(seed: int, games: int) -> list[Comparison]:
    """Two candidates drawn for every item, and a winner by Bradley and Terry's model with STRENGTHS."""
    stream = np.random.default_rng(seed)
    found = []
    for item in range(games):
        a, b = (list(STRENGTHS)[at] for at in stream.choice(len(STRENGTHS), 2, replace=False))
        won = stream.random() < 1 / (1 + np.exp(STRENGTHS[b] - STRENGTHS[a]))
        found.append(Comparison("", str(item), "1", a, b, float(won), "f:1"))
    return found


def planted_orders(seed: int, items: int) -> list[list[str]]:
    """All candidates, ranked by Luce's model with STRENGTHS (the order of strengths with Gumbel noise)."""
    stream = np.random.default_rng(seed)
    names, values = list(STRENGTHS), np.array(list(STRENGTHS.values()))
    noise = stream.gumbel(size=(items, len(names)))
    return [[names[at] for at in np.argsort(-(values + one))] for one in noise]
