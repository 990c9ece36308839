"""Names of rows: references, and labels without what all others of their kind have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from icl.experiments.file.baseline import split_outside
from icl.experiments.records import UNTUNED, Cell

MAJORITY = "majority_class"
REFERENCES = frozenset({"zero_shot", MAJORITY})
COMPONENTS = ("model", "selector", "orderer", "method", "tuning")
"""Axes whose labels may have parameters."""
AXES = ("model", "task", "selector", "shots", "orderer", "method", "tuning")


class Names:
    """Rows by the settings in which they differ, each label as short as tells it from the others."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = tuple(cells)
        met = {axis: list(dict.fromkeys(getattr(c, axis) for c in self.cells)) for axis in COMPONENTS}
        self._short: Mapping[str, Mapping[str, str]] = {
            axis: dict(zip(labels, short_labels(labels), strict=True)) for axis, labels in met.items()
        }
        self.varying = tuple(axis for axis in AXES if len(self._own(axis, self.cells)) > 1)
        """Axes on which they have more than one value."""

    def label(self, axis: str, label: str) -> str:
        """A label of an axis, shortened; any other text as it is."""
        return self._short.get(axis, {}).get(label, label)

    def of(self, cell: Cell, without: Collection[str] = ("task",)) -> str:
        """The settings that vary, beside those of `without`; a row without demonstrations by its selector and
        what tells it from others of that selector."""
        bare = is_bare(cell)
        alike = [c for c in self.cells if c.selector == cell.selector] if bare else self.cells
        words = []
        for axis in AXES:
            among = self.cells if axis == "tuning" else alike  # what was trained is said, even if no other is
            wanted = axis == "selector" or (axis in self.varying and len(self._own(axis, among)) > 1)
            if axis in without or not wanted or is_placeholder(cell, axis):
                continue
            label = self.label(axis, str(getattr(cell, axis)))
            if axis == "tuning":
                label = "" if label == UNTUNED else f"tuning {label}"
            words.append(f"{label}-shot" if axis == "shots" else label)
        return " ".join(word for word in words if word)

    @property
    def legend(self) -> list[str]:
        """ "lora: lora(rank=8)", for every label that is shortened and by which rows differ."""
        return [
            f"{short}: {label}"
            for axis in COMPONENTS
            if axis in self.varying or axis == "selector"
            for label, short in self._short[axis].items()
            if short != label
        ]

    @staticmethod
    def _own(axis: str, cells: Iterable[Cell]) -> dict[str, None]:
        return dict.fromkeys(str(getattr(c, axis)) for c in cells if not is_placeholder(c, axis))


def is_bare(cell: Cell) -> bool:
    """Majority class and zero-shot, tuned or not: no demonstrations were chosen."""
    return base_name(cell.selector) in REFERENCES


def is_placeholder(cell: Cell, axis: str) -> bool:
    """Whether a row has no value of its own on an axis: references shots, rows without shots an order."""
    if axis == "shots":
        return is_bare(cell) and cell.shots == 0
    if axis == "orderer":
        return cell.shots == 0  # nothing to order
    if axis == "tuning":
        return cell.selector == MAJORITY  # asks no model
    return getattr(cell, axis, None) == "-"


def base_name(label: str) -> str:
    """ "mmr(lambda=0.5)" -> "mmr"."""
    return label.split("(", 1)[0]


def short_labels(labels: Sequence[str]) -> list[str]:
    """ "a(n=4, t=0)", "a(n=8, t=0)", "b(t=0)" -> "a(n=4)", "a(n=8)", "b".

    Equal labels stay equal. Parameters that all labels of one name share are left out.
    """
    apart = {label: _parts(label) for label in labels}
    kinds = Counter(name for name, _ in apart.values())
    shared: dict[str, set[str]] = {}
    for name, parts in apart.values():
        shared[name] = shared[name] & set(parts) if name in shared else set(parts)
    short = []
    for label in labels:
        name, parts = apart[label]
        own = [part for part in parts if part not in shared[name]] if kinds[name] > 1 else []
        short.append(f"{name}({', '.join(own)})" if own else name)
    return short


def _parts(label: str) -> tuple[str, list[str]]:
    name, _, rest = label.partition("(")
    return name, [part.strip() for part in split_outside(rest.removesuffix(")")) if part.strip()]
