"""icl judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli.options import DEFAULT_OUTPUT
from icl.cli.tables import Row, show
from icl.errors import ConfigError
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from icl.experiments.asking.judging import Graded
    from icl.experiments.file.judges import JudgeChoice
    from icl.experiments.graded import LabelledItem, Line, Report
    from icl.experiments.running.progress import Meter
    from icl.judging import Judge
    from icl.metrics.shared.agreement import Estimate

AGREEMENT = (
    "model",
    "of",
    "items",
    "positive",
    "right %",
    "95 % CI",
    "found %",
    "false alarms %",
    "area",
    "kappa",
    "95 % CI ",
)
VERDICTS = ("model", "id", "label", "score", "margin", "reasons", "flags")
NONE = "–"


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "judge",
        epilog="Examples: icl judge experiments/judges.yaml | "
        "icl judge violations --judge rules --model smollm2-135m-instruct | "
        "icl judge rows.jsonl --judge '{rules: {file: mine.yaml, threshold: .7}}' --model a --model b --json",
    )(judge)


def judge(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Rows (JSONL, CSV, Parquet), or violations, the bundled set; or a file that says rows, "
            "judge and models (YAML).",
        ),
    ],
    named: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="JUDGE",
            help="A name of icl list judges, or {name: {parameters}} as in a file. Default: rules.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME", help="The model it asks, or {backend: {options}}. May be given again."
        ),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the models: float32, bfloat16, float16.", show_default=False)
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of rows that say none: en, zh. Default: en.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The first N rows only.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder whose response cache is used.")
    ] = DEFAULT_OUTPUT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document with every verdict.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Grade answers in a file with a judge, and hold its verdicts against people's labels.

    A row is {"question": ..., "answer": ...}, with "gold" (a text or a list), "other" (the second side of a
    pair), "language", "id", and what people said if you have it: "label", or "violated": [rules]. With labels
    the agreement is shown, a line a rule or label; without them the verdicts. Killed, it goes on with the
    same command.
    """
    from icl.cli.display import Output as Console
    from icl.cli.display import meter_for
    from icl.experiments.asking.judging import check_judge, check_labels
    from icl.experiments.graded import check_rows, read_labelled

    if file.endswith((".yaml", ".yml")):
        given = {"--judge": named, "--model": models, "--dtype": dtype, "--language": language}
        file, choices, language, most = _of_a_file(file, given)
        limit = most if limit is None else limit
    else:
        choices = _choices(named or "rules", models, dtype)
    built = [check_judge(choice) for choice in choices]
    rows = read_labelled(file, language or "en")[:limit]
    for choice, one in zip(choices, built, strict=True):
        check_rows(rows, one)
        check_labels(choice, one)
    meter = meter_for(Console(stderr=True), quiet)
    found = _all_graded(choices, built, rows, output, meter)
    if as_json:
        document = [_plain(choice, rows, graded, report) for choice, graded, report in found]
        typer.echo(visible_json(json.dumps({"judges": document}, ensure_ascii=False, indent=1)))
        return
    _show(file, rows, found)


def _all_graded(
    choices: Sequence[JudgeChoice],
    built: Sequence[Judge],
    rows: list[LabelledItem],
    output: Path,
    meter: Meter,
) -> list[tuple[JudgeChoice, list[Graded], Report]]:
    """What each judge says of all rows, and how that agrees with their labels."""
    meter.start(len(rows) * len(choices), 0)
    try:
        return [(c, *_graded(c, one, rows, output, meter)) for c, one in zip(choices, built, strict=True)]
    finally:
        meter.stop()


def _of_a_file(file: str, options: Mapping[str, object]) -> tuple[str, list[JudgeChoice], str, int | None]:
    """Rows, judges, language and limit that a file says. ConfigError for an option that it says already."""
    from icl.experiments.file.judging import choices_of, read_judging, rows_of

    for option, value in options.items():
        if value is not None:
            raise ConfigError(f"{option}: {file} says rows, judge and models; change it there")
    judging, source = read_judging(file)
    return rows_of(judging, source), choices_of(judging, source), judging.language, judging.limit


def _choices(named: str, models: list[str] | None, dtype: str | None) -> list[JudgeChoice]:
    """A judge a model. ConfigError naming the option."""
    from icl.experiments.file.judges import judge_choice
    from icl.tasks.strict_yaml import read_value

    value = read_value(named, "--judge")
    ((name, given),) = value.items() if isinstance(value, dict) and len(value) == 1 else ((value, {}),)
    if not isinstance(name, str) or not isinstance(given or {}, dict):
        raise ConfigError(f"--judge: {named!r} is no judge; write a name, or {{name: {{parameter: value}}}}")
    given = dict(given or {})
    if models and "model" in given:
        raise ConfigError("--model: --judge names a model already; leave one of them out")
    if not models and "model" not in given:
        raise ConfigError(f"--model: which model does judge {name!r} ask? See icl models")
    told = {} if dtype is None else {"dtype": dtype}
    asked = [read_value(model, "--model") for model in models or ()] or [given.pop("model")]
    return [judge_choice({name: {**given, **told, "model": model}}) for model in asked]


def _graded(
    choice: JudgeChoice, judge: Judge, rows: list[LabelledItem], output: Path, meter: Meter
) -> tuple[list[Graded], Report]:
    """Opens the model, asks what the cache does not know, and lets the model go."""
    from contextlib import closing

    from icl.experiments.asking.judging import grade, open_judge
    from icl.experiments.asking.responses import ResponseStore
    from icl.experiments.graded import report
    from icl.experiments.running.runner import CACHE

    label = choice.experiment.model_label
    meter.note(f"loading {label}")
    with closing(ResponseStore(output / CACHE / "responses.sqlite")) as store:
        model = open_judge(choice)
        meter.note(f"{label}: judging {len(rows)} answers")
        graded = grade(judge, [row.item for row in rows], model, store, meter)
    return graded, report(judge, rows, graded)


def _plain(
    choice: JudgeChoice, rows: list[LabelledItem], graded: list[Graded], report: Report
) -> dict[str, Any]:
    verdicts = [
        {"id": row.item.id, **one.verdict.plain, "label": one.verdict.label, "score": one.verdict.score}
        for row, one in zip(rows, graded, strict=True)
    ]
    model = choice.experiment.model_label
    return {"judge": choice.label, "model": model, **report.plain, "verdicts": verdicts}


def _show(file: str, rows: list[LabelledItem], found: list[tuple[JudgeChoice, list[Graded], Report]]) -> None:
    judged: list[Row] = []
    verdicts: list[Row] = []
    for choice, graded, report in found:
        model = visible(choice.experiment.model_label)
        judged += [(model, *_cells(line)) for line in report.lines]
        verdicts += [
            (model, visible(row.item.id), *_said(one)) for row, one in zip(rows, graded, strict=True)
        ]
    title = f"{visible(file)}: {visible(found[0][0].component.label)}"
    if judged:
        show(f"{title} and people", AGREEMENT, judged)
    else:
        show(title, VERDICTS, verdicts)
    for choice, _, report in found:
        for line in _lines(report):
            typer.echo(
                visible(f"{choice.experiment.model_label}: {line}" if len(found) > 1 else line), err=True
            )


def _cells(line: Line) -> Row:
    return (
        visible(line.name),
        str(line.items),
        str(line.positive),
        _percent(line.right),
        _interval(line.right, 100),
        _percent(line.found),
        _percent(line.false_alarms),
        NONE if line.area is None else f"{line.area:.2f}",
        NONE if line.kappa is None else f"{line.kappa.value:.2f}",
        _interval(line.kappa, 1),
    )


def _said(one: Graded) -> Row:
    verdict = one.verdict
    return (
        verdict.label or NONE,
        NONE if verdict.score is None else f"{verdict.score:.2f}",
        NONE if verdict.margin is None else f"{verdict.margin:.2f}",
        visible(", ".join(verdict.reasons or [f"{k} {v:.2f}" for k, v in verdict.values.items()])),
        ", ".join(verdict.flags),
    )


def _percent(share: Estimate | None) -> str:
    return NONE if share is None else f"{100 * share.value:.1f}"


def _interval(found: Estimate | None, times: int) -> str:
    digits = 1 if times == 100 else 2
    return NONE if found is None else f"[{times * found.low:.{digits}f}, {times * found.high:.{digits}f}]"


def _lines(report: Report) -> list[str]:
    """Counts, agreement on labels, what could not be graded, cost."""
    labels = ", ".join(f"{label} {count}" for label, count in report.labels.items())
    lines = [f"{report.items} items: {labels or 'no label'}"]
    if report.right is not None:
        counted = "kappa undefined" if report.kappa is None else f"kappa {report.kappa.value:.2f}"
        if report.kappa is not None:
            counted += f" {_interval(report.kappa, 1)}"
        lines[0] += (
            f"; people say the same of {_percent(report.right)} % {_interval(report.right, 100)}, {counted}"
        )
    for human, ours in report.confusion.items():
        if any(ours.values()):
            told = ", ".join(f"{label} {count}" for label, count in ours.items() if count)
            lines.append(f"people {human}: judge {told}")
    for name, counts in (("not graded", report.ungraded), ("flags", report.flags)):
        if counts:
            lines.append(f"{name}: " + ", ".join(f"{flag} {count}" for flag, count in counts.items()))
    if (bias := report.position) is not None:
        parts = [
            f"{name} {_percent(one)} % {_interval(one, 100)}"
            for name, one in (
                ("the side shown first wins, as the rows have it:", bias.before),
                ("in both orders:", bias.both),
                ("orders disagree:", bias.disagree),
            )
        ]
        lines.append(f"position: {'; '.join(parts)}")
    flat, unique = report.usage.tokens_flat, report.usage.tokens_unique
    lines.append(
        f"{report.usage.requests:,} requests, {flat:,} tokens flat, {unique:,} forwarded "
        f"({flat / max(unique, 1):.1f}x)"
    )
    return lines
