"""icl bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.errors import ConfigError
from icl.printable import visible

if TYPE_CHECKING:
    from icl.bench.earlier import Earlier
    from icl.bench.settings import Settings
    from icl.bench.workloads import Workload


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "bench",
        epilog="Examples: icl bench --workloads bench | "
        "icl bench --workloads bench --engines icl,shared --dtype bfloat16 --json rows.json | "
        "icl bench --workloads bench --engines icl,icl-python --rounds 5 | "
        "icl bench --workloads mine --engines icl --against rows.json",
    )(bench)


def bench(
    workloads: Annotated[
        Path | None,
        typer.Option(metavar="DIR", envvar="ICL_BENCH", help="Folder of workload files (JSON); each is run."),
    ] = None,
    engines: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Which, with commas between; also icl-python, icl without native kernels."
        ),
    ] = "icl,naive,padded,shared,continuous",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    model: Annotated[
        str, typer.Option(help="Alias, hub id, folder, .gguf file, or random-8b (weights drawn).")
    ] = "smollm2-135m-instruct",
    only: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Workloads, with commas between; default: all of the folder."),
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option(help="Part of each workload that naive, padded and continuous run; the rest is scaled."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Engines take turns so often, each in a process of its own; default: 3 with icl-python.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier --json, whose seconds are set beside those of now."),
    ] = None,
    scale: Annotated[int, typer.Option(min=1, help="Copies of each workload that share nothing.")] = 1,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the engine may use beside the weights: 8GiB.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the rows go.")] = None,
) -> None:
    """Measure icl against plain transformers on workload files, and against the machine's lower bound.

    A file is {"kind": "score", "items": [{"ctx": [ids], "conts": [[ids], ...]}]} or
    {"kind": "gen", "prompts": [[ids]], "n": samples, "temp": temperature, "new": tokens}.
    """
    from icl.bench.earlier import read_earlier
    from icl.bench.settings import Settings
    from icl.bench.workloads import read_workloads
    from icl.cli.options import memory_size

    memory = memory_size(max_memory)
    settings = Settings(model, dtype, _names(engines, "--engines"), fraction, memory, rounds)
    found = read_workloads(workloads, _names(only, "--only") if only is not None else None)
    earlier = None if against is None else read_earlier(against)
    _measure(settings, found, scale, earlier, json)


def _measure(
    settings: Settings, found: list[Workload], scale: int, earlier: Earlier | None, json: Path | None
) -> None:
    """Times the workloads and prints them as they come: what imports torch, after what can be refused."""
    from rich.console import Console

    from icl.bench.run import Bench, machine
    from icl.bench.table import show, write_json

    notes = Console(stderr=True)
    measured = Bench(settings)
    if scale > 1:
        found = [w.scaled(scale, measured.shape.vocabulary) for w in found]
    about = {**machine(measured), "scale": scale}

    def keep(row: object) -> None:
        if earlier is not None:
            earlier.compare(measured.rows)
        show(measured.rows[-1:], notes)
        if json is not None:
            write_json(json, about, measured.rows)

    measured.run(found, keep)
    console = Console()
    show(measured.rows, console)
    console.print(
        f"{about['device']}, {about['threads']} threads; {about['gemm_gflops']} GFLOP/s by torch.mm, "
        f"{about['packed_gflops']} packed, {about['bandwidth_gb']} GB/s. "
        "~: measured on a part and scaled by flat tokens.",
        highlight=False,
        soft_wrap=True,
    )
    for line in earlier.said(measured.rows, about) if earlier is not None else ():
        console.print(visible(line), markup=False, highlight=False, soft_wrap=True)
    if json is not None:
        write_json(json, about, measured.rows)


def _names(text: str, option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    if not names:
        raise ConfigError(f"{option}: no name given")
    return names
