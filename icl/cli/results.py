"""icl leaderboard, icl show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.options import AllowCode
from icl.errors import ConfigError
from icl.printable import visible

if TYPE_CHECKING:
    from icl.api import Run
    from icl.leaderboard import Leaderboard, Overall
    from icl.leaderboard.pivot import Pivot


class Format(StrEnum):
    """Notations of a leaderboard."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(
        "leaderboard",
        epilog="Examples: icl leaderboard runs/sst2 | icl leaderboard runs/a runs/b --format csv > table.csv"
        " | icl leaderboard runs/sst2 --view variance"
        " | icl leaderboard runs/all --rows selector --cols task --where shots=4"
        " | icl leaderboard runs/cot --chains --plot chains.svg"
        " | icl leaderboard runs/simpleqa --agree exact_match,contains,judge",
    )(leaderboard)
    app.command(
        "show",
        epilog="Example: icl show runs/quickstart --query test-27 "
        "--cell knn_8_similarity_most_similar_last_direct_s0",
    )(show)


CompareTo = Annotated[
    list[str] | None,
    typer.Option(
        metavar="BASELINE",
        help="A selector, or COMPONENT=VALUE (orderer=as_selected); again, or with commas, for several.",
        show_default=False,
    ),
]
View = Annotated[
    str,
    typer.Option(
        help="Columns: results; variance (what a row varies by with seeds, orders, queries); reliability "
        "(calibration error, label bias); headroom (worst, best, oracle); cost (accuracy at equal cost); "
        "power (queries and seeds that would settle a difference); overall (one order over tasks)."
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=VALUE",
        help="Rows to show: shots>=4, selector=knn|bm25, value>0.5; any field of the CSV; again, or with "
        "commas, for several. Statistics stay those of all rows.",
        show_default=False,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(metavar="FIELD", help="Any field of the CSV; -FIELD from high to low.", show_default=False),
]
Group = Annotated[
    list[str] | None,
    typer.Option(
        metavar="AXIS", help="Sections of rows, ranked within. Default: model,task.", show_default=False
    ),
]
Rows = Annotated[
    list[str] | None,
    typer.Option(metavar="AXIS", help="Crosswise: these axes down.", show_default=False),
]
Cols = Annotated[
    list[str] | None,
    typer.Option(
        metavar="AXIS", help="Crosswise: these axes across, ranked in each column.", show_default=False
    ),
]


AGREEMENT = (
    "model",
    "task",
    "row",
    "metric",
    "other metric",
    "right %",
    "right % ",
    "only one",
    "only other",
    "same %",
    "95 % CI",
    "kappa",
    "95 % CI ",
    "answers",
)


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    notation: Annotated[Format, typer.Option("--format", "-f", help="Notation.")] = Format.TERMINAL,
    metric: Annotated[str | None, typer.Option(help="A registered metric; see icl list metrics.")] = None,
    compare_to: CompareTo = None,
    view: View = "results",
    where: Where = None,
    sort: Sort = None,
    group: Group = None,
    rows: Rows = None,
    cols: Cols = None,
    chains: Annotated[
        bool, typer.Option("--chains", help="Accuracy at 1, 2, 4, ... of the stored chains of each row.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg", help="Draw the curves of --chains here; several tasks: one file each."
        ),
    ] = None,
    agree: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC,METRIC",
            help="How far these metrics say the same of each row's answers; judge is the run's judge.",
            show_default=False,
        ),
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Print the leaderboard of one run or of several together."""
    from icl import api

    found = [api.Run(path) for path in runs]
    if agree is not None:
        _agreement(found, [name.strip() for name in agree.split(",")])
        return
    if chains or plot is not None:
        _chains(found, notation, plot)
        return
    baseline = ",".join(compare_to) if compare_to else None
    crosswise = bool(rows or cols)
    if crosswise and (group or sort or view != "results"):
        raise ConfigError("--rows and --cols arrange the table: not with --group, --sort or --view")
    if view == "overall":
        if where or sort or group or crosswise or compare_to:
            raise ConfigError("--view overall is one order of all rows: not with other options than --metric")
        _write(api.overall_of_runs(found, metric=metric), notation)
        return
    board = api.compare_runs(
        found,
        metric=metric,
        compare_to=baseline,
        view=view,
        where=where or (),
        sort=sort,
        group=(cols or ["task"]) if crosswise else (group or ["model", "task"]),
    )
    _write(board.pivot(rows or ["selector"]) if crosswise else board, notation)


def _agreement(runs: Sequence[Run], names: Sequence[str]) -> None:
    """A line a row and pair of metrics."""
    from icl.cli.tables import show
    from icl.leaderboard.agreements import agreements

    tasks = {name: task for run in runs for name, task in run.tasks().items()}
    lines = []
    for one in agreements([result for run in runs for result in run.results], tasks, names):
        beyond = one.kappa
        lines.append(
            (
                *map(visible, (one.cell.model, one.cell.task, one.cell.setting, one.one, one.two)),
                *(f"{100 * part:.1f}" for part in one.right),
                *map(str, one.only),
                f"{100 * one.same.value:.1f}",
                f"[{100 * one.same.low:.1f}, {100 * one.same.high:.1f}]",
                "–" if beyond is None else f"{beyond.value:.2f}",
                "–" if beyond is None else f"[{beyond.low:.2f}, {beyond.high:.2f}]",
                str(one.predictions),
            )
        )
    show("agreement", AGREEMENT, lines)


def _write(table: Leaderboard | Pivot | Overall, notation: Format) -> None:
    from rich.console import Console

    if notation is Format.TERMINAL:
        console = Console()
        console.print(table.to_rich(console.width))
        return
    text = {
        Format.MARKDOWN: table.to_markdown,
        Format.CSV: table.to_csv,
        Format.LATEX: table.to_latex,
        Format.JSON: table.to_json,
    }[notation]()
    typer.echo(text, nl=False)


def _chains(runs: list[Run], notation: Format, plot: Path | None) -> None:
    """Curves over the number of chains, and their plots: one file a task."""
    from rich.console import Console

    from icl import api

    if notation in (Format.LATEX, Format.JSON):
        raise ConfigError(f"--chains has no {notation.value}; allowed: terminal, markdown, csv")
    curves = api.chains_of_runs(runs)
    if notation is Format.TERMINAL:
        console = Console()
        console.print(curves.to_rich(console.width))
    else:
        typer.echo(curves.to_markdown() if notation is Format.MARKDOWN else curves.to_csv(), nl=False)
    if plot is None:
        return
    drawn = curves.to_svg()
    for place, svg in drawn.items():
        path = plot if len(drawn) == 1 else plot.with_stem(f"{plot.stem}-{_file_name(place, drawn)}")
        try:
            path.write_text(svg, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--plot: {path} cannot be written: {error.strerror}") from error
        typer.echo(f"Plot: {path}", err=True)


def _file_name(place: tuple[str, str], places: Iterable[tuple[str, str]]) -> str:
    """The task, with the model in front where there are several."""
    model, task = place
    words = task if len({m for m, _ in places}) == 1 else f"{model}-{task}"
    return re.sub(r"[^A-Za-z0-9.]+", "_", words)


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    query: Annotated[str, typer.Option("--query", "-q", help="Id of a test item.", show_default=False)],
    cell: Annotated[str | None, typer.Option("--cell", "-c", help="A cell's id, or a part of it.")] = None,
    allow_code: AllowCode = False,
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
    for note in found.notes:
        console.print(Text(note, style="yellow"), soft_wrap=True)
