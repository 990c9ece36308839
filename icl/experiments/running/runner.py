"""Runs an experiment: from checked cells to a run folder, going on where an earlier run ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from icl.encoders import load_encoder
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.metered import MeteredModel
from icl.experiments.asking.models import model_source, open_model
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.asking.timed import TimedModel
from icl.experiments.folder.manifest import first_manifest, hardware, now
from icl.experiments.folder.rates import remember
from icl.experiments.folder.store import RunFolder
from icl.experiments.folder.versions import versions
from icl.experiments.grid.cells import LABELLED, PlannedCell, majority_cell
from icl.experiments.grid.check import Checked
from icl.experiments.grid.choices import Choices
from icl.experiments.records import Cell, CellResult
from icl.experiments.running.judge import about_data, judge, majority
from icl.experiments.running.opencell import OpenCell, Place
from icl.experiments.running.progress import Meter
from icl.prompts import PromptRenderer
from icl.protocols import Encoder, LanguageModel, Reporting, Resources, metrics
from icl.types import Outcome

log = logging.getLogger("icl")

CACHE = ".cache"


class Runner:
    """One session with one experiment. `run` may be called again after it was broken off."""

    def __init__(
        self,
        checked: Checked,
        root: Path,
        *,
        model: LanguageModel | None = None,
        max_memory: int | None = None,
        window: Window | None = None,
        meter: Meter | None = None,
        restart: bool = False,
    ) -> None:
        self.checked = checked
        self.folder = RunFolder(root / checked.experiment.name)
        self.window = window or Window()
        self.meter = meter or Meter()
        self._root = root
        self._given = model
        self._max_memory = max_memory
        self._restart = restart

    def run(self) -> RunFolder:
        """Runs what is not complete. Raises IclError; a broken-off run goes on with the same call."""
        checked, folder = self.checked, self.folder
        try:
            folder.begin(
                checked.experiment.resolved,
                checked.data_fingerprints,
                self._all_cells(),
                first_manifest(checked),
                restart=self._restart,
            )
            self._majority_rows()
            left = [c for c in checked.cells if not folder.is_complete(c.cell)]
            total = sum(self._size(c) for c in checked.cells)
            self.meter.start(total, total - sum(self._size(c) for c in left))
            if left:
                self._session(left)
        finally:
            self.meter.stop()
            folder.close()
        return folder

    def _size(self, cell: PlannedCell) -> int:
        return len(self.checked.splits[cell.cell.task, cell.cell.seed].test)

    def _all_cells(self) -> list[Cell]:
        """Majority rows and the grid, in the order of the grid."""
        cells: list[Cell] = []
        for (task, seed), group in groups(self.checked.cells):
            if self.checked.tasks[task].task.kind in LABELLED:
                cells.append(majority_cell(self.checked.experiment, task, seed))
            cells += [c.cell for c in group]
        return cells

    def _session(self, left: Sequence[PlannedCell]) -> None:
        """Loads the model and works through the cells that are left."""
        folder, experiment = self.folder, self.checked.experiment
        began = now()
        self.meter.note(f"loading {experiment.model_label}")
        model = self._given or open_model(experiment, max_memory=self._max_memory)
        origin = "given by the caller" if self._given is not None else model_source(experiment)
        folder.check_model({"name": model.name, "origin": origin, "fingerprint": model.fingerprint})
        encoder = self._encoder()
        if isinstance(model, Reporting):
            model.report_to(self.meter.forwards)
        timed = TimedModel(model)
        store = ResponseStore(self._root / CACHE / "responses.sqlite")
        try:
            cached = CachedModel(timed, store, observer=self.meter)
            self._work(left, MeteredModel(cached), encoder)
        finally:
            store.close()
            remember(self._root / CACHE, experiment, timed.work)
        session = {
            "began": began,
            "ended": now(),
            "engine": getattr(model, "engine", type(model).__name__),
            "computed": asdict(self.meter.computed),
            "reused": asdict(self.meter.reused),
            "near_ties": self.meter.near_ties,
        }
        sessions = [*folder.manifest()["sessions"], session]
        folder.update_manifest(sessions=sessions, versions=versions(), hardware=hardware(), finished=now())

    def _encoder(self) -> Encoder | None:
        if not self.checked.needs_encoder:
            return None
        name = self.checked.experiment.encoder
        self.meter.note(f"loading encoder {name}")
        encoder = load_encoder(name, cache=self._root / CACHE / "embeddings")
        entry = {"name": name, "origin": encoder.source, "fingerprint": encoder.fingerprint}
        self.folder.update_manifest(encoder=entry)
        return encoder

    def _work(self, left: Sequence[PlannedCell], model: MeteredModel, encoder: Encoder | None) -> None:
        working: list[OpenCell] = []

        def finished(talk: Conversation[Place], outcome: Outcome) -> None:
            cell = talk.tag.cell
            self.meter.predicted(outcome.flags)
            if cell.receive(talk.tag.index, outcome, talk.usage):
                working.remove(cell)
                self._report(cell)

        try:
            talks = self._conversations(left, model, encoder, working)
            converse(talks, model, self.window, finished, self.meter.asks)
        finally:
            for cell in working:
                cell.writer.sync()

    def _conversations(
        self,
        left: Sequence[PlannedCell],
        model: MeteredModel,
        encoder: Encoder | None,
        working: list[OpenCell],
    ) -> Iterator[Conversation[Place]]:
        """Query by query through all cells of a (task, seed): prompts that share most meet."""
        for (task, seed), group in groups(left):
            self.meter.note(f"{task}, seed {seed}: choosing demonstrations")
            resources = resources_for(self.checked, task, seed, model, encoder)
            choices = Choices(self.checked.splits[task, seed], resources, model)
            cells = [self._open(planned, choices) for planned in group]
            for cell in cells:
                cell.begin()
            working += cells
            for index, query in enumerate(choices.queries):
                for cell in cells:
                    solve = cell.method.solve(query, cell.demonstrations[index], choices.resources)
                    yield Conversation(Place(cell, index), solve, cell.paid)

    def _open(self, planned: PlannedCell, choices: Choices) -> OpenCell:
        task = choices.resources.task
        names = ["accuracy", task.metric]
        if self.checked.experiment.leaderboard.metric is not None:
            names.append(self.checked.experiment.leaderboard.metric)
        return OpenCell(
            planned,
            task,
            choices,
            self.folder.writer(planned.cell),
            metrics.create(task.metric),
            tuple(names),
        )

    def _majority_rows(self) -> None:
        """The row without a model, from the pool's labels alone."""
        for (task, seed), split in self.checked.splits.items():
            definition = self.checked.tasks[task].task
            cell = majority_cell(self.checked.experiment, task, seed)
            if definition.kind not in LABELLED or self.folder.is_complete(cell):
                continue
            predictions = majority(split, definition, metrics.create(definition.metric))
            values = judge(predictions, definition, ("accuracy", definition.metric))
            label = {"majority_label": predictions[0].answer, **about_data(split)}
            self.folder.writer(cell).finish(CellResult(cell, predictions, metrics=values, notes=label))

    def _report(self, cell: OpenCell) -> None:
        flags = [f for p in cell.predictions for f in p.flags]
        near = flags.count("near_tie")
        if near:
            log.warning("%s: %d near ties (margin below 1e-4)", cell.planned.cell.id, near)
        value = sum(p.correct for p in cell.predictions) / len(cell.predictions)
        self.meter.note(f"{_words(cell.planned.cell)}: {value:.1%} correct")


def _words(cell: Cell) -> str:
    return f"{cell.task} {cell.selector} {cell.shots}-shot {cell.orderer} {cell.method} seed {cell.seed}"


def groups(cells: Sequence[PlannedCell]) -> Iterator[tuple[tuple[str, int], list[PlannedCell]]]:
    """Cells by (task, seed); the grid's order keeps them together."""
    for key, group in groupby(cells, key=lambda c: (c.cell.task, c.cell.seed)):
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
        model,
        encoder,
        renderer,
        experiment.duplicate_threshold,
        rehearsal=rehearsal,
    )
