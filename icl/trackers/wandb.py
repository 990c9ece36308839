"""Weights & Biases, offline unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl.components import check_choice
from icl.tracking import trackers

MODES = ("offline", "online")


@trackers.register("wandb")
class WeightsAndBiases:
    """A run in `wandb` of the run folder, to be sent with `wandb sync`; or sent at once.

    project: the name that runs are gathered under. mode: "offline" or "online".
    """

    package = "wandb>=0.18"

    def __init__(self, *, project: str = "icl", mode: str = "offline") -> None:
        check_choice("mode", mode, MODES)
        self.project = project
        self.mode = mode

    def start(self, name: str, run: Path, settings: Mapping[str, str]) -> None:
        """Opens a run called `name`."""
        import wandb

        self._run: Any = wandb.init(
            project=self.project,
            name=name,
            dir=str(run),
            mode=self.mode,
            config=dict(settings),
            settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values with the step as a value of its own: wandb's steps only grow."""
        self._run.log({**values, "step": step})

    def stop(self, *, complete: bool) -> None:
        """Closes the run."""
        self._run.finish(exit_code=0 if complete else 1)
