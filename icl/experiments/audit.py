"""One prediction looked at again: the very prompt that the model was given, rendered anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from icl.encoders import load_encoder
from icl.engine.fake import ByteTokenizer
from icl.errors import DataError, IclError, ModelError
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.models import TokenizerOnly, open_tokenizer
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.asking.thinking import MarkedModel, with_marks
from icl.experiments.file.config import Experiment, Source
from icl.experiments.folder.store import RunFolder
from icl.experiments.grid.cells import MAJORITY, plan_cells
from icl.experiments.records import UNTUNED, Cell
from icl.prompts import PromptRenderer
from icl.prompts.notes import chat_notes
from icl.protocols import Method, OnGeneration, OnScores, Resources, Tokenizer, methods
from icl.tasks import TaskData, load_task
from icl.types import (
    Demonstration,
    Example,
    GenerateRequest,
    Generation,
    Prediction,
    Prompt,
    Query,
    ScoreRequest,
    Scores,
    Task,
    Text,
)

UNLIMITED = 1 << 40
"""Tokens, where the tokenizer is not at hand: what is shown did fit."""


@dataclass(frozen=True, slots=True)
class Audit:
    """A prediction with all that it was made from."""

    cell: Cell
    prediction: Prediction
    prompt: Prompt
    examples: tuple[Example, ...]
    """The demonstrations, in prompt order."""
    query: Query
    task: Task
    notes: tuple[str, ...] = ()
    """What the prompt had to do without, and what the model's chat template does of itself."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """`LanguageModel` by name and fingerprint alone; it can answer nothing itself."""

    known: TokenizerOnly
    fingerprint: str

    @property
    def name(self) -> str:
        return self.known.name

    @property
    def tokenizer(self) -> Tokenizer:
        return self.known.tokenizer

    @property
    def context_length(self) -> int:
        return self.known.context_length

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        raise ModelError(f"{self.name} is not loaded")

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        raise ModelError(f"{self.name} is not loaded")


def audit(folder: RunFolder, cell: Cell, prediction: Prediction) -> Audit:
    """One prediction; see `Auditor`."""
    with Auditor(folder) as auditor:
        return auditor.audit(cell, prediction)


class Auditor:
    """Writes prompts again as the run's model saw them: with its tokenizer (and chat template) where that
    can be had, and, for methods that look at the whole pool, the data where they are those of the run.

    Of many predictions what they share is read, fitted and rendered once. A context manager, which holds
    the response cache open. measured: whether prompts say their length in tokens.
    """

    def __init__(self, folder: RunFolder, *, measured: bool = True) -> None:
        self.folder = folder
        self.measured = measured
        self.experiment = folder.read_experiment()
        self._open = ExitStack()
        self._tasks: dict[str, tuple[Task | None, Mapping[str, Example]]] = {}
        self._tokenizers: dict[str, tuple[TokenizerOnly, str]] = {}
        self._renderers: dict[tuple[str, str, bool], PromptRenderer] = {}
        self._data: dict[str, TaskData] = {}
        self._pools: dict[tuple[str, int], Sequence[Example]] = {}
        self._writing: dict[bool, _Writing] = {}
        cache = folder.path.resolve().parent / ".cache" / "responses.sqlite"
        store = ResponseStore(cache, read_only=True) if cache.is_file() else ResponseStore()
        self._open.callback(store.close)
        self.store = store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def models(self) -> Mapping[str, Mapping[str, Any]]:
        """What the folder says of the models by name."""
        return self.folder.models()

    def texts(self, task: str) -> tuple[Task | None, Mapping[str, Example]]:
        """The definition and the texts that the folder keeps of a task."""
        if task not in self._tasks:
            self._tasks[task] = (self.folder.task(task), self.folder.shown(task))
        return self._tasks[task]

    def audit(self, cell: Cell, prediction: Prediction) -> Audit:
        """What could not be done is said in `notes`. Raises DataError if the row has no prompt, or if a
        folder of format 1, which keeps no texts, has lost its data."""
        if cell.selector == MAJORITY:
            raise DataError("the majority row answers without a prompt; choose another with --cell")
        task, known = self.texts(cell.task)
        if task is None or prediction.query_id not in known:
            data = _data(self.folder, self.experiment, cell.task)
            known = {e.id: e for rows in (data.test, data.train, data.validation) for e in rows}
            task = data.task
            self._tasks[cell.task] = (task, known)
        if prediction.query_id not in known:
            raise DataError(
                f"{self.folder.path}: query {prediction.query_id!r} is not in the data of the run"
            )
        shown = [
            Demonstration(known[i], score, prediction.why[at] if at < len(prediction.why) else {})
            for at, (i, score) in enumerate(prediction.demonstrations)
            if i in known
        ]
        query = known[prediction.query_id].query
        writing = self._write(cell, task, self.measured or bool(prediction.dropped))
        prompt, notes = writing.prompt(query, shown)
        examples = tuple(d.example for d in shown)
        return Audit(cell, prediction, prompt, examples, query, task, (*writing.notes, *notes))

    def _write(self, cell: Cell, task: Task, limited: bool) -> _Writing:
        """The last cell's writers are kept. Without a limit a prompt need not be measured: that nothing was
        dropped says that it was short enough."""
        known = self._writing.get(limited)
        if known is None or known.cell != cell:
            known = self._writing[limited] = _Writing(self, cell, task, limited)
        return known

    def renderer(self, cell: Cell, task: Task, limited: bool) -> PromptRenderer:
        """For the cell's model and task."""
        key = (cell.model, task.name, limited)
        if key not in self._renderers:
            known, lacking = self.tokenizer(cell)
            prompts = self.asking(cell).prompt
            self._renderers[key] = PromptRenderer(
                task=task,
                tokenizer=known.tokenizer,
                context_length=known.context_length if limited else None,
                chat=False if lacking else prompts.chat,
                overflow=prompts.overflow,
            )
        return self._renderers[key]

    def pool(self, cell: Cell) -> Sequence[Example]:
        """What the cell's demonstrations came from, drawn once for all cells of its task and seed. Raises
        IclError where the data are not those of the run."""
        key = (cell.task, cell.seed)
        if key not in self._pools:
            if cell.task not in self._data:
                self._data[cell.task] = _data(self.folder, self.experiment, cell.task)
            asked = self.experiment
            split = self._data[cell.task].split(asked.pool, asked.test, cell.seed, asked.duplicate_threshold)
            self._pools[key] = split.pool
        return self._pools[key]

    def asking(self, cell: Cell) -> Experiment:
        """The experiment as if the cell's model were its only one."""
        several = cell.model in {choice.label for choice in self.experiment.models}
        return self.experiment.of(cell.model) if several else self.experiment

    def tokenizer(self, cell: Cell) -> tuple[TokenizerOnly, str]:
        """Of the cell's model, and why it is a stand-in ("": it is the model's own)."""
        known = self._tokenizers.get(cell.model)
        if known is None:
            try:
                known = (open_tokenizer(self.asking(cell)), "")
            except (IclError, OSError) as error:
                stand_in = TokenizerOnly(cell.model, ByteTokenizer(), lambda: UNLIMITED)
                known = (stand_in, _said(error))
            self._tokenizers[cell.model] = known
        return known


def _said(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _data(folder: RunFolder, experiment: Experiment, task: str) -> TaskData:
    """The data as they are now, if they are those of the run. Raises IclError."""
    manifest = folder.manifest()
    source = Source("", Path(manifest.get("folder", ".")), {})
    for name in experiment.task:
        data = load_task(source.task_path(name))
        data = replace(data, task=with_marks(data.task, experiment.think))
        if data.task.name == task:
            break
    else:
        raise DataError(f"{folder.path}: task {task!r} is not in the experiment")
    if data.fingerprint != manifest.get("data", {}).get(task):
        raise DataError(f"the data of task {task!r} have changed since this run: the prompt cannot be shown")
    return data


class _PoolWanted(Exception):
    """A method looks at the pool, of which the folder keeps what was shown only."""


class _Unkept(Sequence[Example]):
    """In place of the pool, for methods that never look at it."""

    def __len__(self) -> int:
        raise _PoolWanted

    def __getitem__(self, index: object) -> Any:
        raise _PoolWanted


class _Writing:
    """Writes the prompts of one cell again; `notes`: what it had to do without, and what the chat template
    does of itself."""

    def __init__(self, auditor: Auditor, cell: Cell, task: Task, limited: bool) -> None:
        self.cell = cell
        self._auditor, self._task = auditor, task
        self._folder, self._experiment = auditor.folder, auditor.asking(cell)
        self._known, lacking = auditor.tokenizer(cell)
        self._exact = not lacking
        self._solvers: dict[bool, tuple[Method, Resources]] = {}
        self._refused: Exception | None = None
        chat = self._experiment.prompt.chat
        notes: list[str] = []
        if lacking:
            without = ", and without the chat template" if chat else ""
            notes.append(f"The tokenizer is not at hand ({lacking}): shown as text, not counted{without}.")
        elif chat:
            notes += chat_notes(self._known.tokenizer, chat, task.instruction)
        self.notes = tuple(notes)
        self._renderer = auditor.renderer(cell, task, limited)

    def prompt(self, query: Query, shown: Sequence[Demonstration]) -> tuple[Prompt, list[str]]:
        """The first prompt of the method; in the task's own form where that cannot be had again."""
        notes = []
        try:
            text = self._first(query, shown)
        except (IclError, OSError) as error:
            notes.append(
                f"In the task's own form; the method's prompt cannot be written again ({_said(error)})."
            )
            text = self._renderer.prompt(query, shown).text
        count = self._renderer.length(text) if self._exact and self._auditor.measured else 0
        return Prompt(text, tuple(d.example.id for d in shown), (), count), notes

    def _first(self, query: Query, shown: Sequence[Demonstration]) -> str:
        """Replayed from the cache where fitting the method asked the model. Raises IclError."""
        try:
            given = self._ask(False, query, shown)
        except _PoolWanted:
            given = self._ask(True, query, shown)
        return given if isinstance(given, str) else self._known.tokenizer.decode(given)

    def _ask(self, with_pool: bool, query: Query, shown: Sequence[Demonstration]) -> Text:
        if True in self._solvers:
            with_pool = True
        if self._refused is not None:
            raise self._refused
        if with_pool not in self._solvers:
            try:
                self._solvers[with_pool] = self._fitted(self._pool() if with_pool else _Unkept())
            except (IclError, OSError) as error:
                self._refused = error
                raise
        method, resources = self._solvers[with_pool]
        solve = method.solve(query, shown, resources)
        first = next(solve, None)
        solve.close()
        if not first:
            raise DataError(f"method {self.cell.method!r} asks nothing of the model")
        return first[0].prompt

    def _fitted(self, pool: Sequence[Example]) -> tuple[Method, Resources]:
        experiment, cell = self._experiment, self.cell
        by_label = {c.method.label: c.method for c in plan_cells(experiment, [cell.task])}
        if cell.method not in by_label:
            raise DataError(f"method {cell.method!r} is not in the experiment")
        item = by_label[cell.method]
        stands_for = _Remembered(self._known, self._fingerprint())
        model = CachedModel(None, self._auditor.store, stands_for=stands_for)
        method = methods.create(item.name, item.parameters)
        encoder = load_encoder(experiment.encoder) if "encoder" in method.needs else None
        threshold = experiment.duplicate_threshold
        asked = MarkedModel(model, self._task.reading.think) if self._task.reading.think else model
        resources = Resources(self._task, cell.seed, asked, encoder, self._renderer, threshold)
        return method.fit(pool, resources), resources

    def _fingerprint(self) -> str:
        """Of the model that was asked: as it is, or tuned."""
        cell = self.cell
        if cell.tuning != UNTUNED:
            return str(self._folder.result(cell).notes.get("tuning", {}).get("fingerprint", ""))
        return str(self._auditor.models.get(cell.model, {}).get("fingerprint", ""))

    def _pool(self) -> Sequence[Example]:
        return self._auditor.pool(self.cell)
