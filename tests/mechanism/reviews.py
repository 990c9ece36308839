"""A task of made-up reviews, and fake models that lean where they are told to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from icl.engine.fake import FakeModel
from icl.mechanism.contract import Decoder, Found, Study, Work
from icl.tasks import TaskData
from icl.types import Example, Task, Template

LABELS = ("bad", "mixed", "good")


def reviews(labels: Sequence[str] = LABELS, rows: int = 60, kind: Any = "classification") -> TaskData:
    """As many rows of each label, none of which tells its label."""
    task = Task("reviews", kind, Template("Review: {{ text }}\nVerdict:"), ("text",), tuple(labels))

    def made(split: str) -> tuple[Example, ...]:
        return tuple(
            Example(f"{split}{at}", {"text": f"{split} film number {at}"}, labels[at % len(labels)])
            for at in range(rows)
        )

    return TaskData(task, made("train"), made("test"))


def taste(text: str, label: str) -> float:
    """A liking between 0 and 1 that depends on both."""
    digest = hashlib.blake2b(f"{text}\x1f{label}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def last_label(prompt: str) -> str | None:
    """What the last demonstration of a prompt is answered with."""
    found = re.findall(r"Verdict: (\w+)", prompt)
    return found[-1] if found else None


def leaning(bias: float, liking: float = 1.0) -> Callable[[str, str], float]:
    """log-probabilities of a model that likes labels by the query's text, and adds `bias` to the label of
    the last demonstration: what a recency bias is, of known size."""

    def score(prompt: str, continuation: str) -> float:
        query = prompt.rsplit("Review: ", 1)[1].removesuffix("\nVerdict:")
        label = continuation.strip()
        return liking * taste(query, label) + bias * (label == last_label(prompt)) - 5.0

    return score


def work_on(folder: Path, data: TaskData, model: FakeModel, found: dict[str, Found] | None = None) -> Work:
    """Work on a task with a fake model."""
    decoder = Decoder("fake", None, model.tokenizer, lambda: model)
    tasks = {"reviews": data}
    return Work(
        0, folder, lambda done: None, lambda line: None, model=decoder, tasks=tasks, found=found or {}
    )


def done(study: Study, work: Work) -> dict[str, Found]:
    """What all steps find."""
    return {step.name: study.run(step, work) for step in study.steps()}
