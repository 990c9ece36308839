"""Named transforms from a column's value to what an example holds.

A task file lists them (`transforms: [strip_calculator, {before: "####"}]`); it never holds code.
Each takes the value, its argument from the YAML (None where it has none) and the names of the
column's classes (empty unless the data says so), and raises ValueError when the value does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from icl.prompts.answers.gold import gold_number
from icl.tasks.values import Number, as_text, decode, shown

Transform: TypeAlias = Callable[[Any, Any, Sequence[str]], Any]

TRANSFORMS: dict[str, Transform] = {}
TAKES_ARGUMENT: dict[str, bool | None] = {}
"""True: needs one; False: takes none; None: optional."""

"""A longer number is no answer: the exact fraction of 1e999999999 would fill the memory."""


def _transform(name: str, argument: bool | None) -> Callable[[Transform], Transform]:
    def add(function: Transform) -> Transform:
        TRANSFORMS[name] = function
        TAKES_ARGUMENT[name] = argument
        return function

    return add


def check_argument(name: str, argument: Any) -> Any:
    """The argument of a task file as the transform takes it. ValueError where it takes another."""
    takes = TAKES_ARGUMENT[name]
    if takes is not None and takes != (argument is not None):
        raise ValueError(f"transform {name!r} {'needs an argument' if takes else 'takes no argument'}")
    if argument is None:
        return None
    if name == "values":
        return _table(argument)
    if name == "class_names":
        if isinstance(argument, list) and argument and all(isinstance(each, str) for each in argument):
            return argument
        raise ValueError(f"transform 'class_names' takes a list of names, not {shown(argument)}")
    if not isinstance(argument, str) or not (argument or name == "join"):
        raise ValueError(f"transform {name!r} takes a text, not {shown(argument)} (write it in quotes)")
    return argument


def _table(argument: Any) -> dict[str, str]:
    """{value: what stands for it}. Whole numbers stand for their digits, as the file has them."""
    if not isinstance(argument, Mapping) or not argument:
        raise ValueError(f"transform 'values' takes a mapping {{value: text}}, not {shown(argument)}")
    found: dict[str, str] = {}
    for key, value in argument.items():
        for each in (key, value):
            if isinstance(each, bool) or not isinstance(each, str | int):
                word = as_text(each) if isinstance(each, bool) else shown(each)
                raise ValueError(f"transform 'values': {word} is no text (write it in quotes)")
        if str(key) in found:
            raise ValueError(f"transform 'values' has {shown(str(key))} twice")
        found[str(key)] = str(value)
    return found


def _index(value: Any) -> int:
    """A whole number, as text or number. ValueError otherwise."""
    try:
        parsed = Decimal(as_text(value)) if not isinstance(value, bool) else Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{shown(value)} is not a whole number") from None
    if not parsed.is_finite() or abs(parsed) > 10**9 or parsed != int(parsed):
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(parsed)


@_transform("class_names", None)
def class_names(value: Any, argument: Sequence[str] | None, names: Sequence[str]) -> str:
    """An integer class -> its name: from the list given, else from the data's own ClassLabel."""
    known = list(argument) if argument else list(names)
    if not known:
        raise ValueError("class_names needs a list of names: the data carries none")
    index = _index(value)
    if not 0 <= index < len(known):
        raise ValueError(f"class {index} is not in 0..{len(known) - 1}")
    return known[index]


@_transform("values", True)
def values(value: Any, argument: Mapping[str, str], names: Sequence[str]) -> str:
    """One value -> another by a table; a value that is not in the table is an error."""
    key = as_text(value)
    if key not in argument:
        raise ValueError(f"{shown(key)} is not among the values of the task file: {', '.join(argument)}")
    return argument[key]


@_transform("before", True)
def before(value: Any, argument: str, names: Sequence[str]) -> str:
    """The text before the last `argument`."""
    head, found, _ = as_text(value).rpartition(argument)
    if not found:
        raise ValueError(f"has no {argument!r}")
    return head.strip()


@_transform("after", True)
def after(value: Any, argument: str, names: Sequence[str]) -> str:
    """The text after the last `argument`."""
    _, found, tail = as_text(value).rpartition(argument)
    if not found:
        raise ValueError(f"has no {argument!r}")
    return tail.strip()


@_transform("until", True)
def until(value: Any, argument: str, names: Sequence[str]) -> str:
    """As `before`, but a text without `argument` stays whole."""
    text = as_text(value)
    return text[: text.rindex(argument)].strip() if argument in text else text.strip()


@_transform("strip_prefix", True)
def strip_prefix(value: Any, argument: str, names: Sequence[str]) -> str:
    """Without `argument` in front, where it stands there."""
    return as_text(value).removeprefix(argument).strip()


@_transform("strip_calculator", False)
def strip_calculator(value: Any, argument: None, names: Sequence[str]) -> str:
    """Without GSM8K's calculator annotations: `48/2 = <<48/2=24>>24` -> `48/2 = 24`."""
    return re.sub(r"<<[^<>]*>>", "", as_text(value))


@_transform("number", False)
def number(value: Any, argument: None, names: Sequence[str]) -> str:
    """The canonical text of a number: no thousands separators, no currency, no idle zeros.

    `"1,234"` -> `"1234"`, `145.0` -> `"145"`, `"$ 5.50"` -> `"5.5"`, `"2/6"` -> `"1/3"`; as a model's
    answer is read.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"{shown(value)} is not a number")
    return gold_number(str(value))


_YES = frozenset({"yes", "y", "true", "1"})
_NO = frozenset({"no", "n", "false", "0"})


@_transform("yes_no", False)
def yes_no(value: Any, argument: None, names: Sequence[str]) -> str:
    """true/false, 1/0, yes/no in any case -> `yes` or `no`."""
    text = as_text(value).strip().lower()
    if text in _YES:
        return "yes"
    if text in _NO:
        return "no"
    raise ValueError(f"{shown(value)} is neither yes nor no")


@_transform("letter", False)
def letter(value: Any, argument: None, names: Sequence[str]) -> str:
    """`"(B)"`, `"b."` or the index 1 -> `"B"`."""
    if isinstance(value, int | Number) and not isinstance(value, bool):
        index = _index(value)
        if not 0 <= index < 26:
            raise ValueError(f"{index} is not the index of a letter, 0 to 25")
        return chr(ord("A") + index)
    match = re.fullmatch(r"\s*\(?\s*([A-Za-z])\s*\)?[.:]?\s*", as_text(value))
    if match is None:
        raise ValueError(f"{shown(value)} is not a letter")
    return match.group(1).upper()


@_transform("join", None)
def join(value: Any, argument: str | None, names: Sequence[str]) -> str:
    """A list of texts -> one text, joined by `argument` (a space); a text stays as it is."""
    if isinstance(value, Mapping) or not isinstance(value, Sequence | str):
        raise ValueError(f"{shown(value)} is not a list of texts")
    parts = [value] if isinstance(value, str) else [as_text(part) for part in value]
    return (argument if argument is not None else " ").join(parts)


_OPTION = re.compile(r"^\s*\(?([A-Z])[).:]\s*(.*?)\s*$")


@_transform("options_block", False)
def options_block(value: Any, argument: None, names: Sequence[str]) -> dict[str, str]:
    """The lines `(A) ...` at the end of a text -> letter -> choice, as BIG-Bench Hard writes them."""
    hits = [_OPTION.match(line) for line in as_text(value).splitlines()]
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
            value = decode(value)
        except ValueError:
            raise ValueError(f"choices are {shown(value)}: not a mapping, list or JSON text of one") from None
    if isinstance(value, Mapping):
        if set(value) == {"text", "label"} and not isinstance(value["text"], str):
            return _paired(value["label"], value["text"])
        # Parquet structs have every key that any row has: absent ones are None.
        return {str(key): _choice(key, text) for key, text in value.items() if text is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) > 26:
            raise ValueError(f"{len(value)} choices in a list: letters go to 26")
        return dict(_lettered(index, text) for index, text in enumerate(value))
    raise ValueError(f"choices are {shown(value)}: not a mapping or list")


def _paired(letters: Any, texts: Any) -> dict[str, str]:
    if not isinstance(letters, list) or not isinstance(texts, list) or len(letters) != len(texts):
        raise ValueError("choices: 'label' and 'text' are not two lists of one length")
    return {as_text(letter): _choice(letter, text) for letter, text in zip(letters, texts, strict=True)}


def _choice(letter: Any, text: Any) -> str:
    """The text of one choice; ValueError where it is empty or no text."""
    try:
        plain = as_text(text) if text is not None else ""
    except ValueError as error:
        raise ValueError(f"choice {shown(letter)} {error}") from None
    if not plain.strip():
        raise ValueError(f"choice {shown(letter)} is empty")
    return plain


def _lettered(index: int, value: Any) -> tuple[str, str]:
    expected = chr(ord("A") + index)
    text = _choice(expected, value)
    match = _OPTION.match(text)
    return (expected, match.group(2)) if match and match.group(1) == expected else (expected, text.strip())
