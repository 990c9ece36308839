"""Where a run folder may be begun, and the names of what is in it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from icl.errors import ConfigError
from icl.experiments.folder.disk import DRAFT, read_mapping, write_whole
from icl.experiments.folder.lock import LOCK, FolderLock

EXPERIMENT = "experiment.yaml"
MANIFEST = "manifest.json"
CELLS = "cells"
TASKS = "tasks"
OTHERS = {
    "study.yaml": "the folder of a study: icl report {} makes its page, icl study goes on with it",
    "recipe.yaml": "the folder of a corpus: its card is card.md, icl data build goes on with it",
    "redteam.yaml": "the folder of a red teaming: icl redteam goes on with it",
}
"""File of a folder that is no run's -> what the folder is."""


def not_a_run(path: Path) -> str:
    """What a folder is instead."""
    for name, said in OTHERS.items():
        if (path / name).is_file():
            return f"{path}: not a run folder, but {said.format(path)}"
    return f"{path}: not a run folder ({EXPERIMENT} or {MANIFEST} is missing)"


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


def take_folder(path: Path, lock: FolderLock, what: str, own: Iterable[str], *, restart: bool) -> None:
    """Takes the folder of a `what` of icl, or makes it; `own`: what may be in it before its manifest is.
    ConfigError where it is another thing's, or in use. restart: what is there goes to a name of its own."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: is a file; choose another name or --output")
    if path.is_dir() and not (path / MANIFEST).exists():
        known = {LOCK, f"{MANIFEST}{DRAFT}", *own, *(f"{name}{DRAFT}" for name in own)}
        strange = sorted(p.name for p in path.iterdir() if p.name not in known)
        if strange:
            raise ConfigError(
                f"{path}: holds other files ({strange[0]}, ...) and is no {what} of icl; choose "
                "another name or --output"
            )
    elif path.is_dir() and restart:
        set_aside(path)
    lock.take(path)


def manifest_of(path: Path) -> dict[str, Any]:
    """That of a folder; {} before its first session."""
    try:
        return read_mapping(path / MANIFEST)
    except FileNotFoundError:
        return {}


def put_into_manifest(path: Path, entries: dict[str, Any]) -> None:
    """Entries in place of those of the same names."""
    text = json.dumps({**manifest_of(path), **entries}, ensure_ascii=False, indent=1)
    write_whole(path / MANIFEST, text)
