"""Named transforms from a column's value to what an example holds.

A task file lists them (`transforms: [strip_calculator, {before: "####"}]`); it never holds code.
Each takes the value, its argument from the YAML (None where it has none) and the names of the
column's classes (empty unless the data says so), and raises ValueError when the value does not fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

Transform: TypeAlias = Callable[[Any, Any, Sequence[str]], Any]

TRANSFORMS: dict[str, Transform] = {}
TAKES_ARGUMENT: dict[str, bool | None] = {}
"""True: needs one; False: takes none; None: optional."""

MAX_DIGITS = 300
"""A longer number is no answer: the exact fraction of 1e999999999 would fill the memory."""


def _transform(name: str, argument: bool | None) -> Callable[[Transform], Transform]:
    def add(function: Transform) -> Transform:
        TRANSFORMS[name] = function
        TAKES_ARGUMENT[name] = argument
        return function

    return add


@_transform("class_names", None)
def class_names(value: Any, argument: Sequence[str] | None, names: Sequence[str]) -> str:
    """An integer class -> its name: from the list given, else from the data's own ClassLabel."""
    known = list(argument) if argument else list(names)
    if not known:
        raise ValueError("class_names needs a list of names: the data carries none")
    index = int(value)
    if not 0 <= index < len(known):
        raise ValueError(f"class {index} is not in 0..{len(known) - 1}")
    return known[index]


@_transform("values", True)
def values(value: Any, argument: Mapping[str, str], names: Sequence[str]) -> str:
    """One value -> another by a table; a value that is not in the table is an error."""
    key = str(value)
    if key not in argument:
        raise ValueError(f"{key!r} is not among the values of the task file: {', '.join(argument)}")
    return argument[key]


@_transform("before", True)
def before(value: Any, argument: str, names: Sequence[str]) -> str:
    """The text before the last `argument`."""
    head, found, _ = str(value).rpartition(argument)
    if not found:
        raise ValueError(f"has no {argument!r}")
    return head.strip()


@_transform("after", True)
def after(value: Any, argument: str, names: Sequence[str]) -> str:
    """The text after the last `argument`."""
    _, found, tail = str(value).rpartition(argument)
    if not found:
        raise ValueError(f"has no {argument!r}")
    return tail.strip()


@_transform("until", True)
def until(value: Any, argument: str, names: Sequence[str]) -> str:
    """As `before`, but a text without `argument` stays whole."""
    text = str(value)
    return text[: text.rindex(argument)].strip() if argument in text else text.strip()


@_transform("strip_prefix", True)
def strip_prefix(value: Any, argument: str, names: Sequence[str]) -> str:
    """Without `argument` in front, where it stands there."""
    return str(value).removeprefix(argument).strip()


@_transform("strip_calculator", False)
def strip_calculator(value: Any, argument: None, names: Sequence[str]) -> str:
    """Without GSM8K's calculator annotations: `48/2 = <<48/2=24>>24` -> `48/2 = 24`."""
    return re.sub(r"<<[^<>]*>>", "", str(value))


@_transform("number", False)
def number(value: Any, argument: None, names: Sequence[str]) -> str:
    """The canonical text of a number: no thousands separators, no currency, no idle zeros.

    `"1,234"` -> `"1234"`, `145.0` -> `"145"`, `"$ 5.50"` -> `"5.5"`.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    text = re.sub(r"[\s,$€£¥%]", "", str(value)).rstrip(".")
    try:
        parsed = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not parsed.is_finite():
        raise ValueError(f"{value!r} is not a number")
    if max(abs(parsed.adjusted()), len(parsed.as_tuple().digits)) > MAX_DIGITS:
        raise ValueError(f"{str(value)[:40]!r} has more than {MAX_DIGITS} digits")
    plain = format(parsed, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


_YES = frozenset({"yes", "y", "true", "1"})
_NO = frozenset({"no", "n", "false", "0"})


@_transform("yes_no", False)
def yes_no(value: Any, argument: None, names: Sequence[str]) -> str:
    """true/false, 1/0, yes/no in any case -> `yes` or `no`."""
    text = str(value).strip().lower()
    if text in _YES:
        return "yes"
    if text in _NO:
        return "no"
    raise ValueError(f"{value!r} is neither yes nor no")


@_transform("letter", False)
def letter(value: Any, argument: None, names: Sequence[str]) -> str:
    """`"(B)"`, `"b."` or the index 1 -> `"B"`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return chr(ord("A") + value)
    match = re.fullmatch(r"\s*\(?\s*([A-Za-z])\s*\)?[.:]?\s*", str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a letter")
    return match.group(1).upper()


@_transform("join", None)
def join(value: Any, argument: str | None, names: Sequence[str]) -> str:
    """A list of texts -> one text, joined by `argument` (a space); a text stays as it is."""
    if isinstance(value, str):
        return value
    return (argument if argument is not None else " ").join(str(part) for part in value)


_OPTION = re.compile(r"^\s*\(?([A-Z])[).:]\s*(.*?)\s*$")


@_transform("options_block", False)
def options_block(value: Any, argument: None, names: Sequence[str]) -> dict[str, str]:
    """The lines `(A) ...` at the end of a text -> letter -> choice, as BIG-Bench Hard writes them."""
    hits = [_OPTION.match(line) for line in str(value).splitlines()]
    found = {hit.group(1): hit.group(2) for hit in hits if hit is not None}
    if not found:
        raise ValueError("has no lines of the form '(A) ...'")
    return found


def choices(value: Any) -> dict[str, str]:
    """Any common shape of multiple-choice options -> letter -> text, in order.

    A mapping of letters; a list (of `"A)21"` or of bare texts, lettered from A); the struct
    `{"text": [...], "label": [...]}`; any of these as JSON text (CSV files hold them so).
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError(f"choices are {value!r}: not a mapping, list or JSON text of one") from None
    if isinstance(value, Mapping):
        if set(value) == {"text", "label"} and not isinstance(value["text"], str):
            return {str(key): str(text) for key, text in zip(value["label"], value["text"], strict=True)}
        # Parquet structs have every key that any row has: absent ones are None.
        return {str(key): str(text) for key, text in value.items() if text is not None}
    if isinstance(value, Sequence):
        return dict(_lettered(index, str(text)) for index, text in enumerate(value))
    raise ValueError(f"choices are {value!r}: not a mapping or list")


def _lettered(index: int, text: str) -> tuple[str, str]:
    expected = chr(ord("A") + index)
    match = _OPTION.match(text)
    return (expected, match.group(2)) if match and match.group(1) == expected else (expected, text.strip())
