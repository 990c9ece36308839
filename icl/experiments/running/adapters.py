"""Every tuning of an experiment, trained and kept for later: nothing is asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, IclError, StorageError
from icl.experiments.asking.pooled import team_of
from icl.experiments.folder.lock import FolderLock
from icl.experiments.folder.tunings import Kept, TuningFolder
from icl.experiments.grid.check import Checked
from icl.experiments.running.progress import Meter
from icl.experiments.running.restored import let_go
from icl.experiments.running.training import trained
from icl.experiments.running.tuned import Work, Workshop

log = logging.getLogger("icl")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A tuning of one model on one pool, and the folder that it stands in."""

    model: str
    task: str
    seed: int
    tuning: str
    folder: Path
    kept: Kept

    @property
    def loss(self) -> float | None:
        """The last one, where the tuner wrote its losses down."""
        losses: Any = self.kept.notes.get("losses")
        last = losses[-1] if isinstance(losses, list) and losses else None
        return float(last) if isinstance(last, int | float) else None

    @property
    def learning_rate(self) -> float | None:
        """That which was chosen, where the tuner wrote it down."""
        rate = self.kept.notes.get("learning_rate")
        return float(rate) if isinstance(rate, int | float) else None


def tune(checked: Checked, output: Path, meter: Meter | None = None) -> Iterator[Adapter]:
    """Trains what is not there yet, in `output`/<name of the experiment>, and yields all; in the workers of
    the experiment's executor, where it names one.

    A tuning that fails does not keep the others back; in the end the first error is raised. Raises
    ConfigError where the experiment tunes nothing or another process writes there, StorageError, OSError.
    """
    if not trained(checked):
        raise checked.source.error(("grid", "tuning"), "names nothing but none: nothing is to be trained")
    folder = output / checked.experiment.name
    lock = FolderLock()
    lock.take(folder)
    team = team_of(checked.experiment, checked.source)
    failed: list[IclError] = []
    watched = meter or Meter()
    watched.start(0, 0)
    try:
        for one in checked.each:
            yield from _of_one_model(one, Workshop(one, TuningFolder(folder), watched, team=team), failed)
    finally:
        if team is not None:
            team.close()
        watched.stop()
        lock.release()
    if failed:
        raise failed[0]


def _of_one_model(checked: Checked, shop: Workshop, failed: list[IclError]) -> Iterator[Adapter]:
    """failed: takes up what could not be trained."""
    works = [Work(*work) for work in trained(checked)]
    refused = shop.train(works)
    for work in works:
        let_go()
        try:
            if work.words in refused:
                raise refused[work.words]
            of, kept, _ = shop.prepare(work)
        except StorageError:
            raise
        except IclError as error:
            log.warning("%s", error)
            failed.append(ConfigError(str(error)))  # its traceback would hold the network
            continue
        name = checked.experiment.model_label
        yield Adapter(name, work.task, work.seed, work.item.label, shop.kept.place(of), kept)
