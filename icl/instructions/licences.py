"""The licence of a task's rows, as far as what is at hand says it."""

from __future__ import annotations

from icl.errors import IclError
from icl.tasks import TaskData
from icl.tasks.readers.local import mirror_folder
from icl.tasks.sources import base_name
from icl.tasks.strict_yaml import read_yaml

OWN = "Apache-2.0 (part of icl)"


def licence_of(data: TaskData) -> str:
    """That of rows written for icl, or `licence` of dataset.yaml in a local mirror; "" where nobody says."""
    if {"bundled", "generator"} & data.task.source.keys():
        return OWN
    try:
        folder = mirror_folder(base_name(data.task.name))
        said = read_yaml(folder / "dataset.yaml")[0].get("licence", "") if folder is not None else ""
    except IclError:
        return ""
    return said if isinstance(said, str) else ""
