"""One tuning on one pool: what its training needs, in plain data that may travel to a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from icl.engine.loading.load import Opened
from icl.errors import ConfigError, IclError, ModelError, retold
from icl.experiments import contracts
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment, Source
from icl.experiments.folder.tunings import Training
from icl.experiments.grid.trainable import SAVED, of_another_base
from icl.experiments.running.restored import engine_for, open_base
from icl.prompts import PromptRenderer
from icl.protocols import LanguageModel, Renderer, Reporting, TuningResources, tuners
from icl.tasks import load_task
from icl.tasks.duplicates import overlap
from icl.training import Network, Root, TrainingStep, Tuned
from icl.types import Example, Task

Report = Callable[[TrainingStep | None], None]
"""Is told every step, and None where the tuner is at something else: it asks the network."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a tuner learns from."""

    experiment: Experiment
    """Of one model."""
    source: Source
    item: Component
    """The tuning, its paths as they are here."""
    task: Task
    pool: Sequence[Example]
    tests: tuple[Sequence[Example], ...]
    """The whole test splits of all tasks of the experiment: their rows are left out of other tasks."""
    words: str
    """The tuning for messages."""
    memory: int | None = None
    """Bytes that an engine on the network may use while it is trained."""

    def fit(self, of: Training, opened: Opened, folder: Path, report: Report) -> Tuned:
        """Trains the network that was opened; folder: of checkpoints. Raises IclError, naming the tuning."""
        tuner = tuners.create(self.item.name, self.item.parameters)
        if self.item.name == SAVED:
            wrong = of_another_base(Path(tuner.folder), of.base)  # type: ignore[attr-defined]
            if wrong:
                raise ConfigError(f"tuning {self.words}: {wrong}")
        left_out: dict[str, int] = {}
        resources = self._resources(of, opened, folder, report, left_out)
        try:
            with contracts.calling("tuner", of.tuning, tuner, "fit"):
                made = tuner.fit(self.pool, resources)
        except IclError as error:
            raise retold(error, f"tuning {self.words}: {error}") from error
        except Exception as error:
            from icl.engine.forward.chunks import out_of_memory  # which brings torch along

            if not out_of_memory(error):
                raise
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ModelError(f"tuning {self.words}: not enough memory to train it ({said})") from error
        tuned = contracts.tuned(of.tuning, made, "fit")
        if left_out:
            said = ", ".join(f"{count} of {name}" for name, count in left_out.items())
            tuned = replace(tuned, notes={**tuned.notes, "rows_of_test_sets_left_out": said})
        return tuned

    def _resources(
        self, of: Training, opened: Opened, folder: Path, report: Report, left_out: dict[str, int]
    ) -> TuningResources:
        def ask(network: Network, root: Root | None = None) -> LanguageModel:
            print_ = f"{of.base}-in-training"
            engine = engine_for(self.experiment, opened, network, print_, root, self.memory)
            if isinstance(engine, Reporting):
                engine.report_to(lambda tokens: report(None))
            return engine

        def open_task(name: str) -> tuple[Task, Sequence[Example], Renderer]:
            return self._open_task(opened, left_out, name)

        return TuningResources(
            self.task,
            opened.network,
            opened.tokenizer,
            self._renderer(self.task, opened),
            opened.context_length,
            of.seed,
            open_task=open_task,
            fresh=lambda: open_base(self.experiment).network,
            ask=ask,
            folder=folder,
            report=report,
            fingerprint=opened.fingerprint,
        )

    def _renderer(self, task: Task, opened: Opened) -> PromptRenderer:
        prompt = self.experiment.prompt
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
        data = load_task(self.source.task_path(name))
        rows: Sequence[Example] = data.train
        for test in self.tests:
            held = overlap(rows, test, self.experiment.duplicate_threshold)
            rows = [example for example in rows if example.id not in held]
        if len(rows) < len(data.train):
            left_out[name] = len(data.train) - len(rows)
        return data.task, rows, self._renderer(data.task, opened)
