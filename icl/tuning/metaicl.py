"""MetaICL: trained on other tasks to learn from demonstrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from icl.components import check_choice, check_flag, check_number, check_texts
from icl.errors import ConfigError
from icl.protocols import TuningResources, tuners
from icl.tasks import TaskData
from icl.training import Tuned
from icl.tuning.shared.episodes import FORMS, EpisodeWork, Form, TaskRows, Writer, shortened
from icl.tuning.shared.objective import LOSSES, Loss, NegativeLogLikelihood
from icl.tuning.shared.regime import Regime
from icl.types import Example, Task


@tuners.register("metaicl", paper="Min et al. 2022, MetaICL: Learning to Learn In Context")
@dataclass(kw_only=True)
class MetaICL(Regime):
    """Episodes of other tasks: k demonstrations and one more row, loss on that row's answer alone.

    tasks: what is trained on; never the task that is asked, whose pool is not looked at either. k:
    demonstrations. channel: the labels stand first and the input is learned. multitask: no demonstrations at
    all, the zero-shot baseline on the same tasks. form: "templates", each task's own; "spaces" or "newlines",
    inputs and outputs with only that between them. max_rows: of a task, drawn by the seed.
    max_example_tokens: longer examples are cut at the end of their input, never in the output; `max_tokens`
    of the inner method is the limit of a whole text. shared_demonstrations: so many targets of one task stand
    behind the same demonstrations and are learned side by side. loss: in place of the inner method's.
    """

    name = "metaicl"
    one_for_all: ClassVar[bool] = True
    example_parameters: ClassVar[dict[str, Any]] = {"tasks": ("reviews",)}
    tasks: Sequence[str]
    k: int = 16
    channel: bool = False
    multitask: bool = False
    form: Form = "templates"
    max_rows: int = 16_384
    max_example_tokens: int = 256
    shared_demonstrations: int = 1
    loss: Loss = "per_example"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_refit()
        check_texts("tasks", self.tasks)
        twice = [name for name, count in Counter(self.tasks).items() if count > 1]
        if not self.tasks or twice:
            raise ValueError(f"tasks is {list(self.tasks)!r}; allowed: the names of tasks, each once")
        for name in ("k", "max_rows", "max_example_tokens", "shared_demonstrations"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_flag("channel", self.channel)
        check_flag("multitask", self.multitask)
        check_choice("form", self.form, FORMS)
        check_choice("loss", self.loss, LOSSES)

    @property
    def uses_pool(self) -> bool:
        """Never."""
        return False

    def check(self, task: Task, load: Callable[[str], TaskData]) -> None:
        """Whether the tasks are there, have rows enough, and are others than `task`."""
        wanted = (0 if self.multitask else self.k) + self.shared_demonstrations
        for name in self.tasks:
            self._refuse(name, task)
            data = load(name)
            self._refuse(data.task.name, task)
            if self.channel and self.form == "templates" and not data.task.template.channel_query:
                raise ConfigError(
                    f"task {name!r} has no template.channel_answer and template.channel_query, which "
                    "channel: true needs; allowed: other tasks, or form: spaces"
                )
            if len(data.train) < wanted:
                raise ConfigError(
                    f"task {name!r} has {len(data.train)} training rows; an episode takes {wanted}, "
                    "demonstrations and targets"
                )

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner; the pool is not looked at. Raises ConfigError where a task is the one that is
        asked, or has too few rows, IclError where it cannot be read."""
        sources, cuts = self._sources(resources)
        inner = self.inner
        writer = Writer(sources, resources, inner, self.form, channel=self.channel)
        work = EpisodeWork(
            sources, writer, inner, resources,
            k=0 if self.multitask else self.k,
            shared=self.shared_demonstrations,
            held=inner.validation if inner.chooses else 0,
        )  # fmt: skip
        tuned = self.learn(work, resources, cuts, objective=NegativeLogLikelihood(self.loss))
        return replace(tuned, notes={**tuned.notes, **work.notes(len(tuned.notes["losses"]))})

    def _sources(self, resources: TuningResources) -> tuple[list[TaskRows], dict[str, int]]:
        """The tasks with their rows, cut and drawn, and how many were cut or left out."""
        if resources.open_task is None:
            raise ConfigError(f"tuner {self.name!r}: other tasks cannot be opened here")
        sources, cuts, lost = [], 0, 0
        for name in self.tasks:
            self._refuse(name, resources.task)
            task, rows, renderer = resources.open_task(name)
            self._refuse(task.name, resources.task)
            drawn = resources.generator("metaicl rows", task.name).permutation(len(rows))[: self.max_rows]
            kept = []
            for at in sorted(int(i) for i in drawn):
                fitted = shortened(task, rows[at], resources.tokenizer, self.max_example_tokens)
                cuts += fitted is not None and fitted is not rows[at]
                lost += fitted is None
                kept += [] if fitted is None else [fitted]
            sources.append(TaskRows(task, kept, renderer))
        told = {"inputs_cut": cuts, "rows_with_long_outputs": lost}
        return sources, {key: count for key, count in told.items() if count}

    def _refuse(self, name: str, asked: Task) -> None:
        if name == asked.name:
            raise ConfigError(
                f"tuner {self.name!r}: tasks holds {name!r}, the task that is asked; allowed: other tasks"
            )
