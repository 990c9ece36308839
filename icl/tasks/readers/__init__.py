"""Rows from files, the hub, and the package itself. Nothing here knows what a task is."""

from icl.tasks.readers.files import read_file
from icl.tasks.readers.local import MIRROR_VARIABLE, mirror_folder

__all__ = ["MIRROR_VARIABLE", "mirror_folder", "read_file"]
