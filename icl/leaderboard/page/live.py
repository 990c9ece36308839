"""A folder of runs as it stands now: how far each is, and its page, made anew when the folder has changed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from icl.errors import DataError, IclError
from icl.experiments.folder.placing import CELLS, MANIFEST
from icl.experiments.folder.store import RunFolder
from icl.experiments.status import status
from icl.leaderboard.page.content import Content, script_class
from icl.printable import STEERING

LEAST_SECONDS = 2.0
"""Between two makings of one page."""
SHARE = 5.0
"""A page that takes a second is made every SHARE seconds at most."""
KEPT = 2
"""Versions of a page whose blocks can be had: the one in the browser, and the one it reads next."""


@dataclass(frozen=True)
class Made:
    """A page, of which state of the folder, when, and how long it took."""

    version: str
    content: Content
    at: float
    seconds: float


class Runs:
    """The runs of a folder, or of one run's own folder. `build` makes the page of a run. Only reads."""

    def __init__(self, root: Path, build: Callable[[Path], Content]) -> None:
        self.root = root
        self._build = build
        self._made: dict[str, list[Made]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; icl run makes it")
        if not self.names():
            raise DataError(f"{root}: holds no run folder, nor is it one; icl run makes them")
        if self.alone:
            RunFolder.open(
                root
            )  # one that cannot be read is refused; among others it is listed with what is wrong

    @property
    def alone(self) -> bool:
        """Whether the folder is that of one run."""
        return (self.root / MANIFEST).is_file()

    def names(self) -> list[str]:
        """Those that changed last first."""
        if self.alone:
            return [self.root.resolve().name]
        found = [path.parent for path in self.root.glob(f"*/{MANIFEST}")]
        return [path.name for path in sorted(found, key=_changed, reverse=True)]

    def path(self, name: str) -> Path:
        """Of a run among `names`."""
        return self.root if self.alone else self.root / name

    def progress(self, name: str) -> dict[str, Any]:
        """JSON-able: how far a run is, or what is wrong with its folder."""
        try:
            found = status(RunFolder.open(self.path(name)))
        except (IclError, OSError) as error:
            return {"name": name, "problem": str(error), "done": 0, "total": 0, "state": "unreadable"}
        session = found.progress
        return {
            "name": name,
            "done": found.predictions,
            "total": found.total,
            "state": found.state,
            "rate": session.predictions_per_second if session and found.state == "running" else None,
            "left": session.seconds_left if session and found.state == "running" else None,
            "step": session.step if session and found.state == "running" else "",
            "problem": "; ".join(found.problems),
        }

    def overview(self) -> dict[str, Any]:
        """The index of the page that lists the runs."""
        return {
            "title": f"Runs in {self.root}",
            "steering": script_class(STEERING),
            "kind": "runs",
            "rows": [],
            "cells": [],
            "runs": [],
            "live": self.state(),
        }

    def state(self, name: str | None = None) -> dict[str, Any]:
        """How far the runs are, or one of them; `version` changes with what its page shows."""
        if name is None:
            listed = [self.progress(one) | {"href": f"run/{quote(one, safe='')}/"} for one in self.names()]
            return {"version": "", "progress": listed}
        return {"version": self._page(name).version, "progress": [self.progress(name)]}

    def index(self, name: str) -> dict[str, Any]:
        """Of the page of one run, with how far it is."""
        made = self._page(name)
        up = None if self.alone else "../../"
        live = {"version": made.version, "progress": [self.progress(name)], "up": up}
        return {**made.content.index, "live": live}

    def block(self, name: str, version: str, block: str) -> bytes | None:
        """Of a version that is still kept."""
        made = next((one for one in self._made.get(name, []) if one.version == version), None)
        return None if made is None else made.content.blocks.get(block)

    def _page(self, name: str) -> Made:
        """As it is now, or as it was a moment ago. Raises IclError, OSError."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            held = self._made.get(name, [])
            now = time.monotonic()
            if held and now - held[-1].at < max(LEAST_SECONDS, SHARE * held[-1].seconds):
                return held[-1]
            version = _version(self.path(name))
            if held and held[-1].version == version:
                return held[-1]
            made = self._build(self.path(name))
            done = time.monotonic()
            self._made[name] = [*held[1 - KEPT :], Made(version, made, done, done - now)]
            return self._made[name][-1]


def _changed(folder: Path) -> float:
    try:
        return max((folder / part).stat().st_mtime for part in (MANIFEST, CELLS))
    except OSError:
        return 0.0


def _version(folder: Path) -> str:
    """Of what the folder's page is made from."""
    paths = sorted([folder / MANIFEST, *(folder / CELLS).glob("*.json*")])
    seen: list[Any] = []
    for path in paths:
        try:
            about = path.stat()
        except FileNotFoundError:  # put in place of another at this moment
            continue
        seen.append((path.name, about.st_size, about.st_mtime_ns))
    return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()
