"""Tasks: definitions (YAML), readers, splits with their leak check, and generators."""

from icl.tasks.duplicates import DuplicateIndex, normalise, overlap
from icl.tasks.load import TaskData, TaskInfo, list_tasks, load_task, task_file, task_names
from icl.tasks.schema import TaskFile, read_task_file
from icl.tasks.splits import LeakReport, Split

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
