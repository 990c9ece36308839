"""A run made again from what is in its folder, and held against it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError
from icl.experiments.asking.conversations import Window
from icl.experiments.differences import TOLERANCE, Differences, differences
from icl.experiments.file.config import read_experiment
from icl.experiments.folder.placing import EXPERIMENT, MANIFEST
from icl.experiments.folder.store import RunFolder
from icl.experiments.grid.check import check
from icl.experiments.running.progress import Meter
from icl.experiments.running.runner import CACHE, Runner
from icl.protocols import LanguageModel

GIVEN = "given by the caller"
REPRODUCES = "reproduces"
DEFAULT_PLACE = Path("reproduced")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The run that was made again, and what in it is not as it was."""

    folder: RunFolder
    found: Differences


def reproduce(
    folder: RunFolder,
    output: Path | None = None,
    *,
    tasks: Path | None = None,
    tolerance: float = TOLERANCE,
    model: LanguageModel | None = None,
    max_memory: int | None = None,
    window: Window | None = None,
    meter: Meter | None = None,
) -> Reproduction:
    """Runs the experiment of a folder again in `output`/<name>, with a cache of responses of its own there.

    output: reproduced/<name of the folder> if not given. tasks: the folder that paths of task files begin at,
    if not the one that the run was started from. tolerance: of label probabilities. model: in place of one
    that a program gave to the run. Killed, the same call goes on.

    Raises DataError where the folder holds nothing complete; ConfigError where what is in `output` could
    answer in place of the model; IclError as a run does.
    """
    manifest = folder.manifest()
    if not any(result.complete for result in folder.results()):
        raise DataError(f"{folder.path}: no cell of it is complete, so there is nothing to be reproduced")
    _refuse_given(folder, model)
    root = DEFAULT_PLACE / folder.name if output is None else output
    mark = {"run": folder.name, "created": manifest.get("created")}
    experiment, source = read_experiment(folder.path / EXPERIMENT)
    experiment = experiment.model_copy(update={"executor": None})  # its machines may be gone
    place = root / experiment.name
    _refuse_place(folder, root, place, mark)
    start = Path(manifest.get("folder", ".")) if tasks is None else tasks
    if not os.path.isdir(start):
        if tasks is not None:
            raise ConfigError(f"--tasks: {tasks} is no folder")
        start = Path()
    checked = check(experiment, replace(source, folder=start))
    runner = Runner(
        checked,
        root,
        model=model,
        max_memory=max_memory,
        window=window,
        meter=meter,
        about={REPRODUCES: mark},
    )
    made = runner.run()
    return Reproduction(made, differences(folder, made, tolerance))


def _refuse_given(folder: RunFolder, model: LanguageModel | None) -> None:
    given = [label for label, entry in folder.models().items() if entry.get("origin") == GIVEN]
    if given and model is None:
        raise ConfigError(
            f"{folder.path}: its model {given[0]!r} was loaded by a program and given to the run; "
            "give it again: icl.reproduce(run, model=...)"
        )


def _refuse_place(folder: RunFolder, root: Path, place: Path, mark: Mapping[str, Any]) -> None:
    """Nothing there may have been answered for another run: a reproduction must ask its model itself."""
    if place.exists() and place.resolve() == folder.path.resolve():
        raise ConfigError(f"{place}: is the run itself; choose another --output")
    if (root / MANIFEST).exists():
        raise ConfigError(f"{root}: is a run folder, and would hold another; choose another --output")
    held = RunFolder.open(place).manifest().get(REPRODUCES) if (place / MANIFEST).exists() else None
    if held == mark:
        return
    if (place / MANIFEST).exists() or (root / CACHE).exists():
        what = place if (place / MANIFEST).exists() else root / CACHE
        raise ConfigError(
            f"{what}: is there already, and not from reproducing this run: its responses would stand in for "
            "the model's; choose another --output"
        )
