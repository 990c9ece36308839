"""CSV and TSV. Cells stay text: 007, 1.50, NA and None are what the file says. An empty cell is missing.

A CSV cell that begins with a double quote ends with one, and may hold commas, line ends and doubled quotes
(RFC 4180). Of TSV there are two kinds, which no program can tell apart: as CSV with tabs ("csv"; pandas,
Excel), and with quotes that are characters like others ("plain"; IANA text/tab-separated-values). By the
wrong rule lines merge or quotes stay, so a cell that begins with a quote is refused until it is said.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from icl.errors import DataError
from icl.tasks.rows import Format, Row
from icl.tasks.values import names, shown

LONGEST = 2**31 - 1
"""Characters of a cell; Python's own limit is 131,072."""
RULES = ("csv", "plain")


def delimited(text: str, name: str, form: Format, delimiter: str) -> Iterator[Row]:
    """The rows below the header. Raises DataError for a header that cannot be used."""
    delimiter = form.delimiter or delimiter
    rule = form.quotes or ("csv" if delimiter == "," else None)
    if rule is None:
        _refuse_quotes(text, name, delimiter)
    lines = _lines(text, delimiter, plain=rule != "csv")
    number, header, problem = next(lines, (1, [], ""))
    if problem:
        raise DataError(f"{name}:{number}: {problem}")
    _check_header(header, f"{name}:{number}")
    for index, (number, cells, problem) in enumerate(lines):
        where = f"{name}:{number}"
        problem = problem or _problem(cells, header)
        if problem:
            yield Row({}, where, index, problem)
        else:
            yield Row({key: cell or None for key, cell in zip(header, cells, strict=True)}, where, index)


def _lines(text: str, delimiter: str, *, plain: bool) -> Iterator[tuple[int, list[str], str]]:
    """(first line, cells, what is wrong) of every row that is not empty."""
    rules: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if plain else {"strict": True}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **rules)
    while True:
        first = reader.line_num + 1
        before = csv.field_size_limit(LONGEST)
        try:
            cells, problem = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            cells, problem = [], f"not valid CSV: {error}"
        finally:
            csv.field_size_limit(before)
        if cells or problem:
            yield first, cells, problem


def _check_header(header: list[str], where: str) -> None:
    if "\x00" in "".join(header):
        raise DataError(f"{where}: the header holds the character NUL")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{where}: the header names {shown(twice[0])} twice; its columns: {names(header)}")


def _problem(cells: list[str], header: list[str]) -> str:
    if len(cells) != len(header):
        count = f"{'more' if len(cells) > len(header) else 'fewer'} fields than the header"
        return f"has {count} ({len(cells)}, not {len(header)}); it begins {shown(cells[0])}"
    return "holds the character NUL" if any("\x00" in cell for cell in cells) else ""


def _refuse_quotes(text: str, name: str, delimiter: str) -> None:
    if text[:1] != '"' and f'{delimiter}"' not in text and '\n"' not in text and '\r"' not in text:
        return
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if any(cell[:1] == '"' for cell in line.split(delimiter)):
            raise DataError(
                f"{name}:{number}: a cell begins with a double quote, and of files with tabs there are two "
                "kinds: say under source 'quotes: csv' (a quoted cell may hold tabs and line ends, and its "
                "quotes are doubled) or 'quotes: plain' (a quote is a character like others)"
            )
