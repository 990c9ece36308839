"""A run folder with all that a line can hold, written by the store itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from icl.experiments.file.config import read_experiment
from icl.experiments.folder.store import Contents, RunFolder
from icl.experiments.records import Cell, CellResult
from icl.types import Dropped, Prediction, Usage

EXPERIMENT = {"name": "made", "model": "m", "task": "t", "grid": {"selector": "knn", "shots": [4]}}


def prediction(i: int, *, right: bool) -> Prediction:
    """Query i: two demonstrations, two labels, a flag; query 0 has no answer and half a surrogate pair."""
    return Prediction(
        f"q{i}",
        (("e1", 0.5), ("e2", None)),
        None if i == 0 and not right else "yes",
        "yes" if right else "no",
        right,
        output='=1+1 "said", \n<script>alert(1)</script> \x1b[31m \ud83d' if i == 0 else "plain",
        label_scores={"yes": -0.1, "no": -2.0},
        flags=("near_tie",),
        dropped=(Dropped("e3", "long"),),
        details={"votes": {"yes": 3}, "prompt_tokens": 9, **({"score": 0.5} if i == 1 and not right else {})},
        usage=Usage(10, 5, 0, 0.1),
    )


def write_run(path: Path, queries: int = 4, selectors: Sequence[str] = ("knn", "random")) -> Path:
    """Two selectors, two seeds; `random` is wrong about queries 0 and 1."""
    cells = [Cell("m", "t", selector, 4, "o", "d", seed) for selector in selectors for seed in (0, 1)]
    folder = RunFolder(path)
    experiment = read_experiment({**EXPERIMENT, "name": path.name})[0].resolved
    folder.begin(Contents(experiment, cells, {}, {"t": queries}))
    for cell in cells:
        made = tuple(prediction(i, right=i > 1 or cell.selector == "knn") for i in range(queries))
        folder.writer(cell, queries).finish(CellResult(cell, made))
    folder.close()
    return path
