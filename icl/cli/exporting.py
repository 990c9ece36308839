"""icl export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from icl.errors import ConfigError

SUFFIX = {"parquet": ".parquet", "csv": ".csv", "datasets": ""}


class Form(StrEnum):
    """What `icl export` writes."""

    PARQUET = "parquet"
    CSV = "csv"
    DATASETS = "datasets"


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "export",
        epilog="Examples: icl export runs/sst2 | icl export runs/a runs/b --to csv -o both.csv "
        "| icl export runs/sst2 --to datasets -o sst2",
    )(export)


def export(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    to: Annotated[
        Form | None,
        typer.Option(
            "--to",
            help="One file, or a folder for datasets. Default: as --output ends, else parquet.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Default: <run>.predictions and the suffix, here.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write the predictions of runs as a table: one row a prediction, typed columns.

    pandas, polars, duckdb and datasets read it. A run that is still growing is exported as far as it is.
    """
    from rich.console import Console

    from icl.cli.display import now_and_then, waiting
    from icl.experiments.folder.store import RunFolder
    from icl.leaderboard.export import export as write
    from icl.printable import visible

    form = _form(to, output)
    folders = [RunFolder.open(path) for path in runs]
    path = output or Path(f"{folders[0].name}.predictions{SUFFIX[form.value]}")
    notes: list[str] = []
    console = Console(stderr=True)
    with waiting(console, "reading") as show:
        step = now_and_then(show, console)
        count = write(folders, form.value, path, overwrite=overwrite, note=notes.append, step=step)
    for note in notes:
        typer.echo(visible(note), err=True)
    typer.echo(visible(f"{count:,} predictions: {path}"))


def _form(to: Form | None, output: Path | None) -> Form:
    """What is asked for, or what the file is named after. ConfigError where the two are not one."""
    ends = next(
        (Form(name) for name, suffix in SUFFIX.items() if suffix and output and output.suffix == suffix), None
    )
    if to is not None and ends is not None and to is not ends:
        raise ConfigError(f"--output: {output} is named as {ends.value}, and --to is {to.value}; change one")
    return to or ends or Form.PARQUET
