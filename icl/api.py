"""The whole toolkit from Python: `icl.run(...)` and what it returns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icl.experiments.asking.conversations import Window
from icl.experiments.audit import Audit
from icl.experiments.file.config import Experiment, read_experiment
from icl.experiments.file.overrides import Override
from icl.experiments.folder.store import RunFolder
from icl.experiments.grid.check import Checked, check
from icl.experiments.records import CellResult
from icl.experiments.running.progress import Meter
from icl.experiments.running.runner import Runner
from icl.outside import allow_code as allowing_code
from icl.outside import code_is_allowed
from icl.protocols import LanguageModel
from icl.types import Task

if TYPE_CHECKING:
    import pandas

    from icl.experiments.corpus.building import Corpus
    from icl.experiments.reproduce import Reproduction
    from icl.experiments.running.adapters import Adapter
    from icl.leaderboard import ChainCurves, Leaderboard, Overall
    from icl.leaderboard.card import Card

log = logging.getLogger("icl")

DEFAULT_ROOT = Path("runs")


class Shown(Audit):
    """One prediction with all that it was made from; a notebook shows it."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from icl.leaderboard.rich_html import prediction_html

        return prediction_html(
            self.prediction,
            self.prompt,
            self.examples,
            heading=f"{self.cell.id}, query {self.query.id}",
            task=self.task,
            query=self.query,
            notes=self.notes,
        )


class Run:
    """A run folder, finished or not.

    allow_code: classes outside icl that the run names (a metric, the method that `show` asks for its
    prompt) may be imported and run; else what needs them raises ConfigError.
    """

    def __init__(
        self,
        folder: RunFolder | Path | str,
        tasks: Mapping[str, Task] | None = None,
        *,
        allow_code: bool = False,
    ) -> None:
        self.folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
        self.experiment: Experiment = self.folder.read_experiment()
        self._tasks = dict(tasks or {})
        self.allow_code = allow_code or code_is_allowed()

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def results(self) -> list[CellResult]:
        """All cells in the order of the grid, as far as they have been computed."""
        return self.folder.results()

    def predictions(self) -> pandas.DataFrame:
        """One row a prediction, in the order of the grid, with the columns of `icl.leaderboard.predictions`
        and the dtypes that pandas gives them where it reads an `icl export`.

        What is left out of a damaged or half-written cell is warned of. Raises DataError, OSError.
        """
        from icl.leaderboard.predictions import table

        return table([self.folder], log.warning).to_pandas()

    @property
    def overlap(self) -> list[str]:
        """What the leak check of each task and seed found, where it found anything."""
        reports = self.folder.manifest().get("overlap", {})
        return [f"{name}: {report['summary']}" for name, report in reports.items() if report["dropped"]]

    def leaderboard(
        self,
        metric: str | None = None,
        compare_to: str | Mapping[str, str | int] | None = None,
        **shown: Any,
    ) -> Leaderboard:
        """Means with intervals and paired tests; by default as the experiment says.

        shown: view, where, sort, group as of `icl.leaderboard.leaderboard`.
        compare_to: a selector, or values of components, {"orderer": "as_selected"}.
        """
        return compare_runs([self], metric=metric, compare_to=compare_to, **shown)

    def chains(self, ns: Sequence[int] | None = None) -> ChainCurves:
        """Accuracy at 1, 2, 4, ... of the stored chains, or at `ns`, for every row that holds several."""
        return chains_of_runs([self], ns)

    def show(self, query: str, cell: str | None = None) -> Shown:
        """One prediction with the prompt that led to it. Raises DataError for an unknown id."""
        from icl.experiments.audit import audit
        from icl.experiments.finding import find_prediction

        with allowing_code(self.allow_code):
            found = audit(self.folder, *find_prediction(self.folder, query, cell))
        return Shown(**{field.name: getattr(found, field.name) for field in fields(found)})

    def cards(self, row: str | None = None, *, metric: str | None = None) -> list[Card]:
        """What each row was made from, of all rows or of those whose words hold `row`, "knn 4-shot": `plain`
        for programs. Raises DataError where no row fits."""
        from icl.leaderboard.card import cards

        return cards(self.folder, self.leaderboard(metric), row)

    def tasks(self) -> dict[str, Task]:
        """Definitions of the run's tasks, for metrics that need the labels: those in the folder, or, in
        a folder of an older icl that keeps none, those that the experiment names."""
        if not self._tasks:
            names = dict.fromkeys(cell.task for cell in self.folder.cells())
            kept = {name: task for name in names if (task := self.folder.task(name)) is not None}
            self._tasks = kept if len(kept) == len(names) else self._named_tasks()
        return self._tasks

    def _named_tasks(self) -> dict[str, Task]:
        from icl.experiments.file.config import Source
        from icl.tasks import load_task

        source = Source("", Path(self.folder.manifest().get("folder", ".")), {})
        with allowing_code(self.allow_code):
            loaded = [load_task(source.task_path(name)).task for name in self.experiment.task]
        return {task.name: task for task in loaded}


PRECISIONS = ("float32", "bfloat16", "float16")


def run(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    *,
    output: str | Path = DEFAULT_ROOT,
    overrides: Sequence[Override] = (),
    model: LanguageModel | None = None,
    max_memory: int | None = None,
    window: Window | None = None,
    meter: Meter | None = None,
    restart: bool = False,
    allow_code: bool = False,
) -> Run:
    """Runs an experiment, or goes on with it, and returns its run folder `output`/<name>.

    experiment: a file, a mapping of the same shape, or an Experiment. overrides: values that take the
    place of its own, as `--set` gives them; the run then has a name of its own. model: one that is loaded
    already, in place of the experiment's. max_memory: bytes for the engine beside the weights.
    restart: moves an old folder of that name aside. allow_code: classes outside icl that the files name
    (`package.module:Class`) may be imported and run, which no file can allow by itself. Raises IclError
    for whatever is the user's to mend, before a model loads wherever that is possible.
    """
    with allowing_code(allow_code):
        return run_checked(
            check(*read_experiment(experiment, overrides)),
            output=output,
            model=model,
            max_memory=max_memory,
            window=window,
            meter=meter,
            restart=restart,
        )


def run_checked(checked: Checked, *, output: str | Path = DEFAULT_ROOT, **options: Any) -> Run:
    """Runs an experiment that was checked already; options: model, max_memory, window, meter and restart, as
    of `run`."""
    runner = Runner(checked, Path(output), **options)
    return Run(runner.run(), {name: data.task for name, data in checked.tasks.items()})


def tune(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    *,
    output: str | Path = Path("adapters"),
    overrides: Sequence[Override] = (),
    meter: Meter | None = None,
    allow_code: bool = False,
    made: Callable[[Adapter], None] | None = None,
) -> list[Adapter]:
    """Trains every tuning of an experiment on the pool of each task and seed, and keeps each in a folder
    below `output`/<name>. What is there already is not trained again. `made` is told each as soon as it is
    there; other arguments as of `run`.

    Raises IclError; a tuning that fails does so after the others.
    """
    from icl.experiments.running.adapters import tune as train

    with allowing_code(allow_code):
        found = []
        for adapter in train(check(*read_experiment(experiment, overrides)), Path(output), meter):
            found.append(adapter)
            if made is not None:
                made(adapter)
        return found


def build_corpus(
    recipe: str | Path | Mapping[str, Any],
    *,
    output: str | Path = Path("corpora"),
    model: LanguageModel | None = None,
    max_memory: int | None = None,
    meter: Meter | None = None,
    restart: bool = False,
    allow_code: bool = False,
) -> Corpus:
    """Makes the instruction rows of a recipe in `output`/<name>, or goes on with it: rows, and a data card.

    model: asked in place of those that the recipe names; other arguments as of `run`. Raises IclError;
    nothing is written half.
    """
    from icl.experiments.corpus.building import Builder
    from icl.experiments.corpus.check import check_recipe
    from icl.experiments.corpus.recipe import read_recipe

    with allowing_code(allow_code or code_is_allowed()):
        checked = check_recipe(*read_recipe(recipe))
        builder = Builder(
            checked, Path(output), model=model, max_memory=max_memory, meter=meter, restart=restart
        )
        return builder.run()


def reproduce(
    run: Run | str | Path,
    *,
    output: str | Path | None = None,
    tasks: str | Path | None = None,
    tolerance: float = 1e-3,
    model: LanguageModel | None = None,
    max_memory: int | None = None,
    meter: Meter | None = None,
    allow_code: bool = False,
) -> Reproduction:
    """Runs a run again from what is in its folder, in `output`/<name> (default: below reproduced/<name>), and
    holds every prediction against the old one. Nothing is taken from earlier responses.

    tasks: the folder that paths of task files begin at, if not the one that the run was started from.
    tolerance: of label probabilities. model: in place of one that was given to the run; other arguments as of
    `run`. Raises IclError.
    """
    from icl.experiments.reproduce import reproduce as again

    folder = run.folder if isinstance(run, Run) else RunFolder.open(run)
    with allowing_code(allow_code or (isinstance(run, Run) and run.allow_code) or code_is_allowed()):
        return again(
            folder,
            None if output is None else Path(output),
            tasks=None if tasks is None else Path(tasks),
            tolerance=tolerance,
            model=model,
            max_memory=max_memory,
            meter=meter,
        )


def compare_runs(
    runs: Sequence[Run],
    *,
    metric: str | None = None,
    compare_to: str | Mapping[str, str | int] | None = None,
    view: str = "results",
    where: str | Sequence[str] = (),
    sort: str | None = None,
    group: str | Sequence[str] = ("model", "task"),
    results: Sequence[CellResult] | None = None,
) -> Leaderboard:
    """One table over several runs; baseline and metric are those of the first if not given (there: each
    task's own). view, where, sort, group: as of `icl.leaderboard.leaderboard`. Raises DataError for runs that
    asked one model about one task under other conditions. results: theirs, where they have been read."""
    from icl.experiments.folder.verdicts import DETAIL
    from icl.leaderboard import leaderboard
    from icl.leaderboard.measures import is_judged
    from icl.leaderboard.mixture import refuse_mixture

    refuse_mixture([run.folder for run in runs])
    settings = runs[0].experiment.leaderboard
    tasks: dict[str, Task] = {}
    results = results or [result for run in runs for result in run.results]
    metric = metric or settings.metric or (DETAIL if is_judged(results) else None)
    if metric != "accuracy":
        tasks = {name: task for run in runs for name, task in run.tasks().items()}
    # the engine's fingerprint ends in the precision that it ran at, whoever chose it
    asked = [entry for run in runs for entry in run.folder.models().values()]
    prints = [str(entry.get("fingerprint", "")) for entry in asked]
    precision = ", ".join(dict.fromkeys(p.rsplit("-", 1)[1] for p in prints if p.endswith(PRECISIONS)))
    known = {key: found for run in runs for key, found in run.folder.environments().items()}
    versions = {key: found["versions"] for key, found in known.items() if found.get("versions")}
    with allowing_code(any(run.allow_code for run in runs)):
        return leaderboard(
            results,
            metric=metric,
            compare_to=compare_to or (settings.compare_to.named if settings.compare_to else None),
            tasks=tasks,
            precision=precision,
            view=view,
            versions=versions,
            where=where,
            sort=sort,
            group=group,
        )


def overall_of_runs(runs: Sequence[Run], *, metric: str | None = None) -> Overall:
    """One order of all settings over the tasks of these runs, by Bradley-Terry; metric as of `compare_runs`.
    Raises DataError as `icl.leaderboard.overall` does, and for runs that may not be mixed."""
    from icl.leaderboard import overall
    from icl.leaderboard.mixture import refuse_mixture

    refuse_mixture([run.folder for run in runs])
    metric = metric or runs[0].experiment.leaderboard.metric or "accuracy"
    tasks = {} if metric == "accuracy" else {name: t for run in runs for name, t in run.tasks().items()}
    with allowing_code(any(run.allow_code for run in runs)):
        return overall([result for run in runs for result in run.results], metric=metric, tasks=tasks)


def chains_of_runs(runs: Sequence[Run], ns: Sequence[int] | None = None) -> ChainCurves:
    """Accuracy against the number of chains, over several runs. Raises DataError without chains."""
    from icl.leaderboard import chain_curves

    tasks = {name: task for run in runs for name, task in run.tasks().items()}
    return chain_curves([result for run in runs for result in run.results], tasks, ns=ns)
