"""What cells of one (task, seed) have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from icl.experiments.asking.thinking import MarkedModel
from icl.experiments.grid.cells import PlannedCell
from icl.experiments.grid.check import Checked
from icl.prompts import PromptRenderer
from icl.protocols import Encoder, LanguageModel, Resources


def groups(cells: Sequence[PlannedCell]) -> Iterator[tuple[tuple[str, int], list[PlannedCell]]]:
    """Cells by (task, seed) of one model and tuning; the grid's order keeps them together."""
    for (key, *_), group in groupby(
        cells, key=lambda c: ((c.cell.task, c.cell.seed), c.cell.tuning, c.cell.model)
    ):
        yield key, list(group)


def resources_for(
    checked: Checked,
    task: str,
    seed: int,
    model: LanguageModel,
    encoder: Encoder | None,
    *,
    rehearsal: bool = False,
) -> Resources:
    """What the components of one (task, seed) may use. rehearsal: the model is that of a plan."""
    experiment, definition = checked.experiment, checked.tasks[task].task
    renderer = PromptRenderer(
        task=definition,
        tokenizer=model.tokenizer,
        context_length=model.context_length,
        chat=experiment.prompt.chat,
        overflow=experiment.prompt.overflow,
    )
    return Resources(
        definition,
        seed,
        MarkedModel(model, definition.reading.think) if definition.reading.think else model,
        encoder,
        renderer,
        experiment.duplicate_threshold,
        rehearsal=rehearsal,
    )
