"""icl leaderboard, icl show."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Notations of a leaderboard."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(
        "leaderboard",
        epilog="Examples: icl leaderboard runs/sst2 | icl leaderboard runs/a runs/b --format csv > table.csv",
    )(leaderboard)
    app.command(
        "show",
        epilog="Example: icl show runs/quickstart --query test-27 "
        "--cell knn_8_similarity_most_similar_last_direct_s0",
    )(show)


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    notation: Annotated[Format, typer.Option("--format", "-f", help="Notation.")] = Format.TERMINAL,
    metric: Annotated[str | None, typer.Option(help="A registered metric; see icl list metrics.")] = None,
    compare_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BASELINE",
            help="A selector, or COMPONENT=VALUE (orderer=as_selected); again, or with commas, for several.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the leaderboard of one run or of several together."""
    from rich.console import Console

    from icl import api

    baseline = ",".join(compare_to) if compare_to else None
    board = api.compare_runs([api.Run(path) for path in runs], metric=metric, compare_to=baseline)
    if notation is Format.TERMINAL:
        console = Console()
        console.print(board.to_rich(console.width))
    else:
        text = {
            Format.MARKDOWN: board.to_markdown,
            Format.CSV: board.to_csv,
            Format.LATEX: board.to_latex,
        }[notation]()
        typer.echo(text, nl=False)


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    query: Annotated[str, typer.Option("--query", "-q", help="Id of a test item.", show_default=False)],
    cell: Annotated[str | None, typer.Option("--cell", "-c", help="A cell's id, or a part of it.")] = None,
) -> None:
    """Show one prediction: the prompt in colours, the demonstrations and why, and what came back."""
    from rich.console import Console
    from rich.text import Text

    from icl import api
    from icl.leaderboard.show import render_prediction

    found = api.Run(run).show(query, cell)
    console = Console()
    console.print(Text(found.cell.id, style="bold"))
    console.print(
        render_prediction(found.prompt, found.prediction, found.examples, task=found.task, query=found.query)
    )
