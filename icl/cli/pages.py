"""icl report, icl view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.options import DEFAULT_OUTPUT, AllowCode
from icl.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(
        "report",
        epilog="Examples: icl report runs/quickstart | icl report runs/a runs/b -o both.html | "
        "icl report studies/induction",
    )(report)
    app.command("view", epilog="Examples: icl view | icl view runs/quickstart --port 8700")(view)


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, or the folder of a study.", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.html", help="Where the page goes.")
    ] = Path("report.html"),
    title: Annotated[
        str | None, typer.Option(help="In place of the runs' names.", show_default=False)
    ] = None,
    max_mb: Annotated[
        float,
        typer.Option(min=0, metavar="MB", help="Above it later queries are left out; 0: none is."),
    ] = 50,
    allow_code: AllowCode = False,
) -> None:
    """Write the leaderboard and every prediction as one page that opens from disk, without a network.

    A run that is still going is shown as far as it has come. The page of a study has its claims with their
    controls, figures and tables.
    """
    from rich.console import Console

    from icl.api import Run
    from icl.cli.display import now_and_then, waiting
    from icl.experiments.study.folder import is_study
    from icl.pages import report_within, study_report
    from icl.printable import visible

    if output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"--output: {output} cannot be a file; name one in a folder that exists")
    console = Console(stderr=True)
    study = next((path for path in runs if is_study(path)), None)
    if study is not None:
        if len(runs) > 1:
            raise ConfigError(
                f"{study}: is the folder of a study, which has a page of its own: icl report {study}"
            )
        _write(study_report(study, title=title), output, console)
        return
    with waiting(console, "reading the runs") as note:
        most = int(max_mb * 1e6) if max_mb else None
        found = [Run(path) for path in runs]
        page, lacking = report_within(found, most, title=title, note=now_and_then(note, console))
    if lacking:
        console.print(visible(lacking), markup=False, highlight=False, soft_wrap=True)
    _write(page, output, console)


def _write(page: str, output: Path, console: Console) -> None:
    """Puts the page where it goes, and says where and how large."""
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output: {output} cannot be written: {error.strerror}") from error
    size = output.stat().st_size
    console.print(f"{size / 1e6:.1f} MB", highlight=False)
    typer.echo(str(output))


def view(
    runs: Annotated[
        Path, typer.Argument(metavar="[RUNS]", help="A folder of runs, or one run.")
    ] = DEFAULT_OUTPUT,
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 0,
    allow_code: AllowCode = False,
) -> None:
    """Serve the page on this machine's own address while runs grow: progress, time left, the first rows.

    It only reads. The address that is printed holds a token: who has it, and may use this machine, can read
    the runs. Ctrl-C ends it.
    """
    from icl.api import Run
    from icl.leaderboard.page.live import Runs
    from icl.leaderboard.page.serve import PageServer
    from icl.pages import page_of_runs

    try:
        with PageServer(Runs(runs, lambda path: page_of_runs([Run(path)])), port) as server:
            typer.echo(server.url)
            typer.echo("Ctrl-C ends it.", err=True)
            server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        typer.echo("", err=True)
