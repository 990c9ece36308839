"""How far a study is, from its folder alone: works while it runs, loads no model, and takes no lock."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import psutil

from icl.errors import DataError
from icl.experiments.folder.lock import LOCK
from icl.experiments.study.file import read_study
from icl.experiments.study.folder import STUDY, WORK, StudyFolder, file_name
from icl.mechanism.contract import Step, Study, studies


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step of a study."""

    name: str
    units: int
    unit: str
    seconds: float | None
    """That it took; None where it is not done, or was done with other parameters."""
    begun: bool
    """Not done, and there are checkpoints of it."""


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """A study as it is on the disk now."""

    name: str
    study: str
    steps: tuple[StepStatus, ...]
    process: int | None
    """That is at work on it, where it is one of this machine."""
    last_end: str | None
    """How the last session that ended did: "complete", or the error; None before the first has."""

    @property
    def done(self) -> int:
        """Steps."""
        return sum(step.seconds is not None for step in self.steps)

    @property
    def state(self) -> str:
        """complete, running or stopped."""
        if self.process is not None:
            return "running"
        return "complete" if self.done == len(self.steps) else "stopped"

    @property
    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "state": self.state, "steps_done": self.done}


def study_status(folder: StudyFolder) -> StudyStatus:
    """Raises DataError where a file of the folder is damaged, ConfigError where it is another icl's."""
    file, _ = read_study(folder.path / STUDY)
    study: Study = studies.create(file.study.name, file.given)
    sessions = folder.manifest.get("sessions") or [{}]
    steps: dict[str, StepStatus] = {}
    for step in study.steps():
        before = [one for one in steps if step.after is None or one in step.after]
        fresh = all(steps[one].seconds is not None for one in before)
        steps[step.name] = _status(folder, step, file.given, fresh)
    return StudyStatus(
        file.name, file.study.name, tuple(steps.values()), _holder(folder), sessions[-1].get("ended_by")
    )


def _status(folder: StudyFolder, step: Step, given: dict[str, Any], fresh: bool) -> StepStatus:
    """Of a step whose parameters are among `given`; fresh: the steps before it are done."""
    seconds = None
    kept = folder.step(step.name)
    if kept is not None and fresh:
        depends = kept.get("depends")
        if not isinstance(depends, dict):
            raise DataError(f"{folder.path}: {step.name} does not say what it depends on; delete its file")
        names = given if step.parameters is None else [key for key in step.parameters if key in given]
        now = {key: given[key] for key in names}
        if depends.get("parameters") == now and depends.get("units") == step.units:
            seconds = float(kept.get("seconds", 0.0))
    begun = any((folder.path / WORK).glob(f"{file_name(step.name)}.*"))
    return StepStatus(step.name, step.units, step.unit, seconds, begun and seconds is None)


def _holder(folder: StudyFolder) -> int | None:
    """The process that holds the folder's lock: it has that file open."""
    lock = (folder.path / LOCK).absolute()
    try:
        process = psutil.Process(int(lock.read_text(encoding="utf-8")))
        held = {one.path for one in process.open_files()}
    except (OSError, ValueError, psutil.Error):
        return None
    return process.pid if str(lock.resolve()) in held else None
