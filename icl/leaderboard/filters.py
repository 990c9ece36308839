"""Rows that fit a condition, or in another order. Numbers depend on neither: statistics are those of the
whole table."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from icl.errors import ConfigError, DataError, unknown_name
from icl.experiments.file.baseline import fits_label, split_outside
from icl.leaderboard.fields import FIELDS
from icl.leaderboard.names import AXES, is_placeholder
from icl.leaderboard.rows import Row

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(.*\S)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """field operator value; several values, any of which may fit, stand between bars."""

    field: str
    sign: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it was asked for."""
        return f"{self.field}{self.sign}{'|'.join(self.values)}"

    def fits(self, row: Row) -> bool:
        """Whether a row is kept. A reference row, which has no shots or order of its own, is not left out by
        these."""
        if is_placeholder(row.cell, self.field):
            return True
        own = FIELDS[self.field](row)
        if isinstance(own, str):
            named = any(own == value or fits_label(value, own) for value in self.values)
            return named if self.sign == "=" else not named
        if not isinstance(own, int | float):
            return False
        met = (OPERATORS[self.sign](float(own), float(value)) for value in self.values)
        return all(met) if self.sign == "!=" else any(met)


def conditions(texts: Sequence[str], metric: str = "") -> list[Condition]:
    """ "shots>=4,selector=knn|bm25" -> both. metric: its name stands for `value`. ConfigError for what is no
    condition, an unknown field, and a number that is none."""
    found = []
    for part in (part for text in texts for part in split_outside(text)):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise ConfigError(f"where: {part!r} is no condition; write FIELD=VALUE, such as shots>=4")
        sign, values = match[2], tuple(v.strip() for v in match[3].split("|"))
        field = named_field("where", match[1], metric)
        words = field in AXES and field != "shots"
        if words and sign not in ("=", "!="):
            raise ConfigError(f"where: {field} is compared by = or !=, not by {sign}")
        if not words and field not in WORDS:
            for value in values:
                _number(field, value)
        found.append(Condition(field, sign, values))
    return found


WORDS = frozenset({"baseline", "test", "incomplete", "preferred_label", "equal_cost_row"})
"""Fields beside the axes that are texts."""


def _number(field: str, value: str) -> None:
    try:
        float(value)
    except ValueError:
        raise ConfigError(f"where: {field} is a number, {value!r} is none") from None


def named_field(option: str, name: str, metric: str) -> str:
    """The field of this name; that of the metric, which heads its column in the table, is `value`.
    ConfigError for a name that is no field of a row."""
    if name == metric:
        return "value"
    if name not in FIELDS:
        raise ConfigError(f"{option}: {unknown_name('field', name, FIELDS)}")
    return name


def where(rows: Sequence[Row], texts: Sequence[str], metric: str = "") -> list[Row]:
    """Rows that fit all conditions. DataError where none does, or no row has such a number."""
    kept = list(rows)
    for condition in conditions(texts, metric):
        _check_numbers("where", condition.field, rows)
        left = [row for row in kept if condition.fits(row)]
        if not any(not is_placeholder(row.cell, condition.field) for row in left):
            own = [row for row in kept if not is_placeholder(row.cell, condition.field)]
            met = dict.fromkeys(_text(FIELDS[condition.field](row)) for row in own)
            some = ", ".join(list(met)[:8]) + (", ..." if len(met) > 8 else "")
            raise DataError(f"where: no row has {condition.text}; {condition.field}: {some}")
        kept = left
    return kept


def _text(held: object) -> str:
    return f"{held:.4g}" if isinstance(held, float) else str(held) if held not in (None, "") else "none"


def ordered(rows: Sequence[Row], field: str, metric: str = "") -> list[Row]:
    """Rows by a field, from low to high, or with "-" in front from high to low; those without it last."""
    name = named_field("sort", field.removeprefix("-"), metric)
    _check_numbers("sort", name, rows)
    with_it = [row for row in rows if FIELDS[name](row) is not None]
    without = [row for row in rows if FIELDS[name](row) is None]
    return [*sorted(with_it, key=FIELDS[name], reverse=field.startswith("-")), *without]  # type: ignore[arg-type]


def _check_numbers(option: str, field: str, rows: Sequence[Row]) -> None:
    if all(FIELDS[field](row) is None for row in rows):
        raise DataError(f"{option}: no row has a number for {field}")


def axes(option: str, names: Sequence[str]) -> tuple[str, ...]:
    """Axes of a grid, given apart or with commas between them. ConfigError for others and for one twice."""
    found: list[str] = []
    for name in (part.strip() for text in names for part in text.split(",")):
        if name not in AXES:
            raise ConfigError(f"{option}: {unknown_name('axis', name, AXES)}")
        if name in found:
            raise ConfigError(f"{option}: {name} is given twice")
        found.append(name)
    return tuple(found)
