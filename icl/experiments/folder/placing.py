"""Where a run folder may be begun, and the names of what is in it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from icl.errors import ConfigError
from icl.experiments.folder.disk import DRAFT
from icl.experiments.folder.lock import LOCK

EXPERIMENT = "experiment.yaml"
MANIFEST = "manifest.json"
CELLS = "cells"
TASKS = "tasks"


def refuse_strange(path: Path, *, restart: bool) -> None:
    """A folder of something else is left alone; one whose start was killed is not strange."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: is a file; choose another name or --output")
    if not path.is_dir() or (path / MANIFEST).exists():
        return
    kept = next((path / CELLS).glob("*.jsonl"), None)
    if kept is not None and (path / EXPERIMENT).exists():
        if restart:
            return
        raise ConfigError(
            f"{path}: {MANIFEST} is missing: nothing shows whose the predictions in {CELLS} are; "
            "put it back, or begin anew with --restart (the old folder is kept under a new name)"
        )
    own = {LOCK, CELLS, EXPERIMENT, f"{EXPERIMENT}{DRAFT}", f"{MANIFEST}{DRAFT}"}
    strange = sorted(p.name for p in path.iterdir() if p.name not in own)
    if strange:
        raise ConfigError(
            f"{path}: holds other files ({strange[0]}, ...) and is not a run folder; "
            "choose another name or --output"
        )


def set_aside(path: Path) -> None:
    """Moves a run folder to a name of its own beside it."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.{stamp}")
    for n in range(2, 100):
        if not aside.exists():
            break
        aside = path.with_name(f"{path.name}.{stamp}-{n}")
    shutil.move(path, aside)
