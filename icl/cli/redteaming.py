"""icl redteam."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli import options
from icl.cli.tables import show
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from icl.experiments.redteam.check import CheckedRedTeam
    from icl.experiments.redteam.plan import StepPlan

PLAN = ("way", "step", "model", "questions", "requests", "tokens", "forwarded", "written at most")


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "redteam",
        epilog="Examples: icl redteam experiments/redteam.yaml --plan | icl redteam mine.yaml -o out --json",
    )(redteam)


def redteam(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file (YAML).", show_default=False)],
    plan: Annotated[
        bool, typer.Option("--plan", help="What would be asked, step by step; nothing is asked or written.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of folders; it goes to DIR/<name>.")
    ] = Path("redteam"),
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the engine may use beside the weights: 8GiB.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; the old folder is kept under a new name.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """A model writes test questions, another answers them, a judge says which rules the answers break.

    Questions come from a prompt alone (zero_shot), from a prompt that shows questions which did well before
    (few_shot), or from a file (written). Shown are hit rates with 95 % intervals beside the diversity of the
    questions, by way and by rule, and everything that was left out. Killed, it goes on with the same command.
    docs/redteam.md has the keys of the file.
    """
    if quiet:
        options.silence_bars()
    memory = options.memory_size(max_memory)
    if plan:
        _plan(_checked(file), as_json)
        return

    from icl.cli.display import Output, meter_for
    from icl.experiments.redteam.calls import red_team

    meter = meter_for(Output(stderr=True), quiet)
    try:
        found = red_team(file, output=output, max_memory=memory, meter=meter, restart=restart)
    except KeyboardInterrupt:
        print(
            "icl: interrupted. Finished steps and answers are kept; the same command goes on.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    if as_json:
        typer.echo(visible_json(json.dumps(found.report, ensure_ascii=False, indent=1)))
        return
    _show(found.report)
    typer.echo(f"Report: {visible(str(found.report_file))}")


def _checked(file: Path) -> CheckedRedTeam:
    from icl.experiments.redteam.check import check_red_team
    from icl.experiments.redteam.file import read_red_team

    return check_red_team(*read_red_team(file))


def _plan(checked: CheckedRedTeam, as_json: bool) -> None:
    from icl.cli.display import Output, waiting
    from icl.experiments.redteam.plan import plan_red_team

    with waiting(Output(stderr=True), "planning"):
        steps = plan_red_team(checked)
    if as_json:
        typer.echo(visible_json(json.dumps({"steps": [_plain(one) for one in steps]}, indent=1)))
        return
    rows = [
        (
            one.way,
            one.step,
            visible(one.model) or "-",
            f"{one.questions:,}",
            f"{one.total.requests:,}",
            f"{one.total.tokens_flat:,}",
            f"{one.total.tokens_unique:,}",
            f"{one.total.tokens_generated:,}",
        )
        for one in steps
    ]
    show("plan", PLAN, rows)
    typer.echo("Every reply was taken for usable questions: at least so much is asked. Texts are made up.")


def _plain(one: StepPlan) -> dict[str, Any]:
    total = one.total
    return {
        "way": one.way,
        "step": one.step,
        "model": one.model,
        "questions": one.questions,
        "requests": total.requests,
        "tokens_flat": total.tokens_flat,
        "tokens_unique": total.tokens_unique,
        "tokens_generated": total.tokens_generated,
    }


def _show(report: dict[str, Any]) -> None:
    from icl.redteam import report_text as text

    show("hits", text.WAYS, text.way_rows(report))
    show("diversity of the questions", text.diversity_headers(report), text.diversity_rows(report))
    show("by rule", text.RULES, [tuple(map(visible, row)) for row in text.rule_rows(report)])
    for line in text.remarks(report):
        typer.echo(visible(line))
