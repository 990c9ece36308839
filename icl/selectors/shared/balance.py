"""Taking turns among labels, so that demonstrations are balanced over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from icl.errors import ConfigError
from icl.types import Example


def check_balance(selector: str, examples: Iterable[Example], labels: Sequence[str], k: int) -> None:
    """ConfigError when a label has fewer `examples` than its share of k, k // number of labels.

    Turns would go on without that label, and what was asked for as balanced would not be. A task
    without a label list has nothing to balance.
    """
    share = k // len(labels) if labels else 0
    held = Counter(example.target for example in examples)
    short = [label for label in labels if held[label] < share]
    if short:
        raise ConfigError(
            f"selector {selector!r} with label_balanced: {k} demonstrations of {len(labels)} labels are "
            f"{share} each or more, but label {short[0]!r} has {held[short[0]]} of those that may be shown: "
            f"ask for a larger pool, {len(labels) * held[short[0]] + len(labels) - 1} shots or fewer, or set "
            "label_balanced to false"
        )


def positions_by_label(pool: Sequence[Example], labels: Sequence[str]) -> list[list[int]]:
    """Positions of each label's examples, in pool order.

    Labels stand in the order of `labels` (the task's), then in order of first appearance (tasks
    without a label list); labels without an example are left out.
    """
    groups: dict[str, list[int]] = {label: [] for label in labels}
    for position, example in enumerate(pool):
        groups.setdefault(example.target, []).append(position)
    return [group for group in groups.values() if group]


def take_turns(rankings: Sequence[Sequence[int]]) -> list[int]:
    """The first of every ranking, then the second of every ranking, and so on until all are taken."""
    rounds = max((len(ranking) for ranking in rankings), default=0)
    return [ranking[turn] for turn in range(rounds) for ranking in rankings if turn < len(ranking)]
