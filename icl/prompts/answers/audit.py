"""How far the reading of an output depends on the rule: first, last and trigger side by side."""

from __future__ import annotations

from dataclasses import dataclass

from icl.prompts.answers.equivalence import equivalent
from icl.prompts.answers.parse import parse
from icl.prompts.answers.reading import ParsedAnswer
from icl.types import Query, Task


@dataclass(frozen=True, slots=True)
class Audit:
    """One output read three ways."""

    first: ParsedAnswer
    last: ParsedAnswer
    trigger: ParsedAnswer | None
    """None: the output holds no trigger phrase."""
    flags: tuple[str, ...]
    """first_last_disagree, first_trigger_disagree, last_trigger_disagree, and those of parsing."""

    @property
    def disagree(self) -> bool:
        """Whether any two readings differ."""
        return any(flag.endswith("_disagree") for flag in self.flags)

    def as_dict(self) -> dict[str, object]:
        """JSON-able, for an outcome's details."""
        trigger = self.trigger.answer if self.trigger else None
        readings = {"first": self.first.answer, "last": self.last.answer, "trigger": trigger}
        return {**readings, "flags": list(self.flags)}


def audit(output: str, task: Task, query: Query, *, cut: bool = False, after: str = "") -> Audit:
    """Reads `output` by each policy and says where they disagree (up to `equivalent`).

    cut, after: see `parse`.
    """
    first = parse(output, task, query, where="first", cut=cut, after=after)
    last = parse(output, task, query, where="last", cut=cut, after=after)
    by_trigger = parse(output, task, query, where="trigger", cut=cut, after=after)
    trigger = None if "no_trigger" in by_trigger.flags else by_trigger
    readings = {"first": first, "last": last} | ({"trigger": trigger} if trigger else {})
    names = list(readings)
    flags = [
        f"{a}_{b}_disagree"
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if not _agree(readings[a], readings[b], task)
    ]
    for flag in by_trigger.flags:
        flags.append(flag)
    return Audit(first, last, trigger, tuple(flags))


def _agree(a: ParsedAnswer, b: ParsedAnswer, task: Task) -> bool:
    if a.answer is None or b.answer is None:
        return a.answer == b.answer
    return equivalent(a.answer, b.answer, task)
