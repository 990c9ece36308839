"""icl study: an experiment on the mechanism of in-context learning."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli import options
from icl.cli.options import AllowCode
from icl.cli.tables import show
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from icl.experiments.study.plan import StudyPlan


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "study",
        epilog="Examples: icl study experiments/mechanism/induction.yaml | icl study s.yaml --plan | "
        "icl study s.yaml --preset paper --plan | icl study s.yaml --set seed=1 --json > found.json",
    )(study)


def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study (YAML).", show_default=False)],
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Measure the pace of each step on a few units, and say what it all takes."
        ),
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "--out", "-o", metavar="DIR", help="The study goes to DIR/<name>.")
    ] = Path("studies"),
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the engine may use beside the weights: 8GiB.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; the old folder is kept under a new name.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document: the report, or the plan.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="In place of the file's: quick, paper.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a parameter of the study or a key of the file, as YAML: "
            "--set training_steps=100. May be given again.",
            show_default=False,
        ),
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Run a study of how in-context learning works: what the paper expects, what is measured, its control.

    Killed, it goes on with the same command. `icl list studies` has them; `icl report` makes a page of its
    folder.
    """
    if quiet:
        options.silence_bars()

    from icl.cli.display import Output as Console
    from icl.cli.display import meter_for
    from icl.experiments.file.overrides import Override, parse_set
    from icl.experiments.study import calls

    overrides = [parse_set(text) for text in settings or ()]
    if preset is not None:
        overrides.append(Override(("preset",), preset, "--preset"))
    memory = options.memory_size(max_memory)
    meter = meter_for(Console(stderr=True), quiet)
    if plan:
        planned = calls.plan_study(file, output=output, max_memory=memory, meter=meter, overrides=overrides)
        _say_plan(planned, as_json)
        return
    try:
        made = calls.study(
            file, output=output, max_memory=memory, meter=meter, restart=restart, overrides=overrides
        )
    except KeyboardInterrupt:
        print(
            "icl: interrupted. Finished steps and checkpoints are kept; the same command goes on.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    if as_json:
        typer.echo(visible_json(json.dumps(made.report, ensure_ascii=False, indent=1)))
        return
    _say(made.report)
    typer.echo(f"Report: {visible(str(made.text_file))}\nPage: icl report {visible(str(made.path))}")


def _say(report: dict[str, Any]) -> None:
    """Claims with what was measured and the control, tables, and what fell short."""
    from icl.experiments.study.text import VERDICTS, shown

    for claim in report["claims"]:
        lines = (
            claim["said"],
            f"  measured: {claim['measured']}",
            f"  control:  {claim['control']}",
            f"  holds:    {VERDICTS[claim['holds']]}",
        )
        typer.echo("\n".join(visible(line) for line in lines))
    for table in report["tables"]:
        typer.echo("")
        rows = [[visible(shown(cell)) for cell in row] for row in table["rows"]]
        show(visible(table["name"]), [visible(column) for column in table["columns"]], rows)
    for note in report["notes"]:
        typer.echo(visible(f"Note: {note}"))


def _say_plan(planned: StudyPlan, as_json: bool) -> None:
    """Steps, pace, time, and what takes longest."""
    from icl.cli.display import duration

    if as_json:
        steps: Sequence[dict[str, Any]] = [
            {
                "step": one.name,
                "units": one.units,
                "unit": one.unit,
                "done": one.done,
                "seconds_a_unit": one.seconds_a_unit,
                "seconds": one.seconds,
            }
            for one in planned.steps
        ]
        typer.echo(visible_json(json.dumps({"steps": steps, "seconds": planned.seconds}, indent=1)))
        return
    rows = [
        (
            visible(one.name),
            f"{one.units:,}",
            visible(one.unit),
            "done" if one.done else f"{one.seconds_a_unit:.3g}",
            "-" if one.done else duration(one.seconds),
        )
        for one in planned.steps
    ]
    show("plan", ("step", "units", "of", "s a unit", "time"), rows)
    most = planned.dominant
    if most is None:
        typer.echo("Every step is done: only the report would be written.")
        return
    share = most.seconds / planned.seconds if planned.seconds else 1.0
    typer.echo(
        visible(
            f"About {duration(planned.seconds)} on this machine, {share:.0%} of it for {most.name}. Measured "
            "on a few units of each step; the loading of the model is not in it."
        )
    )
