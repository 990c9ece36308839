"""TensorBoard: event files, through torch's own writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl.tracking import trackers


@trackers.register("tensorboard")
class TensorBoard:
    """Event files for `tensorboard --logdir`.

    folder: where they go, from the current folder; empty: `tensorboard` in the run folder.
    """

    package = "tensorboard>=2.16"

    def __init__(self, *, folder: str = "") -> None:
        self.folder = folder

    def start(self, name: str, run: Path, settings: Mapping[str, str]) -> None:
        """Opens the files; the settings stand under TEXT."""
        from torch.utils.tensorboard import SummaryWriter

        where = Path(self.folder) / name if self.folder else run / "tensorboard"
        self._writer: Any = SummaryWriter(str(where))  # type: ignore[no-untyped-call]
        rows = [f"    {key}: {value}" for key, value in settings.items()]
        self._writer.add_text("settings", "\n".join(rows))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Scalars."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def stop(self, *, complete: bool) -> None:
        """Closes the files."""
        self._writer.close()
