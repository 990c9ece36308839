"""One prediction looked at again: the very prompt that the model was given, rendered anew."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from icl.encoders import load_encoder
from icl.errors import DataError, ModelError, unknown_name
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.models import TokenizerOnly, open_tokenizer
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.file.config import Experiment, Source, read_experiment
from icl.experiments.folder.store import RunFolder
from icl.experiments.grid.cells import MAJORITY, plan_cells
from icl.experiments.records import Cell, CellResult
from icl.prompts import PromptRenderer
from icl.prompts.notes import chat_notes
from icl.protocols import LanguageModel, OnGeneration, OnScores, Resources, Tokenizer, methods
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
)


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
    """What the model's chat template does of itself."""


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


def find_prediction(folder: RunFolder, query: str, cell: str | None = None) -> tuple[CellResult, Prediction]:
    """The prediction of one query: in the cell whose id begins with or contains `cell`, or, without
    one, in the first cell that shows demonstrations, else the first that has the query.

    Raises DataError naming the nearest id, or the cells to choose from.
    """
    results = [r for r in folder.results() if r.predictions]
    if cell is not None:
        results = _matching(results, cell)
    having = [(r, p) for r in results for p in r.predictions if p.query_id == query]
    if not having:
        ids = dict.fromkeys(p.query_id for r in results for p in r.predictions)
        some = ", ".join(list(ids)[:5])
        known = unknown_name("query", query, ids).split(" Allowed:")[0]
        raise DataError(f"{folder.path}: {known} Queries: {some}, ... ({len(ids)} in all)")
    return next((pair for pair in having if pair[0].cell.shots), having[-1])


def _matching(results: Sequence[CellResult], cell: str) -> list[CellResult]:
    exact = [r for r in results if r.cell.id == cell]
    found = exact or [r for r in results if _bare(cell) in _bare(r.cell.id)]
    if len(found) == 1:
        return found
    some = ", ".join(r.cell.id for r in (found or results)[:8])
    many = f"fits {len(found)} cells" if found else "fits no cell"
    raise DataError(
        f"--cell {cell!r} {many}; name one of: {some}{', ...' if len(found or results) > 8 else ''}"
    )


def _bare(name: str) -> str:
    """ "knn-4" finds "..._knn_4_...": what is not a letter, a digit or a dot is all the same."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower())


def audit(folder: RunFolder, cell: Cell, prediction: Prediction) -> Audit:
    """Renders the prompt again from the data, the resolved experiment and the tokenizer.

    Raises DataError if the data are no longer those of the run, or the row has no prompt.
    """
    if cell.selector == MAJORITY:
        raise DataError("the majority row answers without a prompt; choose another with --cell")
    experiment, _ = read_experiment(folder.experiment())
    data = _data(folder, experiment, cell.task)
    known = {e.id: e for rows in (data.test, data.train, data.validation) for e in rows}
    shown = [
        Demonstration(known[i], score, prediction.why[at] if at < len(prediction.why) else {})
        for at, (i, score) in enumerate(prediction.demonstrations)
        if i in known
    ]
    query = known[prediction.query_id].query
    prompt = _prompt(folder, experiment, cell, data, query, shown)
    chat, instruction = experiment.prompt.chat, data.task.instruction
    notes = chat_notes(open_tokenizer(experiment).tokenizer, chat, instruction) if chat else ()
    return Audit(cell, prediction, prompt, tuple(d.example for d in shown), query, data.task, notes)


def _data(folder: RunFolder, experiment: Experiment, task: str) -> TaskData:
    manifest = folder.manifest()
    source = Source("", Path(manifest["folder"]), {})
    for name in experiment.task:
        data = load_task(source.task_path(name))
        if data.task.name == task:
            break
    else:
        raise DataError(f"{folder.path}: task {task!r} is not in the experiment")
    if data.fingerprint != manifest["data"][task]:
        raise DataError(f"the data of task {task!r} have changed since this run: the prompt cannot be shown")
    return data


def _prompt(
    folder: RunFolder,
    experiment: Experiment,
    cell: Cell,
    data: TaskData,
    query: Query,
    shown: Sequence[Demonstration],
) -> Prompt:
    """The first prompt of the method, replayed from the cache where fitting it asked the model."""
    tokenizer = open_tokenizer(experiment)
    renderer = PromptRenderer(
        task=data.task,
        tokenizer=tokenizer.tokenizer,
        context_length=tokenizer.context_length,
        chat=experiment.prompt.chat,
        overflow=experiment.prompt.overflow,
    )
    by_label = {c.method.label: c.method for c in plan_cells(experiment, [cell.task])}
    item = by_label[cell.method]
    fingerprint: Mapping[str, str] = folder.manifest()["model"]
    store = ResponseStore(_cache_of(folder))
    try:
        remembered = _Remembered(tokenizer, fingerprint["fingerprint"])
        model: LanguageModel = CachedModel(None, store, stands_for=remembered)
        method = methods.create(item.name, item.parameters)
        encoder = load_encoder(experiment.encoder) if "encoder" in method.needs else None
        resources = Resources(data.task, cell.seed, model, encoder, renderer, experiment.duplicate_threshold)
        split = data.split(experiment.pool, experiment.test, cell.seed, experiment.duplicate_threshold)
        solve = method.fit(split.pool, resources).solve(query, shown, resources)
        request = next(solve)[0]
        solve.close()
    except ModelError:  # the cache is gone: the task's own form of the prompt
        return renderer.prompt(query, shown)
    finally:
        store.close()
    text = request.prompt if isinstance(request.prompt, str) else model.tokenizer.decode(request.prompt)
    count = len(model.tokenizer.encode(text))
    return Prompt(text, tuple(d.example.id for d in shown), (), count)


def _cache_of(folder: RunFolder) -> Path | None:
    """The response cache beside the run, if it is still there."""
    path = folder.path.resolve().parent / ".cache" / "responses.sqlite"
    return path if path.is_file() else None
