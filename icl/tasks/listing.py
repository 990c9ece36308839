"""The built-in tasks by name, without what it takes to use one.

Definitions of the package are valid (the tests read every one as strictly as a user's), so that a list of
them need not wait for the checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from icl.tasks.readers.local import MIRROR_VARIABLE, mirror_folder

_AVAILABLE = {
    "hub": "hub (network)",
    "mirror": f"needs {MIRROR_VARIABLE}",
    "generator": "generated",
    "bundled": "bundled",
}


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """One line of `icl tasks`."""

    name: str
    kind: str
    labels: int
    language: str
    source: str
    """hub, generator, bundled or mirror."""
    available: str
    """What it takes to load it here and now."""
    description: str


def task_names() -> tuple[str, ...]:
    """Names of the built-in tasks, sorted."""
    names = [entry.name for entry in (files("icl.tasks") / "definitions").iterdir()]
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def list_tasks() -> list[TaskInfo]:
    """The built-in tasks with what it takes to load each. Reads definitions only, no rows."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    infos = []
    for name in task_names():
        text = (files("icl.tasks") / "definitions" / f"{name}.yaml").read_text(encoding="utf-8")
        infos.append(_info(name, yaml.load(text, loader)))
    return infos


def _info(name: str, told: dict[str, Any]) -> TaskInfo:
    kind = next(kind for kind in _AVAILABLE if kind in told["source"])
    local = kind in ("hub", "mirror") and mirror_folder(told["source"].get("mirror", name)) is not None
    return TaskInfo(
        name=name,
        kind=told["kind"],
        labels=len(told.get("labels", ())),
        language=told.get("language", "en"),
        source=kind,
        available=f"local ({MIRROR_VARIABLE})" if local else _AVAILABLE[kind],
        description=told.get("description", ""),
    )
