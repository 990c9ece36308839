"""icl tune."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli import options
from icl.cli.options import Address, AllowCode, Executor, File, Gpus, Limit, Model, Seeds, Set, Workers
from icl.cli.tables import Row, show

if TYPE_CHECKING:
    from icl.experiments.running.adapters import Adapter

HEADERS = (
    "model",
    "task",
    "seed",
    "tuning",
    "trained",
    "steps",
    "tokens",
    "seconds",
    "loss",
    "learning rate",
    "folder",
)


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "tune",
        epilog="Examples: icl tune experiments/tuning.yaml | icl tune e.yaml --seeds 0 "
        "--set 'grid.tuning={lora: {rank: 8}}' -o adapters | icl tune e.yaml --executor processes",
    )(tune)


def tune(
    file: File,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The adapters go to DIR/<name>/<tuning>."),
    ] = Path("adapters"),
    settings: Set = None,
    limit: Limit = None,
    seeds: Seeds = None,
    model: Model = None,
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    gpus_per_worker: Gpus = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the table.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Train every tuning of an experiment on its pools, and keep each as a folder. Nothing is asked.

    peft reads a folder where it has the form; an experiment names it as {saved: FOLDER}. Killed, it goes on
    with the same command.
    """
    if quiet:
        options.silence_bars()

    from icl import api
    from icl.cli.display import Output as Console
    from icl.cli.display import meter_for

    changed = [
        *options.overrides(settings, limit, seeds, model),
        *options.executor(executor, workers, address, gpus_per_worker),
    ]
    meter = meter_for(Console(stderr=True), quiet)
    rows: list[Row] = []
    try:
        api.tune(file, output=output, overrides=changed, meter=meter, made=lambda one: rows.append(_row(one)))
    except KeyboardInterrupt:
        print(f"icl: interrupted. {len(rows)} tunings are kept; the same command goes on.", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        if rows:
            show("adapters", HEADERS, rows)


def _row(adapter: Adapter) -> Row:
    cost = adapter.kept.cost
    return (
        adapter.model,
        adapter.task,
        str(adapter.seed),
        adapter.tuning,
        f"{cost.trainable:,}",
        f"{cost.steps:,}",
        f"{cost.tokens + cost.tokens_validation:,}",
        f"{cost.seconds:.1f}",
        "-" if adapter.loss is None else f"{adapter.loss:.4f}",
        "-" if adapter.learning_rate is None else f"{adapter.learning_rate:g}",
        str(adapter.folder),
    )
