"""One model of an experiment at its turn: asked for its cells as it is, then tuning by tuning."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.errors import ContextOverflow, IclError, ModelError, StorageError, retold
from icl.executors.team import Team
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import BOUNDED, Conversation, Window, converse
from icl.experiments.asking.metered import MeteredModel
from icl.experiments.asking.models import model_source, open_model
from icl.experiments.asking.pooled import OpenModel, memory_of, pooled
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.asking.timed import TimedModel
from icl.experiments.folder.rates import remember
from icl.experiments.folder.store import RunFolder
from icl.experiments.folder.texts import TaskTexts
from icl.experiments.grid.cells import BASE, PlannedCell
from icl.experiments.grid.check import Checked
from icl.experiments.grid.choices import Choices
from icl.experiments.running.grouped import groups, resources_for
from icl.experiments.running.opencell import OpenCell, Place
from icl.experiments.running.progress import Meter
from icl.experiments.running.restored import let_go
from icl.experiments.running.session import each, other_arithmetic, what_was_refused
from icl.experiments.running.tuned import Work, Workshop
from icl.protocols import Encoder, LanguageModel, Reporting, metrics
from icl.types import Outcome

log = logging.getLogger("icl")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the models of a session share: nothing of it holds one."""

    folder: RunFolder
    texts: Mapping[str, TaskTexts]
    store: ResponseStore
    cache: Path
    """The folder of what runs share."""
    window: Window
    meter: Meter
    encoder: Callable[[], Encoder | None]
    engines: list[str]
    """Takes up what computed."""
    max_memory: int | None = None
    several: bool = False
    """Models, so that messages name the one that they are about."""
    team: Team | None = None
    """Workers that are asked; None: the model is opened in this process."""

    def prefix(self, label: str) -> str:
        """In front of words about one model."""
        return f"{label}: " if self.several else ""


class Turn:
    """checked: of one model. given: it is loaded already."""

    def __init__(self, checked: Checked, shared: Surroundings, given: LanguageModel | None = None) -> None:
        self.checked = checked
        self.label = checked.experiment.model_label
        self.shared = shared
        self.folder = shared.folder
        self.meter = shared.meter
        self._given = given

    def take(self, left: Sequence[PlannedCell]) -> list[IclError]:
        """Asks for these cells; loads the model as it is only if one of them asks it untuned.

        Tunings that could not be trained or asked, which keep nothing else back. Raises IclError.
        """
        untuned = [c for c in left if c.tuning == BASE]
        if untuned:
            self._ask_untuned(untuned)
        tuned = [c for c in left if c.tuning != BASE]
        return self._ask_tuned(tuned) if tuned else []

    def _ask_untuned(self, left: Sequence[PlannedCell]) -> None:
        timed: TimedModel | None = None
        try:
            self.meter.note(f"loading {self.label}")
            model = self._given or self._opened()
            given = self._given is not None
            origin = "given by the caller" if given else model_source(self.checked.experiment)
            entry = {"name": model.name, "origin": origin, "fingerprint": model.fingerprint}
            self.folder.check_model(self.label, entry)
            timed = TimedModel(model)
            self._ask(left, model, timed)
        finally:
            if timed is not None:
                self._remember(timed)

    def _opened(self) -> LanguageModel:
        """Here, or in the workers of the session."""
        experiment, team, limit = self.checked.experiment, self.shared.team, self.shared.max_memory
        if team is None:
            return open_model(experiment, max_memory=limit)
        model = pooled(team, experiment, OpenModel(experiment, memory_of(team, limit)))
        self.folder.update_manifest(workers=team.begun)  # with counts when the session ends
        return model

    def _ask(
        self,
        left: Sequence[PlannedCell],
        model: LanguageModel,
        timed: TimedModel,
        tuned: Mapping[str, Any] | None = None,
    ) -> None:
        """Asks a model for cells. What it forwards goes to the meter, its engine to the session."""
        encoder = self.shared.encoder()
        self.folder.note_environment()  # again, since graphics cards are seen once a model is loaded
        if isinstance(model, Reporting):
            model.report_to(self.meter.forwards)
        if mixed := other_arithmetic(self.folder, _engine(model)):
            log.warning(mixed)
        try:
            cached = CachedModel(timed, self.shared.store, observer=self.meter)
            self._work(left, MeteredModel(cached), encoder, tuned or {})
        finally:
            self.shared.engines.append(_engine(model))

    def _ask_tuned(self, left: Sequence[PlannedCell]) -> list[IclError]:
        """One tuned model after another, trained before where workers do so side by side; one that cannot be
        trained does not keep the others back."""
        shop = Workshop(
            self.checked,
            self.folder.tunings,
            self.meter,
            max_memory=self.shared.max_memory,
            met=self._met,
            team=self.shared.team,
        )
        works = [Work(group[0].tuning, task, seed) for (task, seed), group in groups(left)]
        failed = shop.train(works)
        for error in failed.values():
            log.warning("%s", error)
        for work, (_, group) in zip(works, groups(left), strict=True):
            if work.words in failed:
                continue
            let_go()
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
                self._ask(cells, tuned.model, TimedModel(tuned.model), tuned.record)
            except (ModelError, ContextOverflow) as error:
                log.warning("tuning %s: %s", work.words, error)
                failed[work.words] = retold(error, f"tuning {work.words}: {error}")
            del tuned
        mine = {f"{self.shared.prefix(self.label)}{words}": str(error) for words, error in failed.items()}
        self.folder.update_manifest(untrained={**self.folder.manifest().get("untrained", {}), **mine})
        return list(failed.values())

    def _met(self, name: str, fingerprint: str) -> None:
        entry = {"name": name, "origin": model_source(self.checked.experiment), "fingerprint": fingerprint}
        self.folder.check_model(self.label, entry)

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
                self.meter.taken_back(len(self.checked.splits[work.task, work.seed].test))
                found.append(cell)
        return found

    def _remember(self, timed: TimedModel) -> None:
        """Rates only help to plan: a run does not end because they cannot be kept."""
        try:
            remember(self.shared.cache, self.checked.experiment, timed.fingerprint, timed.work)
        except OSError as error:
            log.warning(
                "The model's rates are not kept for icl plan (%s).",
                what_was_refused(error, self.shared.cache),
            )

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
            converse(talks, model, self.shared.window, finished, self.meter.asks)
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
            self.folder.writer(planned.cell, len(choices.queries)),
            self.shared.texts[task.name],
            metrics.create(task.metric),
            tuple(names),
            tuned=tuned,
        )

    def _report(self, cell: OpenCell) -> None:
        near = cell.tally.flags["near_tie"]
        if near:
            log.warning("%s: %d near ties (margin below 1e-4)", cell.planned.cell.id, near)
        if bounded := cell.tally.flags[BOUNDED]:
            words = "%s: %d predictions for which the server did not say every label's value, but a bound"
            log.warning(words, cell.planned.cell.id, bounded)
        value = cell.tally.correct / len(cell.tally)
        done = cell.planned.cell
        words = f"{self.shared.prefix(self.label)}{done.task} {done.setting} seed {done.seed}"
        self.meter.note(f"{words}: {value:.1%} correct")


def _engine(model: LanguageModel) -> str:
    """What computes, for the manifest."""
    return str(getattr(model, "engine", type(model).__name__))
