"""icl run."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli import options
from icl.cli.options import (
    DEFAULT_OUTPUT,
    Address,
    AllowCode,
    Executor,
    File,
    Gpus,
    Limit,
    Model,
    Output,
    Seeds,
    Set,
    Workers,
)
from icl.errors import StorageError
from icl.printable import visible

if TYPE_CHECKING:
    from rich.console import Console

    from icl.api import Run
    from icl.experiments.file.config import Experiment
    from icl.experiments.grid.check import Checked
    from icl.experiments.running.progress import Meter

FIRST_SECONDS = 1.0
"""After which a run that is still being checked says what it is about to do."""


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(
        "run",
        epilog="Examples: icl run experiments/quickstart.yaml | icl run e.yaml --limit 20 --seeds 0 | "
        "icl run e.yaml --set grid.shots=[4,8] --set grid.method=generate "
        "| icl run e.yaml -o out --max-memory 8GiB | icl run e.yaml --executor processes --workers 2 "
        "| icl run e.yaml --executor ray --address auto --gpus-per-worker 1",
    )(run)


def run(
    file: File,
    output: Output = DEFAULT_OUTPUT,
    settings: Set = None,
    limit: Limit = None,
    seeds: Seeds = None,
    model: Model = None,
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    gpus_per_worker: Gpus = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the engine may use beside the weights: 8GiB.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Requests asked at once; no result depends on it."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; the old run folder is kept under a new name.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the leaderboard.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Run an experiment and print its leaderboard. Killed, it goes on with the same command.

    With values in place of the file's the run has a name of its own, such as quickstart--limit=20.
    """
    changed = options.overrides(settings, limit, seeds, model)
    changed += options.executor(executor, workers, address, gpus_per_worker)
    memory = options.memory_size(max_memory)
    if quiet:
        options.silence_bars()

    from icl.experiments.file.config import read_experiment
    from icl.experiments.grid.check import check

    experiment, source = read_experiment(file, changed)
    with first_line("" if quiet else _what(file, experiment, output, restart)):
        checked = check(experiment, source)

    _run(checked, output, memory, batch, restart, quiet)


def _run(
    checked: Checked, output: Path, memory: int | None, batch: int | None, restart: bool, quiet: bool
) -> None:
    """Runs it and prints its leaderboard: what imports torch and takes seconds."""
    from icl import api
    from icl.cli.display import Output as Console
    from icl.cli.display import meter_for
    from icl.experiments.asking.conversations import Window

    console = Console()
    window = Window() if batch is None else Window(requests=batch)
    meter = meter_for(Console(stderr=True), quiet)
    try:
        done = api.run_checked(
            checked,
            output=output,
            max_memory=memory,
            window=window,
            meter=meter,
            restart=restart,
        )
    except KeyboardInterrupt as end:
        print(f"icl: interrupted. {end or 'Nothing had begun'}.", file=sys.stderr)
        raise SystemExit(130) from None
    _report_or_say(done, meter, console)


def _what(file: Path, experiment: Experiment, output: Path, anew: bool) -> str:
    """What a run is about to do, in a line."""
    folder = output / experiment.name
    models = ", ".join(one.model_label for one in experiment.each)
    act = "into" if anew or not os.path.isdir(folder) else "going on in"
    return f"icl run {file}: model {models}, {act} {folder}"


@contextmanager
def first_line(text: str) -> Iterator[None]:
    """Prints `text` on stderr when the block is done, or after FIRST_SECONDS of it: an error that comes
    sooner stands alone. "" prints nothing."""
    lock, over = threading.Lock(), threading.Event()

    def say() -> None:
        with lock:
            if text and not over.is_set():
                over.set()
                print(visible(text), file=sys.stderr, flush=True)

    timer = threading.Timer(FIRST_SECONDS, say)
    timer.daemon = True
    timer.start()
    try:
        yield
        say()
    finally:
        timer.cancel()
        with lock:
            over.set()


def _report_or_say(done: Run, meter: Meter, console: Console) -> None:
    """The leaderboard. StorageError where the output refuses it: the run itself is complete."""
    try:
        _report(done, meter, console)
    except OSError as error:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - what it still holds is refused too
        raise StorageError(
            f"the leaderboard cannot be written to the output ({error.strerror or error}). "
            f"The run is complete: icl leaderboard {done.path}"
        ) from error


def _report(done: Run, meter: Meter, console: Console) -> None:
    console.print(done.leaderboard().to_rich(console.width))
    if meter.near_ties:
        console.print(f"{meter.near_ties} near ties (margin below 1e-4) were flagged.")
    for line in done.overlap:
        console.print(visible(f"Overlap: {line}"), markup=False, highlight=False, soft_wrap=True)
    if outside := done.folder.outside:
        console.print(f"Cells that this grid does not have, kept in the folder and not shown: {outside}.")
    console.print(visible(f"Run folder: {done.path}"), markup=False, highlight=False, soft_wrap=True)
    if sys.stdout is not None:
        sys.stdout.flush()
