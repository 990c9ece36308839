"""icl run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file (YAML).", show_default=False)]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of run folders; the run goes to DIR/<name>."),
]
DEFAULT_OUTPUT = Path("runs")


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(
        "run",
        epilog="Examples: icl run experiments/quickstart.yaml | icl run e.yaml -o /tmp/out --max-memory 8GiB",
    )(run)


def run(
    file: File,
    output: Output = DEFAULT_OUTPUT,
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
) -> None:
    """Run an experiment and print its leaderboard. Killed, it goes on with the same command."""
    from rich.console import Console

    from icl import api
    from icl.cli.display import meter_for
    from icl.cli.options import memory_size
    from icl.experiments.asking.conversations import Window

    console = Console()
    memory = memory_size(max_memory)
    window = Window() if batch is None else Window(requests=batch)
    meter = meter_for(Console(stderr=True), quiet)
    try:
        done = api.run(file, output=output, max_memory=memory, window=window, meter=meter, restart=restart)
    except KeyboardInterrupt:
        print("icl: interrupted. What is done is kept: the same command goes on.", file=sys.stderr)
        raise typer.Exit(130) from None
    console.print(done.leaderboard().to_rich(console.width))
    if meter.near_ties:
        console.print(f"{meter.near_ties} near ties (margin below 1e-4) were flagged.")
    for line in done.overlap:
        console.print(f"Overlap: {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Run folder: {done.path}", markup=False, highlight=False, soft_wrap=True)
