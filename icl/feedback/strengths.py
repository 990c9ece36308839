"""How strong candidates are, from comparisons: Bradley and Terry's strengths and Elo ratings, with
intervals.

A tie is half a win on either side. The pairs of one choice or ranking are not independent, which the
estimate does not need (each pair of them follows the model if the choice follows Luce's), and the intervals
allow for: they come from resampling items whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.errors import DataError
from icl.feedback.agreement import plain
from icl.feedback.annotations import Comparison
from icl.feedback.elo import Elo, Games, elo
from icl.feedback.resampling import Bootstrap, Floats
from icl.metrics.shared.agreement import Estimate
from icl.metrics.shared.strengths import apart, connected, fit, unbeaten

MANY = 0.05
"""Share of resamples without a finite maximum from which it is said."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate."""

    candidate: str
    wins: int
    ties: int
    losses: int
    strength: float | None
    """In log-odds, the mean of all is 0; None where the likelihood has no finite maximum."""
    interval: Estimate | None
    """The same with its interval; None of one item."""
    elo: Elo

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "candidate": self.candidate,
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "strength": self.strength,
            "strength_interval": plain(self.interval),
            "elo": self.elo.value,
            "elo_interval": plain(self.elo.interval),
            "elo_of_single_orders": list(self.elo.orders),
        }


@dataclass(frozen=True, slots=True)
class Standings:
    """All candidates on one question, the strongest first."""

    question: str
    items: int
    comparisons: int
    candidates: tuple[Standing, ...]
    notes: tuple[str, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "question": self.question,
            "items": self.items,
            "comparisons": self.comparisons,
            "candidates": [one.plain for one in self.candidates],
            "notes": list(self.notes),
        }


def standings(
    comparisons: Sequence[Comparison], bootstrap: Bootstrap, prior: float = 0.0, k: float = 32.0
) -> list[Standings]:
    """A question each. prior: so many wins on either side of every pair of candidates are added, as of
    regularisation: strengths come nearer to one another, and always have a finite maximum."""
    questions = dict.fromkeys(one.question for one in comparisons)
    return [
        _question([c for c in comparisons if c.question == question], question, bootstrap, prior, k)
        for question in questions
    ]


def _question(
    comparisons: Sequence[Comparison], question: str, bootstrap: Bootstrap, prior: float, k: float
) -> Standings:
    names = list(dict.fromkeys(name for one in comparisons for name in (one.first, one.second)))
    games = _games(comparisons, names)
    wins = _wins(games, np.ones(len(comparisons)))
    added = prior * (1 - np.eye(len(names)))
    strength, drawn, notes = _strengths(games, wins, added, names, bootstrap, question)
    rated = elo(games, bootstrap, k, question)
    found = []
    for at, name in enumerate(names):
        scores = np.concatenate([games.score[games.first == at], 1 - games.score[games.second == at]])
        value = None if strength is None else float(strength[at])
        interval = bootstrap.estimate(value, [drawn[:, at]]) if value is not None and len(drawn) else None
        won, tied, lost = (int((scores == result).sum()) for result in (1.0, 0.5, 0.0))
        found.append(Standing(name, won, tied, lost, value, interval, rated[at]))
    ordered = sorted(found, key=lambda one: -_place(one))
    return Standings(question, games.items, len(comparisons), tuple(ordered), tuple(notes))


def _place(one: Standing) -> float:
    """By which candidates are ordered."""
    return one.elo.value if one.strength is None else one.strength


def _games(comparisons: Sequence[Comparison], names: Sequence[str]) -> Games:
    place = {name: at for at, name in enumerate(names)}
    items = {item: at for at, item in enumerate(dict.fromkeys(one.item for one in comparisons))}
    return Games(
        np.array([place[one.first] for one in comparisons], dtype=np.intp),
        np.array([place[one.second] for one in comparisons], dtype=np.intp),
        np.array([one.score for one in comparisons]),
        np.array([items[one.item] for one in comparisons], dtype=np.intp),
        len(names),
        len(items),
    )


def _wins(games: Games, weights: Floats) -> Floats:
    """[i, j]: weighted wins of i over j."""
    n = games.candidates
    won = np.bincount(games.first * n + games.second, weights * games.score, n * n)
    lost = np.bincount(games.second * n + games.first, weights * (1 - games.score), n * n)
    return (won + lost).reshape(n, n).astype(np.float64)


def _strengths(
    games: Games, wins: Floats, added: Floats, names: Sequence[str], bootstrap: Bootstrap, question: str
) -> tuple[Floats | None, Floats, list[str]]:
    """Strengths, those of resamples [B, candidates] with a finite maximum, and what is to be said of them."""
    none = np.empty((0, len(names)))
    without = _no_maximum(wins + added, names)
    if without:
        return None, none, [without]
    strength = _fit(wins + added, None)
    if games.items < 2:
        return strength, none, ["one item: no intervals, which say what other items would give"]
    found, lost = [], 0
    for block in bootstrap.weights(games.items, "strengths", question):
        for weights in block:
            resampled = _wins(games, weights[games.item]) + added
            if connected(resampled):
                found.append(_fit(resampled, strength))
            else:
                lost += 1
    notes = []
    if lost > MANY * bootstrap.samples:
        notes.append(
            f"in {lost:,} of {bootstrap.samples:,} resamples the likelihood has no finite maximum; the "
            "intervals of strengths leave these out and are too narrow: more items, or --prior 0.5"
        )
    return strength, np.array(found) if found else none, notes


def _fit(wins: Floats, start: Floats | None) -> Floats:
    try:
        return fit(wins, start)
    except RuntimeError:  # the candidates hang together by next to nothing
        raise DataError(
            "strengths: the likelihood is too flat to find its maximum; --prior 0.5 makes it steeper"
        ) from None


def _no_maximum(wins: Floats, names: Sequence[str]) -> str:
    """Why the likelihood has no finite maximum; "" where it has one."""
    groups = apart(wins)
    if len(groups) > 1:
        told = " and ".join(_named(group, names) for group in groups[:2])
        more = f", nor {len(groups) - 2} more groups" if len(groups) > 2 else ""
        return (
            f"no strengths: no comparison links {told}{more}; --prior 0.5 puts them on one scale all the same"
        )
    groups = unbeaten(wins)
    if not groups:
        return ""
    told = "; ".join(
        f"{_named(group, names)} never lost to {_others(len(group), len(names))}" for group in groups
    )
    return f"no strengths: {told}, so the likelihood has no finite maximum; --prior 0.5 gives one"


def _named(group: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(repr(names[at]) for at in group[:3])
    return shown if len(group) <= 3 else f"{shown} and {len(group) - 3} more"


def _others(inside: int, of: int) -> str:
    return "anybody" if inside == 1 else f"the other {of - inside}"
