"""One prediction looked at again: the very prompt that the model was given, rendered anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.encoders import load_encoder
from icl.engine.fake import ByteTokenizer
from icl.errors import DataError, IclError, ModelError, unknown_name
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
from icl.protocols import OnGeneration, OnScores, Resources, Tokenizer, methods
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


def find_prediction(folder: RunFolder, query: str, cell: str | None = None) -> tuple[Cell, Prediction]:
    """The prediction of one query: in the cell whose id begins with or contains `cell`, or, without
    one, in the first cell that shows demonstrations, else the first that has the query.

    Raises DataError naming the nearest id, or the cells to choose from.
    """
    cells = folder.cells()
    if cell is not None:
        cells = _matching([c for c in cells if folder.has_lines(c)], cell)
    having = [(c, p) for c in cells if (p := folder.prediction(c, query)) is not None]
    if not having:
        ids = dict.fromkeys(p.query_id for c in cells for p in folder.result(c).predictions)
        if not ids:
            raise DataError(f"{folder.path}: holds no prediction yet")
        some = ", ".join(list(ids)[:5])
        known = unknown_name("query", query, ids).split(" Allowed:")[0]
        raise DataError(f"{folder.path}: {known} Queries: {some}, ... ({len(ids)} in all)")
    return next((pair for pair in having if pair[0].shots), having[-1])


def _matching(cells: Sequence[Cell], cell: str) -> list[Cell]:
    several = len({c.model for c in cells}) > 1
    names = {c.id: f"{c.model} {c.id}" if several else c.id for c in cells}
    exact = [c for c in cells if c.id == cell]
    found = exact or [c for c in cells if _bare(cell) in _bare(names[c.id])]
    if len(found) == 1:
        return found
    some = ", ".join(names[c.id] for c in (found or cells)[:8])
    many = f"fits {len(found)} cells" if found else "fits no cell"
    raise DataError(
        f"--cell {cell!r} {many}; name one of: {some}{', ...' if len(found or cells) > 8 else ''}"
    )


def _bare(name: str) -> str:
    """ "knn-4" finds "..._knn_4_...": what is not a letter, a digit or a dot is all the same."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower())


def audit(folder: RunFolder, cell: Cell, prediction: Prediction) -> Audit:
    """Renders the prompt again from what the folder keeps, the tokenizer where it is at hand, and, for
    methods that look at the whole pool, the data where they are those of the run.

    What could not be done so is said in `notes`. Raises DataError if the row has no prompt, or if a folder
    of format 1, which keeps no texts, has lost its data.
    """
    if cell.selector == MAJORITY:
        raise DataError("the majority row answers without a prompt; choose another with --cell")
    experiment = folder.read_experiment()
    if cell.model in {choice.label for choice in experiment.models}:
        experiment = experiment.of(cell.model)
    task, known = folder.task(cell.task), folder.shown(cell.task)
    if task is None or prediction.query_id not in known:
        data = _data(folder, experiment, cell.task)
        task, known = data.task, {e.id: e for rows in (data.test, data.train, data.validation) for e in rows}
    if prediction.query_id not in known:
        raise DataError(f"{folder.path}: query {prediction.query_id!r} is not in the data of the run")
    shown = [
        Demonstration(known[i], score, prediction.why[at] if at < len(prediction.why) else {})
        for at, (i, score) in enumerate(prediction.demonstrations)
        if i in known
    ]
    query = known[prediction.query_id].query
    writing = _Writing(folder, experiment, cell, task)
    prompt = writing.prompt(query, shown)
    examples = tuple(d.example for d in shown)
    return Audit(cell, prediction, prompt, examples, query, task, (*writing.chat_notes, *writing.notes))


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
    """Writes a prompt of a run again, and notes what it had to do without."""

    def __init__(self, folder: RunFolder, experiment: Experiment, cell: Cell, task: Task) -> None:
        self.notes: list[str] = []
        self._folder, self._experiment, self._cell, self._task = folder, experiment, cell, task
        self._known = self._tokenizer()
        self._renderer = PromptRenderer(
            task=task,
            tokenizer=self._known.tokenizer,
            context_length=self._known.context_length,
            chat=experiment.prompt.chat if self._exact else False,
            overflow=experiment.prompt.overflow,
        )

    def _tokenizer(self) -> TokenizerOnly:
        self._exact = True
        try:
            return open_tokenizer(self._experiment)
        except (IclError, OSError) as error:
            self._exact = False
            chat = ", and without the chat template" if self._experiment.prompt.chat else ""
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.notes.append(f"The tokenizer is not at hand ({said}): shown as text, not counted{chat}.")
            return TokenizerOnly(self._experiment.model_label, ByteTokenizer(), UNLIMITED)

    @property
    def chat_notes(self) -> tuple[str, ...]:
        """What the model's chat template does of itself."""
        chat = self._experiment.prompt.chat
        if not chat or not self._exact:
            return ()
        return tuple(chat_notes(self._known.tokenizer, chat, self._task.instruction))

    def prompt(self, query: Query, shown: Sequence[Demonstration]) -> Prompt:
        """The first prompt of the method; in the task's own form where that cannot be had again."""
        try:
            text = self._first(query, shown)
        except (IclError, OSError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.notes.append(
                f"In the task's own form; the method's prompt cannot be written again ({said})."
            )
            text = self._renderer.prompt(query, shown).text
        count = len(self._known.tokenizer.encode(text)) if self._exact else 0
        return Prompt(text, tuple(d.example.id for d in shown), (), count)

    def _first(self, query: Query, shown: Sequence[Demonstration]) -> str:
        """Replayed from the cache where fitting the method asked the model. Raises IclError."""
        cache = self._folder.path.resolve().parent / ".cache" / "responses.sqlite"
        with closing(ResponseStore(cache, read_only=True) if cache.is_file() else ResponseStore()) as store:
            try:
                given = self._ask(store, _Unkept(), query, shown)
            except _PoolWanted:
                given = self._ask(store, self._pool(), query, shown)
        return given if isinstance(given, str) else self._known.tokenizer.decode(given)

    def _ask(
        self, store: ResponseStore, pool: Sequence[Example], query: Query, shown: Sequence[Demonstration]
    ) -> Text:
        experiment, cell = self._experiment, self._cell
        by_label = {c.method.label: c.method for c in plan_cells(experiment, [cell.task])}
        if cell.method not in by_label:
            raise DataError(f"method {cell.method!r} is not in the experiment")
        item = by_label[cell.method]
        fingerprint = self._fingerprint()
        model = CachedModel(None, store, stands_for=_Remembered(self._known, fingerprint))
        method = methods.create(item.name, item.parameters)
        encoder = load_encoder(experiment.encoder) if "encoder" in method.needs else None
        threshold = experiment.duplicate_threshold
        asked = MarkedModel(model, self._task.reading.think) if self._task.reading.think else model
        resources = Resources(self._task, cell.seed, asked, encoder, self._renderer, threshold)
        solve = method.fit(pool, resources).solve(query, shown, resources)
        first = next(solve, None)
        solve.close()
        if not first:
            raise DataError(f"method {cell.method!r} asks nothing of the model")
        return first[0].prompt

    def _fingerprint(self) -> str:
        """Of the model that was asked: as it is, or tuned."""
        cell = self._cell
        if cell.tuning != UNTUNED:
            return str(self._folder.result(cell).notes.get("tuning", {}).get("fingerprint", ""))
        return str(self._folder.models().get(cell.model, {}).get("fingerprint", ""))

    def _pool(self) -> Sequence[Example]:
        experiment, cell = self._experiment, self._cell
        data = _data(self._folder, experiment, cell.task)
        return data.split(experiment.pool, experiment.test, cell.seed, experiment.duplicate_threshold).pool
