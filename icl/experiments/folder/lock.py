"""One process at a time writes to a run folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Any

from icl.errors import ConfigError

LOCK = ".lock"


class FolderLock:
    """A file that is held until `release`, or until the process ends in whatever way."""

    def __init__(self) -> None:
        self._handle: Any = None

    def take(self, folder: Path) -> None:
        """Creates the folder if need be. Raises ConfigError naming the process that holds it, OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise ConfigError(
                f"{folder}: another process (pid {holder}) is writing to this run folder; "
                "wait for it, or use another name or --output"
            ) from error
        except OSError:
            with contextlib.suppress(OSError):
                handle.close()
            raise
        self.release()
        self._handle = handle

    def release(self) -> None:
        """Lets go."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None
