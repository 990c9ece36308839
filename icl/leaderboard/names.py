"""Names of rows: references, and labels without what all others of their kind have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from icl.experiments.file.baseline import split_outside

MAJORITY = "majority_class"
REFERENCES = frozenset({"zero_shot", MAJORITY})


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
