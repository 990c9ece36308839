"""icl feedback."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli.tables import Row, show
from icl.errors import ConfigError, unknown_name
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from icl.feedback.report import Report, Settings
    from icl.metrics.shared.agreement import Estimate

NONE = "–"
SHOWN = 20
"""Pairs of annotators in the table; the JSON has all."""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "feedback",
        epilog="Examples: icl feedback votes.jsonl | "
        "icl feedback votes.csv --reference gold.csv --least 0.8 --json | "
        "icl feedback rankings.jsonl --pairs pairs.jsonl --chat",
    )(feedback)


def feedback(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Annotations (JSONL, JSON, CSV, TSV, Parquet).")
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="pairwise, best, ranking, scale, rules; else as the columns say.", show_default=False
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Items of which the answer is known: who agrees is kept.", show_default=False
        ),
    ] = None,
    least: Annotated[
        float, typer.Option(metavar="SHARE", help="Agreement with the reference from which one is kept.")
    ] = 0.75,
    within: Annotated[
        float, typer.Option(metavar="D", help="Values of a scale that are no further apart are the same.")
    ] = 0.0,
    quality: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of scales: this quality alone.", show_default=False)
    ] = None,
    ties: Annotated[str, typer.Option(help="Of comparisons: half (a win), drop, refuse.")] = "half",
    prior: Annotated[
        float,
        typer.Option(
            metavar="WINS", help="Added on either side of every pair of candidates: regularisation."
        ),
    ] = 0.0,
    k: Annotated[float, typer.Option("--k", metavar="K", help="Of Elo: the most that a game moves.")] = 32.0,
    no_agreement: Annotated[
        bool, typer.Option("--no-agreement", help="Annotators are not held against one another.")
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Writes preference pairs for trl there (JSONL).", show_default=False
        ),
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Pairs as messages and not as texts.")] = False,
    samples: Annotated[
        int, typer.Option(metavar="N", min=100, help="Resamples, and orders of games.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of resamples and orders.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """What people said of answers: agreement, strengths of candidates, preference pairs.

    A row is {"item": ..., "annotator": ...} with what was said: {"a", "b", "winner": a, b or tie},
    {"candidates", "best"}, {"ranking": [best first]}, {"candidate", "value", "quality"}, or {"violated":
    [rules]}. Shown are how far annotators agree (raw, Cohen, Krippendorff) and how strong candidates are
    (Bradley-Terry, Elo over orders of the games), with 95 % intervals over items. With a reference,
    annotators are held against it first, and nothing else is said of its items. docs/feedback.md has the
    columns.
    """
    settings = _settings(least, within, quality, ties, prior, k, not no_agreement, samples, seed)
    _check_pairs(pairs, chat, file, reference)
    from icl.cli.display import Output, waiting
    from icl.feedback.reading import read_feedback
    from icl.feedback.report import report

    read = read_feedback(file, kind)
    held = None if reference is None else read_feedback(reference, kind)
    console = Output(stderr=True, quiet=quiet)
    with waiting(console, f"reading {file}") as say:
        found = report(read, settings, held, say)
    written = [] if pairs is None else _write(found, pairs, chat)
    if as_json:
        typer.echo(visible_json(json.dumps(found.plain, ensure_ascii=False, indent=1)))
    else:
        _show(found)
    for line in [*([] if as_json else _lines(found)), *written]:
        typer.echo(visible(line), err=True)


def _check_pairs(pairs: Path | None, chat: bool, file: str, reference: str | None) -> None:
    """ConfigError where pairs would be written over what is read, or nowhere."""
    if pairs is None:
        if chat:
            raise ConfigError("--chat: says how --pairs FILE is written; no file is named")
        return
    for read in (file, reference):
        if read is not None and pairs.resolve() == Path(read).resolve():
            raise ConfigError(f"--pairs: {pairs} is the file that is read; name another one")


def _write(found: Report, pairs: Path, chat: bool) -> list[str]:
    """Writes preference pairs, whole or not at all; lines that say what."""
    from icl.atomic import write_atomically
    from icl.feedback.pairs import preferences

    made = preferences(found.feedback, found.comparisons)
    write_atomically(pairs, "".join(f"{line}\n" for line in made.lines(chat)))
    left_out = {"undecided": made.undecided, "two equal texts": made.alike}
    told = [f"{name}, left out: {count}" for name, count in left_out.items() if count]
    return [f"{pairs}: {len(made.rows)} pairs", *told]


def _settings(
    least: float,
    within: float,
    quality: str | None,
    ties: str,
    prior: float,
    k: float,
    agreement: bool,
    samples: int,
    seed: int,
) -> Settings:
    """ConfigError naming the option."""
    for name, value, low, high in (
        ("least", least, 0.0, 1.0),
        ("within", within, 0.0, math.inf),
        ("prior", prior, 0.0, math.inf),
        ("k", k, 0.0, math.inf),
    ):
        if not low <= value <= high or math.isinf(value):
            allowed = "0 to 1" if high == 1 else "0 or more"
            raise ConfigError(f"--{name}: {value:g}; allowed: {allowed}")
    from icl.feedback.annotations import TIES
    from icl.feedback.report import Settings
    from icl.feedback.resampling import Bootstrap

    if ties not in TIES:
        raise ConfigError(f"--ties: {unknown_name('value', ties, TIES)}")
    return Settings(Bootstrap(samples, seed), least, within, ties, prior, k, quality, agreement)


def _show(found: Report) -> None:
    """Tables of what there is to tell, one below the other."""
    file = visible(found.feedback.file)
    if found.screening is not None:
        rows: list[Row] = [
            (visible(a.annotator), str(a.items), *_percent(a.same), "yes" if a.kept else "no", str(a.left))
            for a in found.screening.annotators
        ]
        title = f"{file}: annotators and {visible(found.screening.reference)}"
        show(title, ("annotator", "reference items", "same %", "95 % CI", "kept", "other items"), rows)
    if found.agreement:
        _show_agreement(file, found)
    for one in found.standings:
        standing: list[Row] = [
            (
                visible(c.candidate),
                str(c.wins),
                str(c.ties),
                str(c.losses),
                NONE if c.strength is None else f"{c.strength:+.2f}",
                _interval(c.interval, "+.2f"),
                f"{c.elo.value:.0f}",
                _interval(c.elo.interval, ".0f"),
                f"[{c.elo.orders[0]:.0f}, {c.elo.orders[1]:.0f}]",
            )
            for c in one.candidates
        ]
        of = f", {visible(one.question)}" if one.question else ""
        headers = (
            "candidate",
            "wins",
            "ties",
            "losses",
            "strength",
            "95 % CI",
            "Elo",
            "95 % CI ",
            "single orders",
        )
        show(f"{file}: strengths{of}", headers, standing)
    if found.levels:
        share = found.feedback.kind == "rules"
        levels: list[Row] = [
            (visible(v.question) or NONE, visible(v.candidate) or NONE, str(v.items), str(v.annotations))
            + (_percent(v.mean) if share else _number(v.mean))
            for v in found.levels
        ]
        first, last = ("rule", "violated %") if share else ("quality", "mean")
        show(f"{file}: {last}", (first, "candidate", "items", "annotations", last, "95 % CI"), levels)


def _show_agreement(file: str, found: Report) -> None:
    levels = list(found.agreement[0].alpha)
    headers = ["of", "items", "units", "same %", "95 % CI"]
    for at, level in enumerate(levels):
        headers += [f"alpha {level}", "95 % CI" + " " * (at + 1)]
    rows: list[Row] = []
    for one in found.agreement:
        cells = [visible(one.question) or "all", str(one.items), str(one.units), *_percent(one.same)]
        for level in levels:
            cells += _number(one.alpha[level])
        rows.append(cells)
    show(f"{file}: agreement", headers, rows)
    pairs = [(one.question, pair) for one in found.agreement for pair in one.pairs if pair.items]
    rows = [
        (
            visible(question) or "all",
            visible(p.first),
            visible(p.second),
            str(p.items),
            *_percent(p.same),
            *_number(p.kappa),
        )
        for question, p in pairs[:SHOWN]
    ]
    more = f"{SHOWN} of {len(pairs)} pairs; --json has all" if len(pairs) > SHOWN else ""
    headers = ["of", "annotator", "and", "items", "same %", "95 % CI", "kappa", "95 % CI "]
    show(f"{file}: two annotators", headers, rows)
    if more:
        typer.echo(more, err=True)


def _percent(share: Estimate | None) -> tuple[str, str]:
    if share is None:
        return NONE, NONE
    return f"{100 * share.value:.1f}", f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _number(found: Estimate | None) -> tuple[str, str]:
    return (NONE, NONE) if found is None else (f"{found.value:.3f}", _interval(found, ".3f"))


def _interval(found: Estimate | None, form: str) -> str:
    return NONE if found is None else f"[{found.low:{form}}, {found.high:{form}}]"


def _lines(found: Report) -> list[str]:
    """Counts, and what could not be told."""
    read = found.feedback
    lines = [
        f"{read.kind}: {len(read.rows)} annotations of {len(read.items)} items "
        f"by {len(read.annotators)} annotators"
    ]
    if (screening := found.screening) is not None:
        out = [one.annotator for one in screening.annotators if not one.kept]
        lines.append(
            f"left out: {screening.items} items of {screening.reference}, on which annotators were chosen"
            + (f", and all of {', '.join(out)} (below {screening.least:g})" if out else "")
        )
    lines += found.notes
    for one in found.standings:
        lines += [f"{one.question}: {note}" if one.question else note for note in one.notes]
    return lines
