"""The nouns of human feedback: what one annotator said of one item, and comparisons of two candidates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

from icl.errors import DataError

PAIRWISE, BEST, RANKING, SCALE, RULES = KINDS = ("pairwise", "best", "ranking", "scale", "rules")
FIRST, TIE, SECOND = "first", "tie", "second"
"""Of a pair in the order of its names: which of the two is better. The side on which one was shown is no part
of it, so two annotators who saw the pair in unlike orders can be held against one another."""
YES, NO = "yes", "no"
"""Whether a rule is violated."""
TIES = ("half", "drop", "refuse")
"""What a tie is: half a win on either side, nothing, or an error."""
Value = str | float


@dataclass(frozen=True, slots=True)
class Said:
    """One value that one annotator gave: what agreement is about."""

    question: str
    """The rule or the quality; "" where a file asks one thing only."""
    item: str
    unit: str
    """Within the item: a pair, a candidate, or "" for the item itself. Values of a unit can be compared."""
    annotator: str
    value: Value
    where: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two candidates of an item, held against one another by one annotator."""

    question: str
    item: str
    annotator: str
    first: str
    second: str
    score: float
    """1: the first is better; 0: the second; 0.5: neither."""
    where: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A row: what one annotator said of one item."""

    where: str
    item: str
    annotator: str
    said: tuple[Said, ...] = ()
    tiers: tuple[tuple[str, ...], ...] = ()
    """Candidates by rank, the best first; those of one tier are as good as one another (of best of n: nothing
    is known of those that were not chosen)."""
    prompt: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """Candidate -> its text."""


@dataclass(frozen=True)
class Feedback:
    """A file of annotations of one kind."""

    file: str
    kind: str
    rows: tuple[Annotation, ...]
    named_items: bool = True
    """Whether rows say which item they are of. Else each row is an item of its own, and nobody can agree."""
    notes: tuple[str, ...] = ()
    """What was left out in reading, a line each."""

    @cached_property
    def said(self) -> tuple[Said, ...]:
        """All values, in the order of the file."""
        return tuple(one for row in self.rows for one in row.said)

    @cached_property
    def annotators(self) -> tuple[str, ...]:
        """By first appearance."""
        return tuple(dict.fromkeys(row.annotator for row in self.rows))

    @cached_property
    def items(self) -> tuple[str, ...]:
        """By first appearance."""
        return tuple(dict.fromkeys(row.item for row in self.rows))

    @cached_property
    def questions(self) -> tuple[str, ...]:
        """By first appearance."""
        return tuple(dict.fromkeys(one.question for one in self.said))

    def where(self, keep: Callable[[Annotation], bool]) -> Feedback:
        """The rows that `keep` takes."""
        return replace(self, rows=tuple(row for row in self.rows if keep(row)))

    def by(self, annotator: str) -> Feedback:
        """The rows of one annotator."""
        return self.where(lambda row: row.annotator == annotator)

    def about(self, question: str) -> Feedback:
        """What was said to one question."""
        rows = (replace(row, said=tuple(s for s in row.said if s.question == question)) for row in self.rows)
        return replace(self, rows=tuple(row for row in rows if row.said))

    def comparisons(self, ties: str = "half") -> tuple[Comparison, ...]:
        """Every pair of candidates that an annotator ordered; of a scale, those rated by the same annotator.

        A choice of the best of n gives n - 1 pairs, a ranking of n all n (n - 1) / 2. ties: see TIES;
        DataError for the first one where they are refused.
        """
        found = self._of_scales() if self.kind == SCALE else self._of_tiers()
        tied = next((c for c in found if c.score == 0.5), None)
        if ties == "refuse" and tied is not None:
            raise DataError(
                f"{tied.where}: {tied.first!r} and {tied.second!r} are tied, and --ties refuse allows no ties"
            )
        return tuple(c for c in found if ties != "drop" or c.score != 0.5)

    def _of_tiers(self) -> list[Comparison]:
        found = []
        for row in self.rows:
            place = {name: at for at, tier in enumerate(row.tiers) for name in tier}
            for first, second in combinations(place, 2):
                if place[first] == place[second] and self.kind == BEST:
                    continue
                score = 0.5 if place[first] == place[second] else 1.0
                found.append(Comparison("", row.item, row.annotator, first, second, score, row.where))
        return found

    def _of_scales(self) -> list[Comparison]:
        rated: dict[tuple[str, str, str], list[Said]] = defaultdict(list)
        for one in self.said:
            if one.unit:
                rated[one.question, one.item, one.annotator].append(one)
        found = []
        for (question, item, annotator), values in rated.items():
            for first, second in combinations(values, 2):
                score = 0.5 if first.value == second.value else float(first.value > second.value)  # type: ignore[operator]
                found.append(
                    Comparison(question, item, annotator, first.unit, second.unit, score, second.where)
                )
        return found


def pair_said(row: Annotation) -> tuple[Said, ...]:
    """The order of a row, as a value a pair of its candidates."""
    place = {name: at for at, tier in enumerate(row.tiers) for name in tier}
    found = []
    for pair in combinations(sorted(place), 2):
        a, b = (place[name] for name in pair)
        value = TIE if a == b else FIRST if a < b else SECOND
        found.append(Said("", row.item, " / ".join(pair), row.annotator, value, row.where))
    return tuple(found)
