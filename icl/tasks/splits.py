"""Pool and test set of one experiment, drawn reproducibly and checked against leaks.

The pool depends on the experiment's seed; the test set does not, so that all seeds of an
experiment are judged on the same queries and can be paired. Both grow by prefixes: the pool of
256 is the first half of the pool of 512 under the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from icl.errors import ConfigError
from icl.seeding import generator
from icl.tasks.duplicates import overlap
from icl.types import Example

TEST_SEED = 0
"""The test sample is drawn with this seed whatever the experiment's seed is."""


class SizeError(ConfigError):
    """Pool or test set cannot be as large as asked; `key` is the one to change."""

    def __init__(self, key: Literal["pool", "test"], message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What the check for overlap between pool and test found."""

    candidates: int
    """Pool candidates that were compared."""
    test: int
    """Test items that they were compared with."""
    threshold: float
    dropped: Mapping[str, tuple[str, ...]]
    """Id of a candidate kept out of the pool -> ids of the test items it duplicates."""
    carved: bool = False
    """The data set has no train split: pool and test are disjoint parts of its test split."""

    @property
    def count(self) -> int:
        """Candidates kept out of the pool."""
        return len(self.dropped)

    @property
    def summary(self) -> str:
        """One line for logs and the manifest."""
        how = "equal after normalisation" if self.threshold == 1 else f"3-gram Jaccard >= {self.threshold}"
        line = (
            f"{self.count} of {self.candidates} pool candidates overlap with {self.test} test items ({how})"
        )
        line += "; kept out of the pool" if self.count else ""
        return line + ("; pool carved from the test split" if self.carved else "")


@dataclass(frozen=True, slots=True)
class Split:
    """The pool to choose demonstrations from and the items to ask."""

    pool: tuple[Example, ...]
    test: tuple[Example, ...]
    report: LeakReport
    skipped: int = 0
    """Rows of all splits of the task that `skip_bad_rows` left out."""


def draw_split(
    name: str,
    train: Sequence[Example],
    test: Sequence[Example],
    *,
    pool_size: int | None,
    test_size: int | None,
    seed: int,
    threshold: float = 1.0,
) -> Split:
    """Draws `test_size` of the test split and `pool_size` of the train split; None = all there is.

    Pool candidates that duplicate an item of the test split are kept out and reported. They are
    compared with the whole test split, so the pool does not change with `test_size`. Without a
    train split the pool is drawn from the test items that are not asked.

    Raises SizeError, a ConfigError, with the numbers when more is asked for than there is.
    """
    if pool_size is not None and pool_size < 1:
        raise SizeError("pool", f"pool is {pool_size}: must be at least 1")
    if test_size is not None and test_size < 1:
        raise SizeError("test", f"test is {test_size}: must be at least 1")
    carved = not train
    if carved and test_size is None:
        raise SizeError(
            "test",
            f"test is all, but task {name!r} has no train split: say how many of its {len(test)} rows "
            "are the test",
        )
    if test_size is not None and test_size > len(test):
        line = f"test is {test_size}, but the test split of task {name!r} has {len(test)} rows"
        raise SizeError("test", line)
    shuffled = _shuffled(test, generator(TEST_SEED, "tasks.test", name))
    asked = shuffled if test_size is None else shuffled[:test_size]
    candidates = shuffled[len(asked) :] if carved else tuple(train)
    against = asked if carved else tuple(test)
    dropped = overlap(candidates, against, threshold)
    clean = [example for example in candidates if example.id not in dropped]
    if not clean or (pool_size is not None and pool_size > len(clean)):
        line = _too_few(name, pool_size, len(clean), len(dropped), len(asked) if carved else None)
        raise SizeError("pool", line)
    pool = _shuffled(clean, generator(seed, "tasks.pool", name))
    report = LeakReport(len(candidates), len(against), threshold, dropped, carved)
    return Split(pool if pool_size is None else pool[:pool_size], asked, report)


def _shuffled(examples: Sequence[Example], rng: np.random.Generator) -> tuple[Example, ...]:
    return tuple(examples[int(index)] for index in rng.permutation(len(examples)))


def _too_few(name: str, asked: int | None, usable: int, dropped: int, test: int | None) -> str:
    line = f"pool is {'all' if asked is None else asked}, but task {name!r} has {usable} rows for it"
    if test is not None:
        line += f": it has no train split, and {test} of its test rows are the test"
    return line + (f" ({dropped} more overlap with the test split)" if dropped else "")
