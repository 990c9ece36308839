"""A tuned model to ask: trained on a pool, or taken from the run folder where it was trained before.

What is asked is always a fresh network with the kept state in it, never the one that was trained: a session
that trained and one that goes on after it ask the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from icl.engine.loading.load import Opened
from icl.errors import IclError, StorageError
from icl.executors.team import Team
from icl.experiments.asking.pooled import memory_of, pooled
from icl.experiments.folder.tunings import Kept, Training, TuningFolder, digest_of_pool
from icl.experiments.grid.check import Checked
from icl.experiments.grid.trainable import placed, source_digest
from icl.experiments.running.lesson import Lesson
from icl.experiments.running.progress import Meter
from icl.experiments.running.restored import OpenTuned, asked_in, let_go, open_base, weights_of
from icl.experiments.running.trainees import Trainees
from icl.experiments.running.watch import Watch
from icl.protocols import LanguageModel, tuners
from icl.training import TrainingStep

if TYPE_CHECKING:
    from icl.experiments.file.axes import Component


@dataclass(frozen=True, slots=True, eq=False)
class TunedModel:
    """A tuned model behind an engine, and what is said of it in the manifest and in its cells."""

    model: LanguageModel
    record: Mapping[str, Any]
    """id, fingerprint, cost, notes: plain data."""


@dataclass(frozen=True, slots=True)
class Work:
    """One tuning on one pool."""

    item: Component
    task: str
    seed: int

    @property
    def words(self) -> str:
        """For progress and messages."""
        return f"{self.item.label}, {self.task}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Base:
    """What is trained, as far as a tuning is named by it."""

    weights: str
    """Fingerprint of weights and tokenizer."""
    context_length: int


class Workshop:
    """Trains for an experiment of one model, and keeps what it made in a folder.

    met: is told name and fingerprint of the model as it would be asked untuned, and may refuse it. team:
    workers that train side by side, and are asked what was trained; None: this process does both.
    """

    def __init__(
        self,
        checked: Checked,
        kept: TuningFolder,
        meter: Meter,
        *,
        max_memory: int | None = None,
        met: Callable[[str, str], None] = lambda name, fingerprint: None,
        team: Team | None = None,
    ) -> None:
        self.checked = checked
        self.kept = kept
        self.meter = meter
        self._max_memory = max_memory
        self._met = met
        self._team = team
        self._made: dict[str, Training] = {}
        """What the workers have trained or found, by words."""

    def train(self, works: Sequence[Work]) -> dict[str, IclError]:
        """What is not kept yet of these, in the workers side by side. Nothing where there are none, and none
        that reads files which workers on other machines may not have: `prepare` trains that, here.

        Words -> why it could not be trained. Raises IclError where the base cannot be opened, StorageError.
        """
        team = self._team
        mine = [work for work in works if team is not None and self._travels(work, team)]
        if team is None or not mine:
            return {}
        limit = memory_of(team, self._max_memory)
        trainees = Trainees(team, self.checked.experiment, self.kept, Watch(self.meter), len(mine))
        base = self._seen(trainees.name, trainees.asked, trainees.context_length)
        failed: dict[str, IclError] = {}
        for some in self._rounds(mine):
            missing = {work.words: work for work in some if self._held(work, base) is None}
            jobs = [(self._lesson(work, limit), self._of(work, base)) for work in missing.values()]
            failed |= trainees.train(jobs)
        self._made = {work.words: self._of(work, base) for work in mine if work.words not in failed}
        return failed

    def _travels(self, work: Work, team: Team) -> bool:
        return team.executor.one_machine or not source_digest(work.item, self.checked.source)

    def _rounds(self, works: Sequence[Work]) -> tuple[list[Work], list[Work]]:
        """First one of each that is the same for all tasks, and all others; then the rest of the former."""
        first: dict[object, Work] = {}
        for work in works:
            whole = getattr(self._tuner(work), "one_for_all", False)
            first.setdefault((work.item.label, work.seed) if whole else work.words, work)
        now = list(first.values())
        return now, [work for work in works if work not in now]

    def prepare(self, work: Work) -> tuple[Training, Kept, Opened | None]:
        """What was kept of it, trained now and here where nothing was; and the network, where one was opened
        and is still fresh.

        Raises IclError, naming the tuning.
        """
        opened = None
        if (of := self._made.get(work.words)) is None:
            if self._team is not None:
                self._team.rest()  # what is trained may need the memory
            opened = open_base(self.checked.experiment)
            asked = asked_in(self.checked.experiment, opened)
            base = self._seen(opened.name, f"{weights_of(opened.fingerprint)}-{asked}", opened.context_length)
            of = self._of(work, base)
            if (kept := self._held(work, base)) is not None:
                return of, kept, opened
            self._fit(work, of, opened)
            opened = None
            let_go()
        kept = self.kept.read(of)
        if kept is None:
            raise StorageError(f"tuning {work.words}: what was trained cannot be read back")
        return of, kept, opened

    def _held(self, work: Work, base: Base) -> Kept | None:
        """What is kept of it; else what the same tuner trained for another task of the experiment under this
        seed, taken over, where that is the same."""
        of = self._of(work, base)
        kept = self.kept.read(of)
        if kept is not None or not getattr(self._tuner(work), "one_for_all", False):
            return kept
        for task in self.checked.tasks:
            other = self._of(replace(work, task=task), base)
            if task != work.task and self.kept.read(other) is not None:
                self.kept.copy(other, of)
                self.meter.note(f"tuning {work.words}: as for {task}")
                return self.kept.read(of)
        return None

    def ask(self, work: Work) -> TunedModel:
        """An engine on a fresh network with the kept state. Raises IclError, naming the tuning."""
        of, kept, fresh = self.prepare(work)
        team = self._team
        if team is None:
            opened = fresh or open_base(self.checked.experiment)
            model = self._opener(work, of, None, self._max_memory).on(opened, kept)
        else:
            del fresh  # the workers open it
            let_go()
            there = kept if not team.executor.one_machine else None
            opener = self._opener(work, of, there, memory_of(team, self._max_memory))
            model = pooled(team, self.checked.experiment, opener)
        record = {
            "id": of.id,
            "tuning": of.tuning,
            "fingerprint": model.fingerprint,
            "cost": kept.cost.plain,
            "notes": dict(kept.notes),
        }
        return TunedModel(model, record)

    def _seen(self, name: str, asked: str, context_length: int) -> Base:
        """asked: fingerprint of the weights as they would be asked untuned."""
        self._met(name, f"{asked}{'-invariant' * self.checked.experiment.batch_invariant}")
        return Base(weights_of(asked), context_length)

    def _opener(self, work: Work, of: Training, kept: Kept | None, memory: int | None) -> OpenTuned:
        item = placed(work.item, self.checked.source)
        return OpenTuned(self.checked.experiment, item, work.words, of, self.kept.path, kept, memory)

    def _tuner(self, work: Work) -> object:
        item = placed(work.item, self.checked.source)
        return tuners.create(item.name, item.parameters)

    def _of(self, work: Work, base: Base) -> Training:
        experiment = self.checked.experiment
        return Training(
            model=experiment.model_label,
            task=work.task,
            tuning=work.item.label,
            seed=work.seed,
            base=base.weights,
            pool=digest_of_pool(self.checked.splits[work.task, work.seed].pool),
            data=self.checked.tasks[work.task].fingerprint,
            prompt={
                "chat": experiment.prompt.chat,
                "overflow": experiment.prompt.overflow,
                "context_length": base.context_length,
            },
            source=source_digest(work.item, self.checked.source),
        )

    def _lesson(self, work: Work, memory: int | None) -> Lesson:
        checked = self.checked
        return Lesson(
            checked.experiment,
            checked.source,
            placed(work.item, checked.source),
            checked.tasks[work.task].task,
            checked.splits[work.task, work.seed].pool,
            tuple(data.test for data in checked.tasks.values()),
            work.words,
            memory,
        )

    def _fit(self, work: Work, of: Training, opened: Opened) -> None:
        """Here, into the folder."""
        watch, words = Watch(self.meter), work.words

        def report(step: TrainingStep | None) -> None:
            if step is not None:
                watch.step(words, step)

        cost = None
        watch.begin(words)
        try:
            lesson = self._lesson(work, self._max_memory)
            tuned = lesson.fit(of, opened, self.kept.checkpoints(of), report)
            cost = tuned.cost
        finally:
            watch.end(words, cost)
        self.kept.write(of, tuned)
