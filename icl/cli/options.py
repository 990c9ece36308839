"""Options that several commands share, and values of options, read and refused in one place."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.errors import ConfigError
from icl.outside import allow_code

if TYPE_CHECKING:
    from icl.experiments.file.overrides import Override


def _trust(context: typer.Context, allowed: bool) -> bool:
    """Until the command ends, files may name code outside icl where `--allow-code` was given.

    Then modules in the current folder are found too, which console scripts leave out: at the end of the
    path and never in front, since a stray json.py in a folder of data must not stand in for the
    library's. The empty name is the current folder, whichever that is at the import.
    """
    if allowed and "" not in sys.path:
        sys.path.append("")
    context.with_resource(allow_code(allowed))
    return allowed


AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        callback=_trust,
        help="Import and run classes outside icl that the files name (package.module:Class). They may do "
        "whatever you may: only for files and code that you trust.",
    ),
]
"""For every command that reads an experiment, a task file or a run folder; it acts by being there."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file (YAML).", show_default=False)]
AnyFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="An experiment or task file, or a built-in task.", show_default=False
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of run folders; the run goes to DIR/<name>."),
]
DEFAULT_OUTPUT = Path("runs")
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value for a key of the file, as YAML: --set grid.shots=[4,8]. May be given again.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="Ask this many test items.", show_default=False)
]
Seeds = Annotated[
    str | None, typer.Option("--seeds", metavar="N,N", help="Seeds, as in 0,1.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Another model; see icl models.", show_default=False),
]

Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="Where requests run, in place of the file's: processes (of this machine), ray (a cluster), none "
        "(this process). The run is the same.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Workers of the executor, a model each.", show_default=False),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="A", help="ray: a cluster that is there, auto or host:port.", show_default=False
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker", metavar="G", help="ray: graphics cards of a worker.", show_default=False
    ),
]

UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
UNITS |= {f"{u}b": size for u, size in UNITS.items() if u and u != "b"}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def overrides(
    settings: list[str] | None, limit: int | None, seeds: str | None, model: str | None
) -> list[Override]:
    """What these options say in place of the file. Raises ConfigError for a setting that is none."""
    from icl.experiments.file.overrides import Override, parse_set

    found = [parse_set(text) for text in settings or ()]
    if limit is not None:
        found.append(Override(("test",), limit, "--limit"))
    if seeds is not None:
        found.append(Override(("seeds",), _numbers(seeds), "--seeds"))
    if model is not None:
        found.append(Override(("model",), model, "--model"))
    return found


def executor(
    name: str | None, workers: int | None, address: str | None, gpus: float | None
) -> list[Override]:
    """The executor that these options name, with its options; without a name those of the file's executor.
    ConfigError for options of none."""
    from icl.experiments.file.overrides import EXECUTOR, NAMED, Override

    given = {"workers": workers, "address": address, "gpus_per_worker": gpus}
    given = {key: value for key, value in given.items() if value is not None}
    said = {key: f"--{key.replace('_', '-')}" for key in given}
    if name is None:
        return [Override((EXECUTOR, NAMED, key), value, said[key]) for key, value in given.items()]
    if name == "none":
        for key in given:
            raise ConfigError(f"{said[key]}: --executor none has no options")
        return [Override((EXECUTOR,), None, "--executor")]
    return [Override((EXECUTOR,), {name: given}, "--executor")]


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds: {text!r} is no list of numbers; write it like 0 or 0,1,2") from None


def silence_bars() -> None:
    """Turns the progress bars of the libraries off, such as that of the GGUF reader. They look once, when
    they are imported: to be called before."""
    os.environ.update(TQDM_DISABLE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")


def memory_size(text: str | None) -> int | None:
    """ "8GiB", "500 MB" or "1e9" in bytes. Raises ConfigError for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([a-z]*)\s*", text.lower())
    size = float(match[1]) * UNITS.get(match[2], 0) if match else 0.0
    if size < 1:
        raise ConfigError(f"--max-memory: {text!r} is not a size; write it like 8GiB or 500MB")
    return int(size)
