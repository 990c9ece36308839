"""How good a network is on examples kept from training: accuracy by label scores, or the loss alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from icl.labels import LABELLED
from icl.protocols import Renderer, Tokenizer
from icl.training import TrainingRow
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.forward import Layout, token_logprobs, virtual_length
from icl.tuning.shared.loop import cut
from icl.tuning.shared.tokens import TokenRow, tokenised
from icl.types import Example, Task

MOST_LABELS = 20
"""With more labels than this the loss decides."""


class Validation:
    """Examples of a task that nothing is trained on.

    Classification, boolean and multiple choice: the share whose right label is most probable, and the mean
    log-likelihood of the right answers as a tie-break (a thousandth of it); other kinds the latter alone.
    """

    def __init__(
        self, examples: Sequence[Example], rows: Sequence[TrainingRow], task: Task, renderer: Renderer,
        tokenizer: Tokenizer, limit: int,
    ) -> None:  # fmt: skip
        self._groups: list[tuple[list[TokenRow], int]] = []
        for example, row in zip(examples, rows, strict=True):
            labels = _labels(example, task)
            if not labels:
                found = list(tokenised([row], tokenizer, limit).rows)
                self._groups += [(found, 0)] if found else []
                continue
            answers = [renderer.answer(label, query=example.query) for label in labels]
            made = tokenised([replace(row, completion=a) for a in answers], tokenizer, limit)
            if len(made.rows) == len(labels):
                self._groups.append((list(made.rows), labels.index(example.target)))

    def __len__(self) -> int:
        return len(self._groups)

    @torch.no_grad()
    def __call__(self, attached: Attached, layout: Layout, at_once: int) -> tuple[float, int]:
        """(how good, tokens asked)."""
        rows = [row for group, _ in self._groups for row in group]
        sums: dict[int, float] = {}
        means: dict[int, float] = {}
        root = attached.root()
        for part in cut(rows, at_once):
            for row, logprobs in zip(part, token_logprobs(attached.network, part, root, layout), strict=True):
                sums[id(row)], means[id(row)] = float(logprobs.sum()), float(logprobs.mean())
        right = likelihood = 0.0
        labelled = any(len(group) > 1 for group, _ in self._groups)
        for group, gold in self._groups:
            scores = [sums[id(row)] for row in group]
            right += scores.index(max(scores)) == gold
            likelihood += means[id(group[gold])]
        count = max(len(self._groups), 1)
        value = right / count + 1e-3 * likelihood / count if labelled else likelihood / count
        virtual = virtual_length(root) * len(rows)
        return value, sum(len(row.ids) for row in rows) + virtual


def _labels(example: Example, task: Task) -> list[str]:
    if task.kind not in LABELLED:
        return []
    labels = list(example.choices) if task.kind == "multiple_choice" else list(task.labels)
    return labels if 1 < len(labels) <= MOST_LABELS and example.target in labels else []
