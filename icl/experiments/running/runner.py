"""Runs an experiment: from checked cells to a run folder, going on where an earlier run ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from icl.encoders import load_encoder
from icl.errors import ContextOverflow, IclError, ModelError, StorageError, retold
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.metered import MeteredModel
from icl.experiments.asking.models import model_source, open_model
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.asking.timed import TimedModel
from icl.experiments.folder.manifest import first_manifest
from icl.experiments.folder.rates import remember
from icl.experiments.folder.store import TASKS, Contents, RunFolder
from icl.experiments.folder.texts import TaskTexts
from icl.experiments.grid.cells import BASE, PlannedCell, majority_cell
from icl.experiments.grid.check import Checked
from icl.experiments.grid.choices import Choices
from icl.experiments.grid.trainable import refuse_given
from icl.experiments.records import Cell, CellResult
from icl.experiments.running.grouped import groups, resources_for
from icl.experiments.running.judge import about_data, judge, majority
from icl.experiments.running.opencell import OpenCell, Place
from icl.experiments.running.progress import Meter
from icl.experiments.running.session import each, recorded, said_in_one_line, what_was_refused
from icl.experiments.running.tuned import Work, Workshop, let_go
from icl.labels import LABELLED
from icl.protocols import Encoder, LanguageModel, Reporting, metrics
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
        if model is not None:
            refuse_given(checked.experiment, checked.source)
        self.checked = checked
        self.folder = RunFolder(root / checked.experiment.name)
        self.window = window or Window()
        self.meter = meter or Meter()
        self._root = root
        self._given = model
        self._max_memory = max_memory
        self._restart = restart
        self._texts: dict[str, TaskTexts] = {}
        self._loaded: Encoder | None = None

    def run(self) -> RunFolder:
        """Runs what is not complete. Raises IclError; a broken-off run goes on with the same call.

        KeyboardInterrupt says how much is kept.
        """
        checked, folder = self.checked, self.folder
        try:
            with said_in_one_line(folder, self.meter):
                older = self._begin()
                self._texts = {name: folder.texts(data.task) for name, data in checked.tasks.items()}
                for (task, _), split in checked.splits.items():
                    self._texts[task].add(split.test)
                if older:
                    self._add_shown()
                self._majority_rows()
                left = [c for c in checked.cells if not self._is_complete(c.cell)]
                total = sum(self._size(c) for c in checked.cells)
                self.meter.start(total, total - sum(self._size(c) for c in left))
                self._note_outside()
                if left:
                    with recorded(folder, self.meter) as session:
                        self._session(left, session)
        finally:
            self.meter.stop()
            folder.close()
        return folder

    def _begin(self) -> bool:
        """Whether the folder is there already, of a format that kept no texts."""
        checked, folder = self.checked, self.folder
        carved = {task for (task, _), split in checked.splits.items() if split.report.carved}
        contents = Contents(
            experiment=checked.experiment.resolved,
            cells=self._all_cells(),
            data=checked.data_fingerprints,
            queries={task: len(split.test) for (task, _), split in checked.splits.items()},
            tasks={name: data.task for name, data in checked.tasks.items()},
            carved=sorted(carved),
            manifest=first_manifest(checked),
        )
        folder.begin(contents, restart=self._restart)
        return not all((folder.path / TASKS / f"{name}.json").exists() for name in checked.tasks)

    def _add_shown(self) -> None:
        """Texts of predictions that were made before texts were kept."""
        for result in self.folder.results():
            pool = {e.id: e for e in self.checked.splits[result.cell.task, result.cell.seed].pool}
            shown = (pool.get(i) for p in result.predictions for i, _ in p.demonstrations)
            self._texts[result.cell.task].add(e for e in shown if e is not None)

    def _note_outside(self) -> None:
        outside = self.folder.outside
        if outside:
            self.meter.note(
                f"{outside} cells that this grid does not have stay in the folder and are not shown"
            )

    def _is_complete(self, cell: Cell) -> bool:
        """A damaged cell is said to be so, and is not."""
        result = self.folder.result(cell)
        if result.damage:
            log.warning("%s. This cell alone is computed again.", result.damage)
        return result.complete

    def _size(self, cell: PlannedCell) -> int:
        return len(self.checked.splits[cell.cell.task, cell.cell.seed].test)

    def _all_cells(self) -> list[Cell]:
        """Majority rows and the grid, in the order of the grid."""
        cells: dict[Cell, None] = {}
        for (task, seed), group in groups(self.checked.cells):
            if self.checked.tasks[task].task.kind in LABELLED:
                cells[majority_cell(self.checked.experiment, task, seed)] = None
            cells |= dict.fromkeys(c.cell for c in group)
        return list(cells)

    def _session(self, left: Sequence[PlannedCell], engines: list[str]) -> None:
        """Works through the cells that are left: with the model as it is, then tuning by tuning."""
        # Before the model: a cache that cannot be used is found in a moment, a model loads for minutes.
        store = ResponseStore(self._root / CACHE / "responses.sqlite")
        try:
            untuned = [c for c in left if c.tuning == BASE]
            if untuned:
                self._ask_untuned(untuned, store, engines)
            tuned = [c for c in left if c.tuning != BASE]
            if tuned:
                self._ask_tuned(tuned, store, engines)
        finally:
            store.close()

    def _ask_untuned(self, left: Sequence[PlannedCell], store: ResponseStore, engines: list[str]) -> None:
        folder, experiment = self.folder, self.checked.experiment
        timed: TimedModel | None = None
        try:
            self.meter.note(f"loading {experiment.model_label}")
            model = self._given or open_model(experiment, max_memory=self._max_memory)
            origin = "given by the caller" if self._given is not None else model_source(experiment)
            entry = {"name": model.name, "origin": origin, "fingerprint": model.fingerprint}
            folder.check_source("model", entry)
            timed = TimedModel(model)
            self._ask(left, model, timed, store, engines)
        finally:
            if timed is not None:
                self._remember(timed)

    def _ask(
        self,
        left: Sequence[PlannedCell],
        model: LanguageModel,
        timed: TimedModel,
        store: ResponseStore,
        engines: list[str],
        tuned: Mapping[str, Any] | None = None,
    ) -> None:
        """Asks a model for cells. What it forwards goes to the meter, its engine to the session."""
        encoder = self._encoder()
        if isinstance(model, Reporting):
            model.report_to(self.meter.forwards)
        try:
            cached = CachedModel(timed, store, observer=self.meter)
            self._work(left, MeteredModel(cached), encoder, tuned or {})
        finally:
            engines.append(str(getattr(model, "engine", type(model).__name__)))

    def _ask_tuned(self, left: Sequence[PlannedCell], store: ResponseStore, engines: list[str]) -> None:
        """One tuned model after another; one that cannot be trained does not keep the others back."""
        shop = Workshop(
            self.checked, self.folder.tunings, self.meter, max_memory=self._max_memory, met=self._met
        )
        failed: dict[str, IclError] = {}
        for (task, seed), group in groups(left):
            let_go()
            work = Work(group[0].tuning, task, seed)
            try:
                tuned = shop.ask(work)
            except StorageError:
                raise
            except IclError as error:
                log.warning("%s", error)
                failed[work.words] = retold(error, str(error))  # its traceback would hold the network
                continue
            self._write_down(tuned.record)
            cells = [*group, *self._of_another(work, group, tuned.record)]
            try:
                self._ask(cells, tuned.model, TimedModel(tuned.model), store, engines, tuned.record)
            except (ModelError, ContextOverflow) as error:
                log.warning("tuning %s: %s", work.words, error)
                failed[work.words] = retold(error, f"tuning {work.words}: {error}")
            del tuned
        self.folder.update_manifest(untrained={words: str(error) for words, error in failed.items()})
        for first in failed.values():
            more = f"; {len(failed) - 1} more tunings failed" if len(failed) > 1 else ""
            raise retold(first, f"{first}{more}")

    def _met(self, name: str, fingerprint: str) -> None:
        entry = {"name": name, "origin": model_source(self.checked.experiment), "fingerprint": fingerprint}
        self.folder.check_source("model", entry)

    def _write_down(self, record: Mapping[str, Any]) -> None:
        held = self.folder.manifest().get("tunings", {})
        self.folder.update_manifest(tunings={**held, record["id"]: dict(record)})

    def _of_another(
        self, work: Work, group: Sequence[PlannedCell], record: Mapping[str, Any]
    ) -> list[PlannedCell]:
        """Complete cells of this tuning that were asked of other weights: the tuning was lost, and came out
        otherwise."""
        found = []
        for cell in self.checked.cells:
            if (cell.tuning, cell.cell.task, cell.cell.seed) != (work.item, work.task, work.seed):
                continue
            notes = self.folder.result(cell.cell).notes.get("tuning", {})
            if cell not in group and notes.get("fingerprint") != record["fingerprint"]:
                log.warning("%s: was asked of other weights, and is computed again", cell.cell.id)
                self.meter.taken_back(self._size(cell))
                found.append(cell)
        return found

    def _remember(self, timed: TimedModel) -> None:
        """Rates only help to plan: a run does not end because they cannot be kept."""
        try:
            remember(self._root / CACHE, self.checked.experiment, timed.work)
        except OSError as error:
            log.warning(
                "The model's rates are not kept for icl plan (%s).", what_was_refused(error, self._root)
            )

    def _encoder(self) -> Encoder | None:
        if not self.checked.needs_encoder or self._loaded is not None:
            return self._loaded
        name = self.checked.experiment.encoder
        self.meter.note(f"loading encoder {name}")
        encoder = load_encoder(name, cache=self._root / CACHE / "embeddings")
        entry = {"name": name, "origin": encoder.source, "fingerprint": encoder.fingerprint}
        self.folder.check_source("encoder", entry)
        self._loaded = encoder
        return encoder

    def _work(
        self,
        left: Sequence[PlannedCell],
        model: MeteredModel,
        encoder: Encoder | None,
        tuned: Mapping[str, Any],
    ) -> None:
        working: list[OpenCell] = []

        def finished(talk: Conversation[Place], outcome: Outcome) -> None:
            cell = talk.tag.cell
            self.meter.predicted(outcome.flags)
            if cell.receive(talk.tag.index, outcome, talk.usage):
                working.remove(cell)
                self._report(cell)

        try:
            talks = self._conversations(left, model, encoder, tuned, working)
            converse(talks, model, self.window, finished, self.meter.asks)
        finally:
            each(cell.writer.sync for cell in working)

    def _conversations(
        self,
        left: Sequence[PlannedCell],
        model: MeteredModel,
        encoder: Encoder | None,
        tuned: Mapping[str, Any],
        working: list[OpenCell],
    ) -> Iterator[Conversation[Place]]:
        """Query by query through all cells of a (task, seed): prompts that share most meet."""
        for (task, seed), group in groups(left):
            self.meter.note(f"{task}, seed {seed}: choosing demonstrations")
            resources = resources_for(self.checked, task, seed, model, encoder)
            choices = Choices(self.checked.splits[task, seed], resources, model)
            cells = [self._open(planned, choices, tuned) for planned in group]
            for cell in cells:
                cell.begin()
            working += cells
            for index, query in enumerate(choices.queries):
                for cell in cells:
                    place = Place(cell, index)
                    yield Conversation(place, cell.solve(index, query, str(place)), cell.paid)

    def _open(self, planned: PlannedCell, choices: Choices, tuned: Mapping[str, Any]) -> OpenCell:
        task = choices.resources.task
        names = ["accuracy", task.metric]
        if self.checked.experiment.leaderboard.metric is not None:
            names.append(self.checked.experiment.leaderboard.metric)
        return OpenCell(
            planned,
            task,
            choices,
            self.folder.writer(planned.cell, self._size(planned)),
            self._texts[task.name],
            metrics.create(task.metric),
            tuple(names),
            tuned=tuned,
        )

    def _majority_rows(self) -> None:
        """The row without a model, from the pool's labels alone."""
        for (task, seed), split in self.checked.splits.items():
            definition = self.checked.tasks[task].task
            cell = majority_cell(self.checked.experiment, task, seed)
            if definition.kind not in LABELLED or self._is_complete(cell):
                continue
            predictions = majority(split, definition, metrics.create(definition.metric))
            values = judge(predictions, definition, ("accuracy", definition.metric))
            label = {"majority_label": predictions[0].answer, **about_data(split)}
            writer = self.folder.writer(cell, len(split.test))
            writer.finish(CellResult(cell, predictions, metrics=values, notes=label))

    def _report(self, cell: OpenCell) -> None:
        flags = [f for p in cell.predictions for f in p.flags]
        near = flags.count("near_tie")
        if near:
            log.warning("%s: %d near ties (margin below 1e-4)", cell.planned.cell.id, near)
        value = sum(p.correct for p in cell.predictions) / len(cell.predictions)
        done = cell.planned.cell
        self.meter.note(f"{done.task} {done.setting} seed {done.seed}: {value:.1%} correct")
