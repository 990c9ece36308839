"""Tasks: definitions (YAML), readers, splits with their leak check, and generators.

What is named here is imported when it is first used: components need the comparison of texts alone, and
`icl list` need not wait for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icl.tasks.duplicates import DuplicateIndex, normalise, overlap
    from icl.tasks.listing import TaskInfo, list_tasks, task_names
    from icl.tasks.load import TaskData, load_task, task_file
    from icl.tasks.reading import read_task_file
    from icl.tasks.schema import TaskFile
    from icl.tasks.splits import LeakReport, Split

_WHERE = {
    "duplicates": ("DuplicateIndex", "normalise", "overlap"),
    "listing": ("TaskInfo", "list_tasks", "task_names"),
    "load": ("TaskData", "load_task", "task_file"),
    "reading": ("read_task_file",),
    "schema": ("TaskFile",),
    "splits": ("LeakReport", "Split"),
}

__all__ = [
    "DuplicateIndex",
    "LeakReport",
    "Split",
    "TaskData",
    "TaskFile",
    "TaskInfo",
    "list_tasks",
    "load_task",
    "normalise",
    "overlap",
    "read_task_file",
    "task_file",
    "task_names",
]


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"icl.tasks.{module}"), name)
    raise AttributeError(f"module 'icl.tasks' has no attribute {name!r}")
