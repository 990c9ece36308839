"""The first prompts of an experiment as its model will read them. No weights of the model are loaded.

Demonstrations are chosen, ordered and rendered as in the run. Where choosing them asks the model, the
answers are made up, which is told: the run may choose others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from icl.conversation import ask
from icl.encoders import load_encoder
from icl.engine.loading.pieces import Piece, pieces
from icl.engine.requests.encoding import encode_scores
from icl.experiments.asking.metered import MeteredModel
from icl.experiments.asking.models import TokenizerOnly, open_tokenizer
from icl.experiments.asking.thinking import marked
from icl.experiments.file.baseline import find_label
from icl.experiments.grid.cells import PlannedCell
from icl.experiments.grid.check import REGISTRIES, Checked
from icl.experiments.grid.choices import Choices
from icl.experiments.plan import RehearsalModel
from icl.experiments.records import Cell
from icl.experiments.running.grouped import resources_for
from icl.prompts.notes import chat_notes
from icl.protocols import LanguageModel, Solve
from icl.types import Outcome, Prompt, Query, Request, Response, ScoreRequest


@dataclass(frozen=True, slots=True)
class Preview:
    """One query's first prompt, and what is asked after it."""

    cell: Cell
    query: Query
    prompt: Prompt
    """As the method tells it: demonstrations in it, and those that did not fit."""
    asked: tuple[Request, ...]
    """Everything the method asks for the query, the rest with made-up answers; () where it asks nothing."""
    guessed: bool
    """Choosing the demonstrations asked the model, whose answers were made up."""
    model: TokenizerOnly
    notes: tuple[str, ...] = ()
    """What the model's chat template does of itself."""

    @property
    def text(self) -> str:
        """Of the first request's prompt; one that is given as ids is decoded."""
        prompt = self.asked[0].prompt
        return prompt if isinstance(prompt, str) else self.model.tokenizer.decode(prompt)

    def pieces(self) -> tuple[list[Piece], int]:
        """The text cut at its special tokens, and its tokens."""
        return pieces(self.model.tokenizer, self.text)

    def answers(self) -> list[tuple[str, int]]:
        """Each continuation that the first request scores, and how many tokens it is."""
        request = self.asked[0]
        if not isinstance(request, ScoreRequest):
            return []
        (encoded,) = encode_scores(self.model.tokenizer, [request])
        texts = [c if isinstance(c, str) else self.model.tokenizer.decode(c) for c in request.continuations]
        return list(zip(texts, map(len, encoded.continuations), strict=True))


def choose_cell(
    checked: Checked, task: str, selector: str | None, method: str | None, model: str | None = None
) -> PlannedCell:
    """The first cell of a task with these components, one with demonstrations if there is any.

    selector, method: labels, or names that only one label has; None takes the first. model: its label; None
    takes the first.
    """
    cells = [c for c in checked.cells if c.cell.task == task and model in (None, c.cell.model)]
    for axis, wanted in (("method", method), ("selector", selector)):
        if wanted is not None:
            label = find_label(axis, wanted, list(dict.fromkeys(getattr(c.cell, axis) for c in cells)))
            cells = [c for c in cells if getattr(c.cell, axis) == label]
    return next((c for c in cells if c.shots), cells[0])


def preview(checked: Checked, cell: PlannedCell, n: int) -> Iterator[Preview]:
    """The prompts of the first `n` test items of one cell.

    Raises ModelError where the tokenizer cannot be read or has no chat template that is asked for.
    """
    known = open_tokenizer(checked.experiment.of(cell.cell.model))
    rehearsal = RehearsalModel(known)
    model = MeteredModel(rehearsal)
    task, seed = cell.cell.task, cell.cell.seed
    encoder = load_encoder(checked.experiment.encoder) if _needs_encoder(cell) else None
    split = checked.splits[task, seed]
    split = replace(split, test=split.test[:n])
    choices = Choices(split, resources_for(checked, task, seed, model, encoder, rehearsal=True), model)
    demonstrations, _ = choices.demonstrations(cell)
    method, _ = choices.method(cell.method)
    guessed = rehearsal.total.requests > 0
    notes = chat_notes(known.tokenizer, checked.experiment.prompt.chat, choices.resources.task.instruction)
    for query, shown in zip(choices.queries, demonstrations, strict=True):
        solve = method.solve(query, shown, choices.resources)
        asked, outcome = _talk(marked(solve, choices.resources.task.reading.think), model)
        yield Preview(cell.cell, query, outcome.prompt, asked, guessed, known, notes)


def _needs_encoder(cell: PlannedCell) -> bool:
    items = {"selector": cell.selector, "orderer": cell.orderer, "method": cell.method}
    built = [REGISTRIES[axis].create(item.name, item.parameters) for axis, item in items.items()]
    return any("encoder" in part.needs for part in built)


def _talk(solve: Solve, model: LanguageModel) -> tuple[tuple[Request, ...], Outcome]:
    """What one conversation asks, and what it comes to."""
    every: list[Request] = []
    responses: list[Response] | None = None
    while True:
        try:
            asked = next(solve) if responses is None else solve.send(responses)
        except StopIteration as end:
            return tuple(every), end.value
        every += asked
        responses = ask(asked, model)
