"""Tunings that are trained in the workers of a team, side by side.

Checkpoints and results stand where a run without workers puts them. A worker on a machine that does not see
the run folder trains in a folder of its own, and its result is sent to the driver, which writes it.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.engine.loading.load import Opened
from icl.errors import IclError, StorageError, retold
from icl.executors.errands import carry_out
from icl.executors.team import Team
from icl.experiments.asking.models import files_needed
from icl.experiments.asking.pooled import hold
from icl.experiments.file.config import Experiment
from icl.experiments.folder.tunings import Training, TuningFolder
from icl.experiments.running.lesson import Lesson
from icl.experiments.running.restored import asked_in, let_go, open_base, weights_of
from icl.experiments.running.session import what_was_refused
from icl.experiments.running.watch import Watch
from icl.training import TrainingCost, TrainingStep, Tuned

MARK = ".seen-"
"""Begins the name of a file by which a worker finds out whether it sees the folder."""


class Trainee:
    """The network in a worker. Its fingerprint is that of the model as it would be asked untuned."""

    engine = "training"

    def __init__(self, experiment: Experiment) -> None:
        """Raises ModelError where it cannot be read."""
        opened = open_base(experiment)
        self.name, self.tokenizer = opened.name, opened.tokenizer
        self.context_length = opened.context_length
        self.fingerprint = f"{weights_of(opened.fingerprint)}-{asked_in(experiment, opened)}"
        self._experiment = experiment
        self._fresh: Opened | None = opened

    def take(self) -> Opened:
        """A fresh network, which the caller may change."""
        opened, self._fresh = self._fresh, None
        if opened is None:
            let_go()  # what was trained before
            opened = open_base(self._experiment)
        return opened


@dataclass(frozen=True, slots=True)
class OpenTrainee:
    """See Opener."""

    experiment: Experiment

    @property
    def needs(self) -> tuple[str, ...]:
        """See icl.executors.carrying.Needing."""
        return files_needed(self.experiment)

    def open(self) -> Trainee:
        """Raises IclError."""
        return Trainee(self.experiment)


@dataclass(frozen=True, slots=True)
class Train:
    """See Act. What it comes to is what it cost, and what was trained where that is not in the folder."""

    lesson: Lesson
    of: Training
    folder: Path
    """Of the run's tunings."""
    mark: str
    """A file in it."""

    def do(
        self, held: Trainee, say: Callable[[TrainingStep | None], None]
    ) -> tuple[TrainingCost, Tuned | None]:
        """Raises IclError."""
        try:
            with self._place() as (checkpoints, kept):
                tuned = self.lesson.fit(self.of, held.take(), checkpoints, say)
                if kept is not None:
                    kept.write(self.of, tuned)
                    return tuned.cost, None
                return tuned.cost, replace(tuned, network=None, root=None)
        except OSError as error:
            raise StorageError(what_was_refused(error, self.folder)) from error

    @contextlib.contextmanager
    def _place(self) -> Iterator[tuple[Path, TuningFolder | None]]:
        if (self.folder / self.mark).is_file():
            kept = TuningFolder(self.folder)
            yield kept.checkpoints(self.of), kept
        else:
            with tempfile.TemporaryDirectory(prefix="icl-") as own:
                yield Path(own), None


class Trainees:
    """Workers of a team that train for an experiment of one model, at most so many."""

    def __init__(
        self, team: Team, experiment: Experiment, kept: TuningFolder, watch: Watch, most: int
    ) -> None:
        """One worker opens the network; the others follow where there is something to train. Raises
        IclError."""
        self._team, self._kept, self._watch, self._most = team, kept, watch, most
        hold(team, experiment, OpenTrainee(experiment), most=1)
        self.name = team.facts.name
        self.asked = team.facts.fingerprint
        """Fingerprint of the model as it would be asked untuned."""
        self.context_length = team.facts.context_length

    def train(self, jobs: Sequence[tuple[Lesson, Training]]) -> dict[str, IclError]:
        """Words of the lesson -> why it could not be trained. Raises StorageError, OSError."""
        if not jobs:
            return {}
        self._team.widen(min(self._most, len(jobs)))
        failed: dict[str, IclError] = {}
        with self._marked() as mark:
            acts = [(f"tuning {one.words}", Train(one, of, self._kept.path, mark)) for one, of in jobs]
            follower = _Follower(self._watch, [one.words for one, _ in jobs])
            with closing(carry_out(self._team, acts, follower)) as outcomes:
                for place, outcome in outcomes:
                    lesson, of = jobs[place]
                    if isinstance(outcome, IclError):
                        self._watch.end(lesson.words)
                        failed[lesson.words] = _named(outcome, lesson.words)
                        continue
                    self._keep(lesson, of, outcome)
        return failed

    def _keep(self, lesson: Lesson, of: Training, outcome: tuple[TrainingCost, Tuned | None]) -> None:
        cost, tuned = outcome
        if tuned is not None:
            self._kept.write(of, tuned)
        self._watch.end(lesson.words, cost)

    @contextlib.contextmanager
    def _marked(self) -> Iterator[str]:
        folder = self._kept.path
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{MARK}*"):  # of a driver that was killed
            old.unlink(missing_ok=True)
        mark = folder / f"{MARK}{secrets.token_hex(8)}"
        mark.touch()
        try:
            yield mark.name
        finally:
            mark.unlink(missing_ok=True)


def _named(error: IclError, words: str) -> IclError:
    """With the tuning that it is of. StorageError is raised: it is not about one tuning."""
    if isinstance(error, StorageError):
        raise error
    told = str(error)
    return retold(error, told if told.startswith("tuning ") else f"tuning {words}: {told}")


class _Follower:
    """See icl.executors.errands.Follower."""

    def __init__(self, watch: Watch, words: Sequence[str]) -> None:
        self._watch, self._words = watch, words

    def began(self, place: int) -> None:
        self._watch.begin(self._words[place])

    def said(self, place: int, what: Any) -> None:
        if isinstance(what, TrainingStep):
            self._watch.step(self._words[place], what)
