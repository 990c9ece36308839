"""A tuned model to ask: trained on a pool, or taken from the run folder where it was trained before.

What is asked is always a fresh network with the kept state in it, never the one that was trained: a session
that trained and one that goes on after it ask the same model.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icl.engine.loading.load import Opened
from icl.errors import ConfigError, IclError, ModelError, StorageError, retold
from icl.executors.team import Team
from icl.experiments import contracts
from icl.experiments.asking.pooled import memory_of, pooled
from icl.experiments.folder.tunings import Kept, Training, TuningFolder, digest_of_pool
from icl.experiments.grid.check import Checked
from icl.experiments.grid.trainable import SAVED, of_another_base, placed, source_digest
from icl.experiments.running.progress import Meter
from icl.experiments.running.restored import OpenTuned, asked_in, engine_for, open_base, weights_of
from icl.prompts import PromptRenderer
from icl.protocols import LanguageModel, Renderer, Tuner, TuningResources, tuners
from icl.tasks import load_task
from icl.tasks.duplicates import overlap
from icl.training import TrainingStep, Tuned
from icl.types import Example, Task

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


class Workshop:
    """Trains for an experiment of one model, and keeps what it made in a folder.

    met: is told name and fingerprint of the model as it would be asked untuned, and may refuse it. team:
    workers that are asked what was trained here, in this process.
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

    def prepare(self, work: Work) -> tuple[Training, Kept, Opened | None]:
        """What was kept of it, trained now where nothing was; and the network, where it is still fresh.

        Raises IclError, naming the tuning.
        """
        opened = self._open()
        of = self._of(work, opened)
        kept = self.kept.read(of)
        if kept is None and getattr(self._tuner(work), "one_for_all", False):
            kept = self._from_another_task(work, of, opened)
        if kept is not None:
            return of, kept, opened
        self.kept.write(of, self._fit(work, of, opened))
        del opened
        let_go()
        kept = self.kept.read(of)
        if kept is None:
            raise StorageError(f"tuning {work.words}: what was trained cannot be read back")
        return of, kept, None

    def _from_another_task(self, work: Work, of: Training, opened: Opened) -> Kept | None:
        """What the same tuner trained for another task of the experiment under this seed, taken over."""
        for task in self.checked.tasks:
            other = self._of(replace(work, task=task), opened)
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
            model = self._opener(work, of, None, self._max_memory).on(fresh or self._open(), kept)
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

    def _open(self) -> Opened:
        experiment = self.checked.experiment
        opened = open_base(experiment)
        ending = f"{asked_in(experiment, opened)}{'-invariant' * experiment.batch_invariant}"
        self._met(opened.name, f"{weights_of(opened.fingerprint)}-{ending}")
        return opened

    def _opener(self, work: Work, of: Training, kept: Kept | None, memory: int | None) -> OpenTuned:
        item = placed(work.item, self.checked.source)
        return OpenTuned(self.checked.experiment, item, work.words, of, self.kept.path, kept, memory)

    def _tuner(self, work: Work) -> Tuner:
        item = placed(work.item, self.checked.source)
        return tuners.create(item.name, item.parameters)

    def _of(self, work: Work, opened: Opened) -> Training:
        experiment = self.checked.experiment
        return Training(
            model=experiment.model_label,
            task=work.task,
            tuning=work.item.label,
            seed=work.seed,
            base=weights_of(opened.fingerprint),
            pool=digest_of_pool(self.checked.splits[work.task, work.seed].pool),
            data=self.checked.tasks[work.task].fingerprint,
            prompt={
                "chat": experiment.prompt.chat,
                "overflow": experiment.prompt.overflow,
                "context_length": opened.context_length,
            },
            source=source_digest(work.item, self.checked.source),
        )

    def _fit(self, work: Work, of: Training, opened: Opened) -> Tuned:
        tuner, label = self._tuner(work), work.item.label
        if work.item.name == SAVED:
            wrong = of_another_base(Path(tuner.folder), of.base)  # type: ignore[attr-defined]
            if wrong:
                raise ConfigError(f"tuning {work.words}: {wrong}")
        pool = self.checked.splits[work.task, work.seed].pool
        watch = _Watch(self.meter, work)
        left_out: dict[str, int] = {}
        resources = self._resources(work, of, opened, watch, left_out)
        watch.begin()
        try:
            with contracts.calling("tuner", label, tuner, "fit"):
                made = tuner.fit(pool, resources)
        except IclError as error:
            raise retold(error, f"tuning {work.words}: {error}") from error
        except Exception as error:
            from icl.engine.forward.chunks import out_of_memory  # which brings torch along

            if not out_of_memory(error):
                raise
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ModelError(f"tuning {work.words}: not enough memory to train it ({said})") from error
        finally:
            watch.end()
        tuned = contracts.tuned(label, made, "fit")
        if left_out:
            said = ", ".join(f"{count} of {name}" for name, count in left_out.items())
            tuned = replace(tuned, notes={**tuned.notes, "rows_of_test_sets_left_out": said})
        self.meter.note(
            f"tuning {work.words}: trained in {tuned.cost.seconds:.0f} s, {tuned.cost.tokens:,} tokens"
        )
        return tuned

    def _resources(
        self, work: Work, of: Training, opened: Opened, watch: _Watch, left_out: dict[str, int]
    ) -> TuningResources:
        task = self.checked.tasks[work.task].task
        return TuningResources(
            task,
            opened.network,
            opened.tokenizer,
            self._renderer(task, opened),
            opened.context_length,
            work.seed,
            open_task=partial(self._open_task, opened, left_out),
            fresh=lambda: self._open().network,
            ask=lambda network, root=None: engine_for(
                self.checked.experiment, opened, network, f"{of.base}-in-training", root, self._max_memory
            ),
            folder=self.kept.checkpoints(of),
            report=watch.step,
            fingerprint=opened.fingerprint,
        )

    def _renderer(self, task: Task, opened: Opened) -> PromptRenderer:
        prompt = self.checked.experiment.prompt
        return PromptRenderer(
            task=task,
            tokenizer=opened.tokenizer,
            context_length=opened.context_length,
            chat=prompt.chat,
            overflow=prompt.overflow,
        )

    def _open_task(
        self, opened: Opened, left_out: dict[str, int], name: str
    ) -> tuple[Task, Sequence[Example], Renderer]:
        """See TuningResources. What any test split of the experiment holds is left out whole: also the rows
        of it that this run does not ask. left_out: takes up how many those were."""
        data = load_task(self.checked.source.task_path(name))
        threshold = self.checked.experiment.duplicate_threshold
        rows: Sequence[Example] = data.train
        for other in self.checked.tasks.values():
            held = overlap(rows, other.test, threshold)
            rows = [example for example in rows if example.id not in held]
        if len(rows) < len(data.train):
            left_out[name] = len(data.train) - len(rows)
        return data.task, rows, self._renderer(data.task, opened)


class _Watch:
    """Tells a meter how far training is."""

    def __init__(self, meter: Meter, work: Work) -> None:
        self._meter, self._work = meter, work
        self._began = time.monotonic()
        self._first = 0.0
        self._tokens = self._steps = 0

    def begin(self) -> None:
        self._meter.note(f"tuning {self._work.words}: training")

    def step(self, step: TrainingStep) -> None:
        """One step of one of perhaps several runs. The clock runs from the end of the first: what came before
        it was set-up, or had been done by an earlier session."""
        run = f", {step.run}" if step.run else ""
        text = f"tuning {self._work.words}{run}: step {step.step}/{step.of}, loss {step.loss:.3f}"
        if self._first:
            self._tokens += step.tokens
            self._steps += 1
            elapsed = max(time.monotonic() - self._first, 1e-9)
            left = (step.of - step.step) * elapsed / self._steps
            text += f", {self._tokens / elapsed:,.0f} tokens/s, {left:,.0f} s left"
        self._first = self._first or time.monotonic()
        self._meter.trains(text)

    def end(self) -> None:
        self._meter.trained(time.monotonic() - self._began)


def let_go() -> None:
    """Networks that only hold themselves any more, in circles, are gone before the next one is opened."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
