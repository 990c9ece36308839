"""For `icl check` and `icl preview`: an experiment file, or the smallest experiment around a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from icl.experiments.file.config import Experiment, Source, is_task, read_experiment, validated
from icl.experiments.file.overrides import Override
from icl.labels import LABELLED
from icl.tasks import TaskFile, task_file
from icl.tasks.sources import base_name
from icl.tasks.strict_yaml import read_yaml

DEFAULT_MODEL = "smollm2-135m-instruct"


def read_any(name: str, overrides: Sequence[Override] = ()) -> tuple[Experiment, Source, bool]:
    """The experiment of a file, or one around a task (by name or file), and whether it is a task.

    Raises ConfigError as `read_experiment` and `task_file` do.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and not (os.path.isfile(path) and is_task(read_yaml(path)[0])):
        return (*read_experiment(name, overrides), False)
    plain = around(name, task_file(name))
    experiment, source = validated(name, Path(), plain, {}, overrides)
    return experiment, source, True


def around(name: str, file: TaskFile) -> dict[str, Any]:
    """One cell: four random demonstrations, one test item, the method that fits the kind."""
    methods = ["direct"] if file.kind in LABELLED else ["generate"]
    if file.template.channel_query:
        methods.append("channel")
    return {
        "name": base_name(file.name),
        "model": DEFAULT_MODEL,
        "task": name,
        "pool": "all",
        "test": 1,
        "grid": {"selector": "random", "shots": 4, "method": methods},
    }
