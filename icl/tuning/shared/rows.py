"""The pool as training rows: the prompt that a query would get without demonstrations, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icl.labels import LABELLED
from icl.protocols import Renderer
from icl.training import TrainingRow
from icl.types import Example, Task

End = Literal["auto", "always", "never"]
ENDS = ("auto", "always", "never")


def task_rows(
    pool: Sequence[Example], task: Task, renderer: Renderer, end: End = "auto"
) -> list[TrainingRow]:
    """One row an example, as `direct` and `generate` ask with zero shots.

    end: whether what stands after a demonstration's answer (a blank line, the end of a chat's turn) is
    learned too. "auto": where answers are written; labels are scored without it, and a label of one token
    would be trained as two targets.
    """
    closing = renderer.end if end == "always" or (end == "auto" and task.kind not in LABELLED) else ""
    rows = []
    for example in pool:
        prompt = renderer.prompt(example.query, ()).text
        answer = renderer.answer(example.target, query=example.query)
        rows.append(TrainingRow(example.id, prompt, answer + closing, task.name))
    return rows
