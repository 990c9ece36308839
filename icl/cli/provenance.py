"""icl card, icl reproduce."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli import options
from icl.cli.options import AllowCode
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icl.experiments.reproduce import Reproduction

SHOWN = 10
"""Predictions that are told one by one."""

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one JSON value, in full.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(
        "card",
        epilog="Examples: icl card runs/quickstart --row 'knn 8-shot' | "
        "icl card runs/quickstart --json > cards.json",
    )(card)
    app.command(
        "reproduce",
        epilog="Examples: icl reproduce runs/quickstart | "
        "icl reproduce runs/sst2 -o elsewhere --tasks my/tasks",
    )(reproduce)


def card(
    run: RunPath,
    row: Annotated[
        str | None,
        typer.Option("--row", "-r", metavar="WORDS", help="Rows whose words hold these.", show_default=False),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="A registered metric; see icl list metrics.")] = None,
    as_json: AsJson = False,
    allow_code: AllowCode = False,
) -> None:
    """Show what a row was made from: configuration, seeds, cost, fingerprints, versions, hardware."""
    from rich.console import Console

    from icl import api

    found = api.Run(run).cards(row, metric=metric)
    if as_json:
        typer.echo(visible_json(json.dumps([dict(one.plain) for one in found], indent=1, ensure_ascii=False)))
        return
    console = Console()
    for one in found:
        console.print(one.to_rich(), "")


def reproduce(
    run: RunPath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="An empty or new folder; the run goes to DIR/<name>.  [default: reproduced/<name>]",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where paths of task files begin, if not in the folder that the run was started from.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="By which a label probability may differ.")
    ] = 1e-3,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the engine may use beside the weights: 8GiB.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the findings.")] = False,
    as_json: AsJson = False,
    allow_code: AllowCode = False,
) -> None:
    """Run a run again from what is in its folder, and say which predictions differ.

    Nothing is taken from earlier responses. Exit code: 0 if every prediction has its demonstrations, answer
    and label probabilities, 1 if not. Killed, it goes on with the same command.
    """
    if quiet:
        options.silence_bars()

    from icl import api
    from icl.cli.display import Output as Console
    from icl.cli.display import meter_for

    memory = options.memory_size(max_memory)
    try:
        made = api.reproduce(
            run,
            output=output,
            tasks=tasks,
            tolerance=tolerance,
            max_memory=memory,
            meter=meter_for(Console(stderr=True), quiet),
        )
    except KeyboardInterrupt as end:
        print(f"icl: interrupted. {end or 'Nothing had begun'}.", file=sys.stderr)
        raise SystemExit(130) from None
    _tell(run, made, as_json)
    raise typer.Exit(0 if made.found.equal else 1)


def _tell(run: Path, made: Reproduction, as_json: bool) -> None:
    if as_json:
        whole = {"run": str(run), "again": str(made.folder.path), **made.found.plain}
        typer.echo(visible_json(json.dumps(whole, indent=1, ensure_ascii=False)))
        return
    for line in _lines(run, made):
        typer.echo(visible(line))


def _lines(run: Path, made: Reproduction) -> Iterator[str]:
    found = made.found
    yield f"{run}: {found.compared:,} predictions of {found.cells} cells made again in {made.folder.path}"
    if found.left_out:
        some = ", ".join(found.left_out[:3])
        yield f"Not compared, since the run had not completed them: {len(found.left_out)} cells ({some})"
    for condition in found.conditions:
        yield f"  {condition.name}: {condition.before or 'not said'} -> {condition.after or 'not said'}"
    if not found.conditions:
        yield "Versions, hardware and fingerprints are the same."
    if found.texts:
        yield f"{found.texts:,} texts were written otherwise and read as the same answer."
    if found.equal:
        yield f"Equal: demonstrations, answers, and label probabilities within {found.tolerance:g}."
        return
    counts = ", ".join(f"{kind} {count:,}" for kind, count in found.counts.items() if count)
    yield f"{len(found.differences):,} predictions differ ({counts}):"
    for difference in found.differences[:SHOWN]:
        yield f"  {difference.cell.id} {difference.query}: {difference.kind}: {difference.words}"
    if len(found.differences) > SHOWN:
        yield f"  and {len(found.differences) - SHOWN:,} more (all with --json)"
