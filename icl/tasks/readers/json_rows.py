"""Rows of JSON: one object a line, an array of objects, or an object that holds such an array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from icl.errors import DataError, nearest
from icl.tasks.rows import Format, Row
from icl.tasks.values import DECODER, check_characters, decode, names, shown


def json_lines(text: str, name: str) -> Iterator[Row]:
    """A row a line; empty lines are none."""
    index = 0
    # A line end of any system cannot be part of a JSON string; U+2028 and its kin can, so not splitlines.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            yield _row(decode(line), where, index)
        except ValueError as error:
            yield Row({}, where, index, str(error))
        index += 1


def _row(value: Any, where: str, index: int) -> Row:
    if isinstance(value, dict):
        return Row(value, where, index)
    kind = "an array" if isinstance(value, list) else shown(value)
    hint = " (a file that is one array of rows is called .json)" if isinstance(value, list) else ""
    return Row({}, where, index, f"a row must be a JSON object, not {kind}{hint}")


def json_file(text: str, name: str, form: Format) -> Iterator[Row]:
    """The rows of a `.json` file: an array, the array under a key of an object, or an object a line.

    Without `form.key` the only key that holds an array of objects is taken. Raises DataError where there
    is none or several, or where the file is not JSON.
    """
    try:
        start = _skip(text, 0)
        if text[start : start + 1] == "[":
            return _items(text, start, name, alone=True)
        if text[start : start + 1] != "{":
            raise ValueError("must hold an array of objects, or an object with such an array")
        arrays, end = _members(text, start)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name}:{error.lineno}: not valid JSON: {error.msg} (column {error.colno})"
        ) from None
    except RecursionError:
        raise DataError(f"{name}: not readable as JSON: nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{name}: {error}") from None
    if _skip(text, end) < len(text):
        return json_lines(text, name)
    return _items(text, arrays[_chosen(arrays, form.key, name)][0], name)


def _chosen(arrays: dict[str, tuple[int, bool]], wanted: str | None, name: str) -> str:
    """The key whose array holds the rows."""
    fitting = [key for key, (_, fits) in arrays.items() if fits]
    if wanted is None:
        if len(fitting) == 1:
            return fitting[0]
        found = f"several arrays of objects ({names(fitting)})" if fitting else "no array of objects"
        keys = f"keys: {names(arrays)}"
        raise DataError(f"{name}: the object holds {found}; say which with 'key' under source; its {keys}")
    if wanted in fitting:
        return wanted
    if wanted in arrays:
        raise DataError(f"{name}: key {wanted!r} holds no array of objects")
    guess = nearest(wanted, arrays)
    hint = f" Did you mean {shown(guess)}?" if guess else ""
    raise DataError(f"{name}: the object has no key {wanted!r}.{hint} It has: {names(arrays)}")


_BLANK = re.compile(r"[ \t\r\n]*")


def _skip(text: str, at: int) -> int:
    """The position of the next character that is not white space."""
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]


def _members(text: str, at: int) -> tuple[dict[str, tuple[int, bool]], int]:
    """Key -> (where its value begins, whether that is an array of objects); and where the object ends."""
    found: dict[str, tuple[int, bool]] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting a key in double quotes", text, at)
        key, at = DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        start = _skip(text, at + 1)
        value, at = _value(text, start)
        if key in found:
            raise ValueError(f"key {shown(key)} is given twice in one object")
        found[key] = (start, isinstance(value, list) and bool(value) and isinstance(value[0], dict))
        at = _next(text, at, "}")
    return found, at + 1


def _value(text: str, at: int) -> tuple[Any, int]:
    """Any value, rows with a fault in them included: the rows are judged one by one later."""
    return _LENIENT.raw_decode(text, at)


_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def _next(text: str, at: int, closing: str) -> int:
    """Past a comma, or at the closing bracket."""
    at = _skip(text, at)
    if text[at : at + 1] == closing:
        return at
    if text[at : at + 1] != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    after = _skip(text, at + 1)
    if text[after : after + 1] == closing:
        raise json.JSONDecodeError("Expecting a value after the comma", text, after)
    return after


def _items(text: str, at: int, name: str, *, alone: bool = False) -> Iterator[Row]:
    """The objects of the array that begins at `at`, each with the line it begins on."""
    line, counted, index = 1, 0, 0
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        where = f"{name}:{line}"
        try:
            _, end = _value(text, at)
            row = _checked(text, at, end, where, index)
            at = _next(text, end, "]")
        except json.JSONDecodeError as error:
            where = f"{name}:{error.lineno}"
            raise DataError(f"{where}: not valid JSON: {error.msg} (column {error.colno})") from None
        except RecursionError:
            raise DataError(f"{where}: not readable as JSON: nested too deeply") from None
        yield row
        index += 1
    rest = _skip(text, at + 1)
    if alone and rest < len(text):
        raise DataError(f"{name}:{text.count(chr(10), 0, rest) + 1}: not valid JSON: text after the array")


def _checked(text: str, at: int, end: int, where: str, index: int) -> Row:
    try:
        value, _ = DECODER.raw_decode(text, at)
        check_characters(text[at:end], value)
    except ValueError as error:
        return Row({}, where, index, str(error))
    return _row(value, where, index)
