"""Files beside experiments: opened, and what is wrong with a component said with its place in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, IclError, nearest, retold
from icl.experiments.file.config import Source
from icl.printable import shortened
from icl.tasks.strict_yaml import KeyPath, Lines, read_yaml


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


def opened(path: Path, what: str) -> tuple[dict[str, Any], Lines]:
    """A YAML file that is a `what`, with the lines of its keys. ConfigError where there is none, with the
    nearest name."""
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder, not a {what} file")
    if not path.exists():
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")])
        hint = f". Did you mean {str(path.with_name(near))!r}?" if near else ""
        raise ConfigError(f"{shortened(str(path))}: no such {what} file{hint}")
    return read_yaml(path)
