"""icl read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli.tables import show
from icl.errors import ConfigError, DataError
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from icl.tasks.outputs import OutputRow, Summary

SHOWN = 60
"""Characters of an output in the table."""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "read",
        epilog="Examples: icl read outputs.jsonl | icl read outputs.jsonl --task gsm8k --json | "
        """echo '{"kind": "numeric", "text": "The answer is 6 x 7, or 42.", "gold": "42"}' | icl read -""",
    )(read)


def read(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A JSONL file of outputs, or - for stdin.")],
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of rows that name none.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Of rows that say none.", show_default=False)
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="auto, first, last or trigger.", show_default=False),
    ] = None,
    think: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS", help="""Marks of thinking blocks: '["<plan>", "</plan>"]'.""", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Read answers out of outputs from anywhere, as an experiment would.

    A row is {"text": ..., "task": NAME} or {"text": ..., "kind": KIND, "labels": [...], "choices": {...},
    "verbalisers": {...}, "language": "de"}, with "where", "think" and "gold" if you like. Each is shown with
    its answer, whether that is right, and the flags that say why it is unsure or none.
    """
    from icl.tasks.outputs import read_outputs, summarise

    given: dict[str, Any] = {"task": task, "kind": kind, "where": where, "think": _marks(think)}
    if task is not None:
        _check_task(task)
    defaults = {key: value for key, value in given.items() if value is not None}
    name = "stdin" if file == "-" else file
    rows = read_outputs(_lines(file), name, defaults)
    total = summarise(rows)
    if as_json:
        document = {"rows": [row.as_dict for row in rows], "summary": total.as_dict}
        typer.echo(visible_json(json.dumps(document, ensure_ascii=False, indent=1)))
        return
    show("outputs", ("place", "answer", "right", "flags", "output"), [_cells(row) for row in rows])
    typer.echo(_said(total), err=not sys.stdout.isatty())


def _check_task(name: str) -> None:
    """So that no row is blamed for what the option says."""
    from icl.tasks.sources import find_definition

    try:
        find_definition(name)
    except ConfigError as error:
        raise ConfigError(f"--task: {error}") from error


def _marks(given: str | None) -> list[list[str]] | None:
    from icl.tasks.strict_yaml import read_value
    from icl.thinking import pairs_of

    if given is None:
        return None
    try:
        return [list(pair) for pair in pairs_of(read_value(given, "--think"))]
    except ValueError as error:
        raise ConfigError(f"--think {error}") from error


def _lines(file: str) -> list[str]:
    try:
        # Not splitlines: U+2028 and its kin are legal inside a JSON string
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from error
    return text.split("\n")


def _cells(row: OutputRow) -> tuple[str, ...]:
    answer = "–" if row.found.answer is None else visible(row.found.answer)
    right = {True: "right", False: "wrong", None: ""}[row.right]
    text = visible(" ".join(row.text.split()))
    cut = text if len(text) <= SHOWN else "… " + text[2 - SHOWN :]
    return row.place, answer, right, ", ".join(row.found.flags), cut


def _said(total: Summary) -> str:
    flags = ", ".join(f"{name} {count}" for name, count in total.flags.items())
    judged = f"; {total.right} of {total.judged} right" if total.judged else ""
    return f"{total.answers} of {total.outputs} outputs have an answer{judged}" + (
        f"; {flags}" if flags else ""
    )
