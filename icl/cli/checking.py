"""icl check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from icl.cli import options
from icl.cli.options import AllowCode, AnyFile, Limit, Model, Seeds, Set
from icl.printable import visible

if TYPE_CHECKING:
    from icl.experiments.grid.check import Checked
    from icl.tasks import Split, TaskData


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "check",
        epilog="Examples: icl check experiments/quickstart.yaml | icl check experiments/own_task/tickets.yaml"
        " | icl check e.yaml --set grid.method=generate",
    )(check)


def check(
    file: AnyFile,
    settings: Set = None,
    limit: Limit = None,
    seeds: Seeds = None,
    model: Model = None,
    allow_code: AllowCode = False,
) -> None:
    """Look for everything that can be wrong with a file, without loading a model.

    Lists every problem that can be found beside the others. Exit code: 0 if there is none, 1 if there is.
    """
    from icl.errors import IclError, Problems
    from icl.experiments.file.around import read_any
    from icl.experiments.file.kinds import is_study
    from icl.experiments.grid.check import check as look

    if is_study(Path(file)):
        _study(Path(file), any(given is not None for given in (settings, limit, seeds, model)))
        return
    changed = options.overrides(settings, limit, seeds, model)
    try:
        experiment, source, is_task = read_any(file, changed)
        checked = look(experiment, source, wants_all=True)
    except IclError as error:
        for problem in error.found if isinstance(error, Problems) else (error,):
            print(f"icl: error: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
    lines = [] if is_task else list(_experiment(checked))
    for name, data in checked.tasks.items():
        splits = {seed: split for (task, seed), split in checked.splits.items() if task == name}
        lines += _task(data)
        lines += [] if is_task else list(_split(splits))
        lines += _leaks(splits)
    typer.echo(visible(f"{file}: no problem found"))
    width = max(len(key) for key, _ in lines) + 2
    for key, text in lines:
        typer.echo(visible(f"  {key:{width}}{text}"))
    typer.echo(f"Next: icl preview {file} shows prompts" + ("" if is_task else f", icl plan {file} the cost"))


def _study(file: Path, given: bool) -> None:
    from icl.errors import IclError
    from icl.experiments.asking.models import model_source
    from icl.experiments.study.check import check_study
    from icl.experiments.study.file import read_study

    if given:
        raise typer.BadParameter("values in place of the file's: a study is checked as it is")
    try:
        checked = check_study(*read_study(file))
    except IclError as error:
        print(f"icl: error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    lines = [("study", f"{checked.file.study.name}, preset {checked.preset}")]
    lines += [
        ("parameters", ", ".join(f"{key}={value}" for key, value in checked.parameters.items()) or "none")
    ]
    if checked.model is not None:
        lines.append(("model", f"{checked.model.model_label} ({model_source(checked.model)})"))
    for data in checked.tasks.values():
        lines += _task(data)
    lines += [("step", f"{step.name}: {step.units:,} {step.unit}") for step in checked.study.steps()]
    typer.echo(visible(f"{file}: no problem found"))
    for key, text in lines:
        typer.echo(visible(f"  {key:12}{text}"))
    typer.echo(visible(f"Next: icl study {file} --plan measures what it takes"))


def _experiment(checked: Checked) -> Iterator[tuple[str, str]]:
    from icl.encoders import encoder_source
    from icl.experiments.asking.models import model_source

    experiment = checked.experiment
    for one in experiment.each:
        yield "model", f"{one.model_label} ({model_source(one)})"
    if checked.needs_encoder:
        yield "encoder", f"{experiment.encoder} ({encoder_source(experiment.encoder).note})"
    rows = {cell.cell.row for cell in checked.cells}
    asked = sum(len(checked.splits[c.cell.task, c.cell.seed].test) for c in checked.cells)
    seeds = len(experiment.seeds)
    yield (
        "grid",
        f"{len(rows)} rows x {seeds} seed{'s' * (seeds != 1)} = {len(checked.cells):,} cells, "
        f"{asked:,} predictions",
    )
    yield "run", experiment.name


def _task(data: TaskData) -> Iterator[tuple[str, str]]:
    task = data.task
    labels = f", {len(task.labels)} labels" if task.labels else ""
    yield "task", f"{task.name}: {task.kind}{labels}; {data.origin}"
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    yield "rows", ", ".join(f"{len(rows):,} {name}" for name, rows in parts.items() if rows)
    for split, lines in data.skipped.items():
        yield "skipped", f"{len(lines):,} row{'s' * (len(lines) > 1)} of {split}, the first: {lines[0]}"


def _split(splits: Mapping[int, Split]) -> Iterator[tuple[str, str]]:
    sizes = {(len(split.pool), len(split.test)) for split in splits.values()}
    yield "split", "; ".join(f"pool {pool:,}, test {test:,}" for pool, test in sorted(sizes))


def _leaks(splits: Mapping[int, Split]) -> Iterator[tuple[str, str]]:
    leaks: dict[str, list[int]] = {}
    for seed, split in splits.items():
        leaks.setdefault(split.report.summary, []).append(seed)
    for summary, seeds in leaks.items():
        which = f"seed {', '.join(map(str, seeds))}: " if len(leaks) > 1 else ""
        yield "leaks", f"{which}{summary}"
