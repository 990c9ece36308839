"""MLflow: a run of an experiment, on a server or in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl.tracking import trackers

LONGEST_PARAMETER = 500
"""Characters that every store of MLflow takes."""


@trackers.register("mlflow")
class MLflow:
    """A run of MLflow, its settings as parameters.

    uri: a server or store as MLflow names it; empty: MLFLOW_TRACKING_URI, else the folder `mlruns` beside the
    run folders. experiment: the name that runs are gathered under.
    """

    package = "mlflow-skinny>=3"

    def __init__(self, *, uri: str = "", experiment: str = "icl") -> None:
        self.uri = uri
        self.experiment = experiment

    def start(self, name: str, run: Path, settings: Mapping[str, str]) -> None:
        """Opens a run called `name`; the global state of MLflow is left alone."""
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or (run.resolve().parent / "mlruns").as_uri()
        if uri.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 asks for this word
        from mlflow import MlflowClient

        self._client: Any = MlflowClient(tracking_uri=uri)
        known = self._client.get_experiment_by_name(self.experiment)
        at = known.experiment_id if known is not None else self._client.create_experiment(self.experiment)
        self._id = self._client.create_run(at, run_name=name).info.run_id
        for key, value in settings.items():
            self._client.log_param(self._id, _name(key), value[:LONGEST_PARAMETER])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Metrics."""
        for key, value in values.items():
            self._client.log_metric(self._id, _name(key), value, step=step)

    def stop(self, *, complete: bool) -> None:
        """The run is FINISHED, or KILLED where it was broken off."""
        self._client.set_terminated(self._id, "FINISHED" if complete else "KILLED")


def _name(key: str) -> str:
    """In the characters that MLflow takes."""
    return re.sub(r"[^\w\-. /]+", "_", key)
