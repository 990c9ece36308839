"""What a study would take: the pace of each step, measured on a few units, times its units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from icl.experiments.study.running import Studying
from icl.mechanism.contract import Found


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step as it would be done."""

    name: str
    units: int
    unit: str
    seconds_a_unit: float
    """0 where it is done already."""
    done: bool

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.units * self.seconds_a_unit


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The steps in order."""

    steps: Sequence[StepPlan]

    @property
    def seconds(self) -> float:
        """Of all that is left."""
        return sum(step.seconds for step in self.steps)

    @property
    def dominant(self) -> StepPlan | None:
        """What takes longest; None where nothing is left."""
        left = [step for step in self.steps if not step.done]
        return max(left, key=lambda step: step.seconds) if left else None


def plan_study(studying: Studying) -> StudyPlan:
    """Measures every step that is left; nothing is written into the study's folder. Raises IclError."""
    depends, folder = studying.depends(), studying.folder
    depends.refuse_others(folder)
    made, found = list[StepPlan](), dict[str, Found]()
    with TemporaryDirectory(prefix="icl-plan-") as scratch:
        for step in depends.steps:
            kept = folder.step_of(step.name, depends.digest(step.name))
            if kept is not None:
                found[step.name] = kept["found"]
                made.append(StepPlan(step.name, step.units, step.unit, 0.0, True))
                continue
            decoder = studying.decoder()
            studying.meter.note(f"pace of {step.name}")
            files = Path(scratch) / str(len(made))
            files.mkdir()
            known = {name: found[name] for name in depends.before(step) if name in found}
            pace = studying.checked.study.pace(step, studying.work(files, decoder, known))
            made.append(StepPlan(step.name, step.units, step.unit, pace, False))
    return StudyPlan(tuple(made))
