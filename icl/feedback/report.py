"""All that `icl feedback` says of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from icl.errors import DataError, unknown_name
from icl.feedback.agreement import QuestionAgreement, agreement, plain
from icl.feedback.annotations import RULES, SCALE, YES, Comparison, Feedback
from icl.feedback.elo import K
from icl.feedback.resampling import Bootstrap, summed
from icl.feedback.screening import LEAST, Screening, screen
from icl.feedback.strengths import Standings, standings
from icl.metrics.shared.agreement import Estimate
from icl.printable import shortened


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be said beside the file."""

    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    least: float = LEAST
    """Of the reference's values, from which an annotator is kept."""
    within: float = 0.0
    """Values of a scale no further apart are the same in raw agreement."""
    ties: str = "half"
    """See `icl.feedback.annotations.TIES`."""
    prior: float = 0.0
    """Wins on either side that are added to every pair of candidates."""
    k: float = K
    """Of Elo's ratings."""
    quality: str | None = None
    """The only one that is looked at."""
    agreement: bool = True


@dataclass(frozen=True, slots=True)
class Level:
    """Of a scale the mean value, of rules the share of answers that people found broken, of one candidate."""

    question: str
    candidate: str
    items: int
    annotations: int
    mean: Estimate | None

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "question": self.question,
            "candidate": self.candidate,
            "items": self.items,
            "annotations": self.annotations,
            "mean": plain(self.mean),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Of one file, without the items of a reference."""

    feedback: Feedback
    """What all below is of."""
    comparisons: tuple[Comparison, ...]
    screening: Screening | None
    agreement: tuple[QuestionAgreement, ...]
    standings: tuple[Standings, ...]
    levels: tuple[Level, ...]
    notes: tuple[str, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.feedback.file,
            "kind": self.feedback.kind,
            "annotations": len(self.feedback.rows),
            "items": len(self.feedback.items),
            "annotators": list(self.feedback.annotators),
            "screening": None if self.screening is None else self.screening.plain,
            "agreement": [one.plain for one in self.agreement],
            "strengths": [one.plain for one in self.standings],
            "levels": [one.plain for one in self.levels],
            "notes": list(self.notes),
        }


def report(
    feedback: Feedback,
    settings: Settings = Settings(),
    reference: Feedback | None = None,
    say: Callable[[str], None] = lambda step: None,
) -> Report:
    """Screens, holds annotators against one another, and finds strengths. `say` hears of every step.

    Raises DataError for what the file, the reference and the settings say together that cannot be.
    """
    if settings.quality is not None:
        feedback = _of_quality(feedback, settings.quality)
        reference = None if reference is None else _of_quality(reference, settings.quality)
    feedback.comparisons(settings.ties)  # ties that are refused are refused in items of the reference, too
    screening = None
    if reference is not None:
        say("screening annotators")
        screening, feedback = screen(feedback, reference, settings.bootstrap, settings.least, settings.within)
    found, notes = _agreement(feedback, settings, say)
    comparisons = feedback.comparisons(settings.ties)
    dropped = len(feedback.comparisons()) - len(comparisons)
    if dropped:
        notes.append(f"ties that are left out: {dropped}")
    ranked: list[Standings] = []
    if comparisons:
        say(f"strengths: {settings.bootstrap.samples:,} resamples of {len(comparisons):,} comparisons")
        ranked = standings(comparisons, settings.bootstrap, settings.prior, settings.k)
    return Report(
        feedback,
        comparisons,
        screening,
        tuple(found),
        tuple(ranked),
        tuple(_levels(feedback, settings.bootstrap)),
        (*feedback.notes, *notes),
    )


def _of_quality(feedback: Feedback, quality: str) -> Feedback:
    if feedback.kind != SCALE or feedback.questions == ("",):
        raise DataError(f"{feedback.file}: --quality {quality}: no row has a quality, which is for scales")
    if quality not in feedback.questions:
        raise DataError(f"{feedback.file}: --quality: {unknown_name('quality', quality, feedback.questions)}")
    return feedback.about(quality)


def _agreement(
    feedback: Feedback, settings: Settings, say: Callable[[str], None]
) -> tuple[list[QuestionAgreement], list[str]]:
    """What can be said of it, and why not the rest. DataError where no two annotators have an item in
    common."""
    names = feedback.annotators
    if not settings.agreement:
        return [], []
    if len(names) == 1:
        return [], ["one annotator: no agreement to be told"]
    if not feedback.named_items:
        return [], [f"no row names its item or prompt: {len(names)} annotators have none in common"]
    say(f"agreement of {len(names)} annotators")
    found = agreement(feedback, settings.bootstrap, settings.within)
    common = {(p.first, p.second) for one in found for p in one.pairs if p.items}
    pairs = len(names) * (len(names) - 1) // 2
    if not common:
        raise DataError(
            f"{feedback.file}: no two of {len(names)} annotators {_nothing_shared(feedback)}; "
            "--no-agreement goes on without"
        )
    notes = []
    if len(common) < pairs:
        apart = [(p.first, p.second) for p in found[0].pairs if (p.first, p.second) not in common]
        shown = ", ".join(f"{a} and {b}" for a, b in apart[:3])
        more = f" and {len(apart) - 3} more" if len(apart) > 3 else ""
        notes.append(f"annotators without an item in common: {len(apart)} of {pairs} pairs ({shown}{more})")
    return found, notes


def _nothing_shared(feedback: Feedback) -> str:
    """What the annotators lack, with the counts of the first two."""
    if len({(row.item, row.annotator) for row in feedback.rows}) > len(feedback.items):
        return "said something of the same candidates, or to the same question, of the items that they share"
    of = {name: feedback.by(name).items for name in feedback.annotators[:2]}
    told = ", ".join(
        f"{name!r} has {len(items)} (the first is {shortened(items[0])!r})" for name, items in of.items()
    )
    return f"have an item in common: {told}"


def _levels(feedback: Feedback, bootstrap: Bootstrap) -> list[Level]:
    """A line a quality or rule and candidate."""
    if feedback.kind not in (SCALE, RULES):
        return []
    groups: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for one in feedback.said:
        value = one.value if isinstance(one.value, float) else float(one.value == YES)
        groups.setdefault((one.question, one.unit), []).append((one.item, value))
    found = []
    for (question, candidate), values in groups.items():
        items = {item: at for at, item in enumerate(dict.fromkeys(item for item, _ in values))}
        places = [items[item] for item, _ in values]
        above = summed([value for _, value in values], places, len(items))
        below = summed([1.0] * len(values), places, len(items))
        draw = bootstrap.share if feedback.kind == RULES else bootstrap.ratio
        mean = draw(above, below, "level", f"{question}\x1f{candidate}")
        found.append(Level(question, candidate, len(items), len(values), mean))
    return found
