"""A file of annotations as `Feedback`: its kind found by its columns, its rows checked against one
another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from icl.errors import ConfigError, DataError, nearest, unknown_name
from icl.feedback.annotations import KINDS, RULES, Annotation, Feedback
from icl.feedback.cells import Cells
from icl.feedback.kinds import KIND, PARSERS, rules
from icl.printable import shortened
from icl.tasks.readers import read_file
from icl.tasks.rows import Row

SIGNS = {kind.sign: name for name, kind in KIND.items()}


def read_feedback(file: str, kind: str | None = None) -> Feedback:
    """The annotations of a file that `read_file` reads (JSONL, JSON, CSV, TSV, Parquet).

    kind: one of KINDS; None: by the columns. Rows without `item` are of the item that is their prompt; where
    no row has either, each is an item of its own. Raises ConfigError for a file that is not there or an
    unknown kind, DataError with file, line, key and value for what cannot be taken.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"--kind: {unknown_name('kind', kind, KINDS)}")
    if not os.path.exists(file):
        raise ConfigError(f"{file}: no such file")
    rows = read_file(Path(file)).rows
    columns = list(
        dict.fromkeys(key for row in rows for key, value in row.values.items() if value is not None)
    )
    kind = _detected(file, columns) if kind is None else kind
    _check_columns(rows[0].where, columns, kind)
    named = "item" in columns or "prompt" in columns
    parse = partial(rules, known=_rules(rows)) if kind == RULES else PARSERS[kind]
    needs = f"a row of kind {kind} has {' and '.join(KIND[kind].needed)}"
    found = []
    for row in rows:
        cells = Cells(row, needs)
        found.append(parse(_start(cells, columns, named), cells))
    _check_twice(found)
    _check_texts(found)
    unread = [key for key in columns if key not in KIND[kind].columns]
    notes = (f"columns that are not read: {', '.join(unread)}",) if unread else ()
    return Feedback(file, kind, tuple(found), named, notes)


def _detected(file: str, columns: Sequence[str]) -> str:
    """The kind whose sign is among the columns. DataError where there is none, or several."""
    met = [sign for sign in SIGNS if sign in columns]
    if len(met) == 1:
        return SIGNS[met[0]]
    if met:
        kinds = ", ".join(f"{sign} ({SIGNS[sign]})" for sign in met)
        raise DataError(f"{file}: columns of several kinds: {kinds}; say which with --kind")
    guess = next((near for key in columns if (near := nearest(key, SIGNS)) is not None), None)
    hint = f" Did you mean {guess!r}?" if guess else ""
    told = ", ".join(f"{sign} ({kind})" for sign, kind in SIGNS.items())
    has = shortened(", ".join(columns))
    raise DataError(
        f"{file}: no column says what kind of annotations these are.{hint} One of: {told}; it has {has}"
    )


def _check_columns(where: str, columns: Sequence[str], kind: str) -> None:
    """DataError for a column that is needed and not there, and for one that is nearly one that is read."""
    allowed = KIND[kind].columns
    for key in columns:
        guess = None if key in allowed else nearest(key, [a for a in allowed if a not in columns])
        if guess is not None and (guess in KIND[kind].needed or _near(key, guess)):
            raise DataError(
                f"{where}: unknown column {key!r}. Did you mean {guess!r}? "
                f"Of kind {kind} are: {', '.join(allowed)}"
            )
    missing = next((key for key in KIND[kind].needed if key not in columns), None)
    if missing is not None:
        raise DataError(
            f"{where}: {missing} is missing; a row of kind {kind} has {' and '.join(KIND[kind].needed)}; "
            f"the columns are: {shortened(', '.join(columns))}"
        )


def _near(key: str, guess: str) -> bool:
    """Whether one is the other but for a letter or two: a column of the user's own is none of these."""
    from rapidfuzz.distance import OSA

    return int(OSA.distance(key.casefold(), guess)) <= (1 if len(guess) < 6 else 2)


def _rules(rows: Sequence[Row]) -> tuple[str, ...]:
    """Every rule that the file names, by first appearance."""
    cells = [Cells(row, "") for row in rows]
    named = [name for one in cells for key in ("rules", "violated") for name in one.names(key) or ()]
    return tuple(dict.fromkeys(named))


def _start(cells: Cells, columns: Sequence[str], named: bool) -> Annotation:
    """Item, annotator and prompt of a row. DataError where other rows have them and this one does not."""
    row = cells.row
    prompt = cells.text("prompt")
    item = (cells.maybe("item") or cells.maybe("prompt")) if named else f"row {row.index + 1}"
    if item is None:
        raise DataError(f"{row.where}: item is missing, and so is prompt; other rows have them")
    annotator = cells.maybe("annotator")
    if annotator is None and "annotator" in columns:
        raise DataError(f"{row.where}: annotator is missing; other rows have one")
    return Annotation(row.where, item, annotator or "1", prompt=prompt)


def _check_twice(rows: Sequence[Annotation]) -> None:
    """DataError where an annotator says twice what may be said once."""
    met: dict[tuple[str, ...], str] = {}
    for one in (said for row in rows for said in row.said):
        key = (one.question, one.item, one.unit, one.annotator)
        before = met.setdefault(key, one.where)
        if before is not one.where:
            of = " of ".join(repr(shortened(part)) for part in (one.unit, one.item) if part)
            raise DataError(
                f"{one.where}: annotator {one.annotator!r} says twice what {of} is; first in {before}"
            )


def _check_texts(rows: Sequence[Annotation]) -> None:
    """DataError where a candidate of an item, or its prompt, has two texts."""
    met: dict[tuple[str, str | None], tuple[str, str]] = {}
    for row in rows:
        texts: list[tuple[str | None, str | None]] = [(None, row.prompt), *row.texts.items()]
        for name, text in texts:
            if text is None:
                continue
            before, where = met.setdefault((row.item, name), (text, row.where))
            if before != text:
                what = "the prompt" if name is None else f"the text of {name!r}"
                raise DataError(
                    f"{row.where}: {what} of item {shortened(row.item)!r} is {shortened(repr(text))}; "
                    f"in {where} it is {shortened(repr(before))}"
                )
