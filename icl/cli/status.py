"""icl status."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.options import AllowCode

if TYPE_CHECKING:
    from icl.experiments.status import Status
    from icl.experiments.study.status import StepStatus, StudyStatus


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "status",
        epilog="Examples: icl status runs/quickstart | icl status runs/sst2 --json "
        "| watch icl status runs/sst2 | icl status studies/induction",
    )(status)


def status(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder, or the folder of a study.", show_default=False),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Say how far a run is: cells, predictions, rate, time left, problems; or a study: its steps.

    Takes no lock, so that a run at work is not disturbed.
    """
    from icl.cli.display import Output
    from icl.experiments.folder.store import RunFolder
    from icl.experiments.status import status as look
    from icl.experiments.study.folder import StudyFolder, is_study
    from icl.printable import visible

    if is_study(run):
        from icl.experiments.study.status import study_status

        study = study_status(StudyFolder(run))
        plain, said = study.as_dict, study_lines(study)
    else:
        found = look(RunFolder.open(run))
        plain, said = found.as_dict, lines(found)
    if as_json:
        typer.echo(json.dumps(plain, indent=2))
        return
    console = Output()
    for line in said:
        console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


def study_lines(found: StudyStatus) -> list[str]:
    """What `icl status` prints of a study."""
    process = "" if found.process is None else f", process {found.process}"
    said = [
        f"{found.name}: {found.state}{process}",
        f"study        {found.study}",
        f"steps        {found.done} of {len(found.steps)} done",
    ]
    if found.state == "stopped" and found.last_end not in (None, "complete"):
        said.append(f"last end     {found.last_end}")
    said += [f"  {step.name}: {step.units:,} {step.unit}, {_how(step)}" for step in found.steps]
    if found.state == "stopped":
        said.append("The same icl study goes on.")
    return said


def _how(step: StepStatus) -> str:
    if step.seconds is None:
        return "begun" if step.begun else "not begun"
    return f"done in {_ago(step.seconds)}"


def lines(found: Status) -> list[str]:
    """What `icl status` prints."""
    done, cells = found.cells
    share = f" ({found.predictions / found.total:.0%})" if found.total else ""
    said = [
        f"{found.name}: {found.state}{_who(found)}",
        f"cells        {done} of {cells} complete",
        f"predictions  {found.predictions:,} of {found.total:,} kept{share}",
        *_rate(found),
    ]
    said += _workers(found)
    if found.near_ties:
        said.append(f"near ties    {found.near_ties} in complete cells")
    if found.state != "complete" and found.last_end not in (None, "complete"):
        said.append(f"last end     {found.last_end}")
    said += [f"problem      {problem}" for problem in found.problems]
    for row in found.rows:
        value = "" if row.accuracy is None else f"  accuracy {row.accuracy:.1%}"
        said.append(
            f"  {row.model} {row.task} {row.setting}: {row.complete} of {row.cells} cells, "
            f"{row.predictions:,} of {row.total:,}{value}"
        )
    if found.state == "stopped":
        said.append("The same icl run goes on.")
    return said


def _who(found: Status) -> str:
    progress = found.progress
    if progress is None or found.state == "complete":
        return ""
    ago = max(time.time() - progress.at, 0.0)
    if found.state == "stopped":
        return f", last heard of {_ago(ago)} ago"
    where = f" on {progress.host}" if found.state == "unknown" else ""
    return f", process {progress.pid}{where}, heard of {_ago(ago)} ago"


def _rate(found: Status) -> list[str]:
    from icl.cli.display import duration

    progress = found.progress
    if progress is None or found.state not in ("running", "unknown"):
        return []
    said = [f"rate         {progress.predictions_per_second:.2f} predictions/s"]
    if progress.tokens:
        said[0] += f", {progress.tokens_per_second:,.0f} tokens/s"
    said.append(f"time left    {duration(progress.seconds_left)} (h:mm:ss; ? before much is known)")
    if progress.step:
        said.append(f"at           {progress.step}")
    return said


def _workers(found: Status) -> list[str]:
    """Of the last session that had any."""
    told = found.workers
    if not told:
        return []
    line = f"workers      {told['workers']} of {told['executor']}, threads of each {told['threads']}"
    if "tasks" not in told:  # its session runs, or was killed
        return [f"{line}; tasks are counted where a session ends"]
    share = told["tokens_repeated"] / max(told["tokens_once"], 1)
    return [
        f"{line}, tasks {told['tasks']}, tried again {told['retried']}, tokens forwarded again {share:.1%}",
        *(f"lost         {how}" for how in told["lost"]),
    ]


def _ago(seconds: float) -> str:
    from icl.cli.display import duration

    return f"{seconds:.0f} s" if seconds < 120 else duration(seconds)
