"""What is wrong with a component, said with its place in the file that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from icl.errors import IclError, retold
from icl.experiments.file.config import Source
from icl.tasks.strict_yaml import KeyPath


@contextmanager
def placed(source: Source, path: KeyPath) -> Iterator[None]:
    """What is wrong in the block is said with file, line and key."""
    try:
        yield
    except (IclError, ValueError) as error:
        known = isinstance(error, IclError)
        if known and str(error).startswith(source.name):
            raise
        message = source.error(path, str(error))
        raise (retold(error, str(message)) if isinstance(error, IclError) else message) from error
