"""Any two rows of one task against one another, on the seeds and queries that both have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from icl.experiments.records import RowKey
from icl.leaderboard.intervals import Interval
from icl.leaderboard.layout import Group, Layout, match, same_answers
from icl.leaderboard.measures import Measure, Values
from icl.leaderboard.statistics import Resampler, estimate


class Pairs:
    """Paired differences of complete rows of one task; rows are named by their place in `members`.

    values: every row as the measure sees it.
    """

    def __init__(
        self,
        members: Sequence[Group],
        values: Mapping[RowKey, Values],
        measure: Measure,
        resampler: Resampler,
    ) -> None:
        self.members = members
        self.measure = measure
        self.resampler = resampler
        self._values = [values[group.key] for group in members]
        self._means = [estimate(own) for own in self._values]

    def best(self, among: Iterable[int]) -> int:
        """The highest mean; of equals the one that stands first."""
        return max(among, key=lambda i: (self._means[i], -i))

    def one_seed(self, i: int, j: int) -> bool:
        """Whether the two have no more than one seed in common."""
        return len(set(self.members[i].layout.seeds) & set(self.members[j].layout.seeds)) < 2

    def difference(self, i: int, j: int) -> Interval | None:
        """Row i less row j; None where they share no query."""
        found = self._matched(i, j)
        return None if found is None else self.resampler.difference(*found[2:])

    def p_below(self, i: int, best: int) -> float | None:
        """Two-sided p where row i lies below `best`, else 1; None where they share no query."""
        if i == best:
            return 1.0
        found = self._matched(i, best)
        if found is None:
            return None
        ours, theirs, mine, its = found
        if estimate(mine) >= estimate(its):
            return 1.0
        if len(ours.seeds) > 1:
            return self.resampler.p_for_new_seeds(mine, its)
        return self.resampler.test(mine, its, same_answers(ours, theirs)).p

    def _matched(self, i: int, j: int) -> tuple[Layout, Layout, Values, Values] | None:
        ours, theirs = self.members[i].layout, self.members[j].layout
        if (ours.seeds, ours.queries) == (theirs.seeds, theirs.queries) and _full(ours) and _full(theirs):
            return ours, theirs, self._values[i], self._values[j]
        ours, theirs = match(ours, theirs)
        if not ours.queries:
            return None
        mine, its = self.measure.values(self.members[i].cell.task, ours, theirs)
        return ours, theirs, mine, its


def _full(lay: Layout) -> bool:
    return lay.predictions == len(lay.seeds) * len(lay.queries)
