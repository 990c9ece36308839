"""icl doctor."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from icl.errors import ConfigError

if TYPE_CHECKING:
    from icl.bench.doctor import Diagnosis

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("doctor", epilog="Examples: icl doctor | icl doctor --parameters 3b | icl doctor --json")(
        doctor
    )


def doctor(
    parameters: Annotated[
        str | None,
        typer.Option(metavar="N,N", help="Sizes of models to reckon for, as in 135m,8b.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what is installed and missing, how fast this machine multiplies and copies, and what that means for
    models of some sizes. Measures for some seconds; loads no model.
    """
    from rich.console import Console

    from icl.cli.display import waiting

    sizes = None if parameters is None else [_size(text) for text in parameters.split(",")]
    with waiting(Console(stderr=True), "looking") as note:
        from icl.bench.doctor import diagnose

        found = diagnose(note=note) if sizes is None else diagnose(sizes, note)
    if as_json:
        typer.echo(json.dumps(found.as_dict, indent=2))
        return
    from icl.printable import visible

    for line in lines(found):
        typer.echo(visible(line))


def _size(text: str) -> float:
    """ "8b" -> 8e9. ConfigError for what is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmbt]?)\s*", text.lower())
    size = float(match[1]) * UNITS[match[2]] if match else 0.0
    if size < 1:
        raise ConfigError(f"--parameters: {text!r} is no number of parameters; write it like 135m or 8b")
    return size


def lines(found: Diagnosis) -> list[str]:
    """What `icl doctor` prints."""
    said = ["installed    " + ", ".join(f"{name} {version}" for name, version in found.versions.items())]
    for extra in found.extras:
        said.append(f"extra        {extra.name}: {extra.line if extra.missing else 'complete'}")
    said += [
        f"device       {found.device}",
        f"processor    {found.processor}, {found.capability}, {_count(found.cores, 'core')}, "
        f"{_count(found.threads, 'thread')}",
        f"memory       {found.memory / 2**30:.1f} GiB, {found.free / 2**30:.1f} GiB of the device's free now",
        f"ICL_DATA     {found.data}",
        f"native       kernels: {found.native}",
    ]
    for speed in found.speeds:
        how = "packed weights" if speed.packed else "torch.mm"
        own = "" if speed.native else "; no kernels of its own here, products are made in fp32"
        said.append(
            f"{speed.dtype:<12} {speed.operations / 1e9:,.0f} GFLOP/s ({how}), "
            f"{speed.bandwidth / 1e9:,.1f} GB/s copied{own}"
        )
    if found.load > found.cores / 2:
        said.append(
            f"busy         {found.load:.1f} processes on {_count(found.cores, 'core')}: the rates are too low"
        )
    said.append("A model here at best (its weights alone; icl plan measures on a model's own shapes):")
    for bound in found.bounds:
        fits = "" if bound.fits else "; does not fit into free memory"
        said.append(
            f"  {_named(bound.parameters):>6} {bound.dtype:<8} reads {bound.read:,.0f} tokens/s, "
            f"writes one text at {bound.write:,.1f} tokens/s, weights {bound.weights / 2**30:.1f} GiB{fits}"
        )
    return said


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _named(parameters: float) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if parameters >= size:
            return f"{parameters / size:g}{unit}"
    return f"{parameters:g}"
