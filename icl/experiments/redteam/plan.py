"""What a red teaming would ask, without asking it: rehearsed with models that make their answers up."""

from __future__ import annotations

from dataclasses import dataclass

from icl.experiments.asking.conversations import Window
from icl.experiments.asking.models import open_tokenizer
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.plan import RehearsalModel
from icl.experiments.redteam.check import CheckedRedTeam
from icl.experiments.redteam.running import ROLES
from icl.experiments.redteam.steps import KINDS, QUESTIONS, Desk, Made
from icl.experiments.running.progress import Meter
from icl.redteam.writing import WRITTEN
from icl.types import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step as it would be done."""

    way: str
    step: str
    model: str
    """"" where none is asked."""
    questions: int
    total: Usage
    """Tokens as the engine would forward them, texts at their limit."""


def plan_red_team(checked: CheckedRedTeam) -> list[StepPlan]:
    """Does every step without keeping what comes of it. Raises IclError as doing it would.

    Every reply is taken for usable questions, so at least so much is asked; which questions are shown, and
    how long questions and answers are, is made up.
    """
    desk = Desk(checked, ResponseStore(), Meter(), Window(), rehearsal=True)
    done: dict[tuple[str, str], Made] = {}
    found = []
    for stage in checked.file.stages:
        for way, kind in ((way, kind) for kind in KINDS for way in stage):
            role = ROLES[kind]
            model = None
            if (way, kind) != (WRITTEN, QUESTIONS):
                model = RehearsalModel(open_tokenizer(checked.models[role]))
            made = done[way, kind] = desk.do(way, kind, model, lambda *step: done[step].lines)
            label = "" if model is None else checked.labels[role]
            total = NO_USAGE if model is None else model.total
            found.append(StepPlan(way, kind, label, len(made.lines), total))
    return found
