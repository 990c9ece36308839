"""Values as a data file has them: numbers keep their digits, and nothing is guessed.

JSON read by Python alone would make 1.50 the number 1.5, keep the last of two equal keys, and take NaN for a
value. Here a number is the text that stands in the file, and the rest is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from icl.printable import visible

QUOTES = ("'", '"')
SHOWN = 80
"""A message shows no more characters of a value."""
LONGEST_LINE = 300


class Number(str):
    """A number of a JSON file, as it is written there: "1.50" stays "1.50"."""

    __slots__ = ()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {shown(twice)} is given twice in one object")
    return values


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON value")


DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=Number, parse_int=Number, parse_constant=_no_number
)


def decode(text: str) -> Any:
    """One JSON value. ValueError, in one line without positions of lines, where `text` is none."""
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("not readable as JSON: nested too deeply") from None
    check_characters(text, value)
    return value


_SUSPECT = re.compile(r"\\u(?:d[89a-f]|0000)", re.IGNORECASE)


def check_characters(written: str, value: Any) -> None:
    """ValueError where `value`, decoded from `written`, holds NUL or half of a surrogate pair."""
    if _SUSPECT.search(written) is None:
        return
    plain = json.dumps(value, ensure_ascii=False)
    if re.search("[\ud800-\udfff]", plain):
        raise ValueError("holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    if "\\u0000" in re.sub(r"\\\\", "", plain):
        raise ValueError("holds the character NUL (\\u0000)")


def as_text(value: Any) -> str:
    """A text as it is, a number as it is written, a boolean as JSON writes it.

    ValueError for anything else: Python's words for a list, an object or a date are nobody's text.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal) or (isinstance(value, float) and value == value):
        return str(value)
    if isinstance(value, Mapping):
        example = shown(next(iter(value), "key"))[1:-1]
        raise ValueError(f"is an object with the keys {names(value)}: name one, as in 'field.{example}'")
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        raise ValueError(
            f"is a list of {len(value)}: join it to one text (transforms: [join]) or name an item"
        )
    kind = "missing (NaN)" if isinstance(value, float) else f"of the type {type(value).__name__}"
    raise ValueError(f"is {kind}: must be text or a number")


def shown(value: Any) -> str:
    """`value` for a message: on one line, of bounded length, without control characters."""
    # Cut first: the words for a value of megabytes take long to make.
    text = repr(value[: 2 * SHOWN]) if isinstance(value, str) else repr(value)
    if isinstance(value, Number):
        text = str(value)
    if len(text) <= SHOWN:
        return text
    return f"{text[: SHOWN - 4]}..." + (text[0] if text[0] in QUOTES else "")


def names(of: Iterable[Any], most: int = 20) -> str:
    """Column names for a message, no more than `most`."""
    every = [visible(str(name), keep="")[:SHOWN] for name in of]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return (", ".join(every[:most]) or "none") + more


def first_line(text: str) -> str:
    """The first line of what another library says, printable and of bounded length."""
    lines = text.strip().splitlines()
    return visible(lines[0][:LONGEST_LINE], keep="") if lines else ""
