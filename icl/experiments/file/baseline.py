"""The rows that others are compared with: a value of one component, or of several.

`random` names a selector; `{orderer: as_selected}`, `{method: direct, selector: knn}` or, as text,
`orderer=as_selected,method=direct` name whatever the grid varies. A row's partner has these values
and the row's own in everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl.errors import ConfigError, unknown_name
from icl.experiments.records import Cell
from icl.protocols import methods, orderers, selectors, tuners
from icl.registry import Registry

AXES = ("selector", "shots", "orderer", "method", "tuning", "model")
REGISTRIES: Mapping[str, Registry[Any]] = {
    "selector": selectors,
    "orderer": orderers,
    "method": methods,
    "tuning": tuners,
}
MAJORITY = "majority_class"
_NAMED = re.compile(r"\s*(\w+)\s*=\s*(.*)", re.DOTALL)
_OPEN, _CLOSE = "([{", ")]}"


class BaselineError(ConfigError):
    """A baseline that no row has, or several have. `axis`: where, None where it is the combination."""

    def __init__(self, message: str, axis: str | None = None) -> None:
        super().__init__(message)
        self.axis = axis


@dataclass(frozen=True, slots=True)
class Baseline:
    """Axis -> label of the baseline rows, and how whoever asked for them put it."""

    labels: Mapping[str, str]
    text: str

    def is_row(self, cell: Cell) -> bool:
        """Whether a row is a baseline. Without demonstrations there is no order to be one by, and what
        answers without a model is none by the model or its tuning."""
        if "orderer" in self.labels and cell.shots == 0:
            return False
        if set(self.labels) <= {"tuning", "model"} and cell.selector == MAJORITY:
            return False
        return all(str(getattr(cell, axis)) == label for axis, label in self.labels.items())

    def pairs(self, cell: Cell, baseline: Cell) -> bool:
        """Whether `baseline`, one of the baseline rows, equals `cell` in everything that is not named."""
        rest = [axis for axis in ("task", *AXES) if axis not in self.labels]
        return all(getattr(cell, axis) == getattr(baseline, axis) for axis in rest)

    def may_be_near(self, cell: Cell, baseline: Cell) -> bool:
        """Whether `baseline` may stand in where no row pairs: the majority class and zero-shot have
        no selector, order or number of shots of their own to share with it."""
        if self.across_models and (len(self.labels) == 1 or cell.model != baseline.model):
            return False
        if cell.selector == MAJORITY:
            return True
        placed = {"selector", "shots"} & set(self.labels)
        return (cell.shots == 0 and set(self.labels) != {"method"}) or (baseline.shots == 0 and bool(placed))

    @property
    def across_models(self) -> bool:
        """Whether rows are paired with those of another model."""
        return "model" in self.labels


def parse_baseline(text: str) -> dict[str, str]:
    """ "random" -> {selector: random}; "orderer=as_selected,method=direct" -> both.

    Commas and equals signs inside brackets belong to a label. Raises BaselineError for an unknown
    component, one that is named twice, and nothing.
    """
    found: dict[str, str] = {}
    for part in split_outside(text):
        match = _NAMED.fullmatch(part)
        axis, value = (match[1], match[2].strip()) if match else ("selector", part.strip())
        if axis not in AXES:
            raise BaselineError(unknown_name("component", axis, AXES))
        if axis in found:
            raise BaselineError(f"{axis} is given twice: {found[axis]!r} and {value!r}")
        if not value:
            raise BaselineError(f"{text!r} names no {axis}")
        found[axis] = value
    return found


def split_outside(text: str) -> list[str]:
    """Parts between commas that stand in no brackets and no quotes."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == '"'
        if not quoted:
            depth += (character in _OPEN) - (character in _CLOSE)
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def resolve_baseline(wanted: str | Mapping[str, Any], cells: Iterable[Cell]) -> Baseline:
    """The baseline among the rows that `cells` belong to.

    A value is a label, or what only one label fits: the name of a component, with some of its
    parameters or none. Raises BaselineError naming the nearest label, or those it could mean.
    """
    named = parse_baseline(wanted) if isinstance(wanted, str) else {a: str(v) for a, v in wanted.items()}
    rows = list(dict.fromkeys(cells))
    labels: dict[str, str] = {}
    for axis, value in named.items():
        if axis not in AXES:
            raise BaselineError(unknown_name("component", axis, AXES))
        try:
            labels[axis] = find_label(axis, value, _labels(axis, rows))
        except BaselineError as error:
            hint = _elsewhere(axis, value, rows)
            raise BaselineError(f"{error}{hint}", axis) from None
    text = ", ".join(value if axis == "selector" else f"{axis} {value}" for axis, value in named.items())
    baseline = Baseline(labels, text)
    if labels and not any(baseline.is_row(cell) for cell in rows):
        raise BaselineError(f"no row has {', '.join(f'{a} {v}' for a, v in labels.items())}")
    return baseline


def _labels(axis: str, cells: Sequence[Cell]) -> list[str]:
    """Labels that a row can be a baseline by, in the order of the rows."""
    having = [c for c in cells if not (axis == "orderer" and c.shots == 0)]
    return list(dict.fromkeys(label for c in having if (label := str(getattr(c, axis))) != "-"))


def find_label(axis: str, value: str, labels: Sequence[str]) -> str:
    """The label that `value` names: itself, else the only one with that name and those parameters."""
    if value in labels:
        return value
    name, _ = _taken_apart(value)
    fitting = [label for label in labels if fits_label(value, label)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BaselineError(f"{value!r} stands for several {axis}s; name one of: {', '.join(fitting)}")
    if name in REGISTRIES.get(axis, ()):
        raise BaselineError(
            f"{axis} {value!r} is in no row: add it to grid.{axis}, or name one of: {', '.join(labels)}"
        )
    raise BaselineError(unknown_name(axis, value, labels))


def _taken_apart(label: str) -> tuple[str, set[str]]:
    """ "mmr(lambda=0.5)" -> ("mmr", {"lambda=0.5"})."""
    name, _, rest = label.partition("(")
    inside = rest.strip().removesuffix(")")
    return name.strip(), {part.strip() for part in split_outside(inside) if part.strip()}


def fits_label(value: str, label: str) -> bool:
    """Whether `value` names the component of `label`, with some of its parameters or none."""
    name, parts = _taken_apart(value)
    other, have = _taken_apart(label)
    return name == other and parts <= have


def _elsewhere(axis: str, value: str, cells: Sequence[Cell]) -> str:
    """A hint where the value belongs to another component."""
    for other in AXES:
        if other != axis and value in _labels(other, cells):
            return f". {value!r} is a value of {other}: {{{other}: {value}}}"
    return ""
