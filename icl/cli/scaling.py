"""icl scale."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from icl.executors.shapes import GridShape
    from icl.executors.simulate import Machines, Simulation

HEADERS = (
    "workers",
    "tasks",
    "tokens forwarded",
    "repeated",
    "makespan",
    "times faster",
    "bound by",
    "share",
)


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "scale",
        epilog="Examples: icl scale queries=5000 cells=20 seeds=5 demonstrations=fixed shots=8 | "
        "icl scale queries=1000 labels=0 samples=10 written=128 read=20000 write=2000 --workers 8,64",
    )(scale)


def scale(
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="The grid's shape (queries, cells, seeds, demonstrations=fixed|query, shots, labels, "
            "samples), lengths in tokens (instruction, demonstration, query, label, written), tokens a "
            "second of a worker (read, write), seconds (weights, request, hand_out).",
            show_default=False,
        ),
    ],
    workers: Annotated[
        str, typer.Option(metavar="N,N", help="Numbers of workers to compare.")
    ] = "1,8,64,512",
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Requests asked at once, as of icl run; all where it is not given.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what a grid would take on many workers: tokens, repeated prefixes, makespan and what bounds it.

    Nothing is asked and no model is read: the grid is given by its shape, cut as a run cuts it, and scheduled
    by the rates given. docs/scale.md says what stands behind the figures.
    """
    counts = _counts(workers)
    if batch is not None and batch < 1:
        raise ConfigError(f"--batch: {batch}; allowed: a number of requests, at least 1")
    shape, machines = read_settings(settings)
    from icl.executors.simulate import simulate

    found = [simulate(shape, count, machines, window=batch) for count in counts]
    if as_json:
        rows = [{**dataclasses.asdict(one), **_derived(one)} for one in found]
        given = {"shape": dataclasses.asdict(shape), "machines": dataclasses.asdict(machines)}
        typer.echo(json.dumps({**given, "batch": batch, "workers": rows}, indent=2))
        return
    _print(found, machines)


def _derived(one: Simulation) -> dict[str, Any]:
    return {"makespan": one.makespan, "repeated_share": one.repeated_share, "bound": one.bound}


def _counts(workers: str) -> list[int]:
    counts = [int(text) if text.strip().isdecimal() else 0 for text in workers.split(",")]
    if not all(0 < count <= 100_000 for count in counts):
        raise ConfigError(f"--workers: {workers!r}; allowed: whole numbers from 1 to 100000, as in 1,8,64")
    return counts


def read_settings(settings: Sequence[str]) -> tuple[GridShape, Machines]:
    """The shape and the rates that KEY=VALUE say. ConfigError naming key, value and what is allowed."""
    from icl.executors.shapes import GridShape
    from icl.executors.simulate import Machines

    keys = {field.name: kind for kind in (GridShape, Machines) for field in dataclasses.fields(kind)}
    given: dict[type, dict[str, Any]] = {GridShape: {}, Machines: {}}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise ConfigError(f"{setting!r}: a setting is written KEY=VALUE, as in queries=1000")
        if key not in keys:
            raise ConfigError(unknown_name("setting", key, keys))
        if key in given[keys[key]]:
            raise ConfigError(f"{key} is given twice")
        given[keys[key]][key] = _value(text)
    if "queries" not in given[GridShape]:
        raise ConfigError("queries is missing: a grid has at least queries=1")
    try:
        return GridShape(**given[GridShape]), Machines(**given[Machines])
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _value(text: str) -> int | float | str:
    """A number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _print(found: Sequence[Simulation], machines: Machines) -> None:
    from icl.cli.display import duration
    from icl.cli.tables import show

    rows = [
        (
            f"{one.workers:,}",
            f"{one.tasks:,}",
            f"{one.tokens_forwarded:,}",
            f"{one.repeated_share:.1%}",
            duration(one.makespan),
            f"{found[0].makespan / one.makespan:.1f}",
            one.bound,
            f"{one.seconds[one.bound] / one.makespan:.0%}",
        )
        for one in found
    ]
    first = found[0]
    title = f"{first.requests:,} requests in {first.windows:,} windows, {first.tokens_once:,} tokens once"
    show(
        title, HEADERS, rows, note=f"A worker reads {machines.read:g} tokens/s and writes {machines.write:g}."
    )
