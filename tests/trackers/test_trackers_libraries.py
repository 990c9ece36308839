"""Each tracker with its own library: what a run told is read back."""

from __future__ import annotations

import pytest

import icl
from icl.errors import ConfigError

NEAR_TIES, ACCURACY = "progress/near_ties", "accuracy/fake/questions/random 2-shot as_selected direct"


def run(tmp_path, track):
    plain = {
        "name": "tracked",
        "model": "fake",
        "task": "questions",
        "pool": 20,
        "test": 6,
        "seeds": [0, 1],
        "grid": {"selector": "random", "shots": [2]},
        "track": track,
    }
    return icl.run(plain, output=tmp_path / "runs")


def accuracies(done):
    return {r.cell.seed: r.metrics["accuracy"] for r in done.results if r.cell.setting.startswith("random")}


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run(tmp_path, "tensorboard")
    read = EventAccumulator(str(done.path / "tensorboard"))
    read.Reload()
    told = {event.step: event.value for event in read.Scalars(ACCURACY)}
    assert told == pytest.approx(accuracies(done))
    assert read.Scalars("progress/predictions")[-1].value == 24
    (settings,) = read.Tensors("settings/text_summary")
    assert b"grid.selector: ['random']" in settings.tensor_proto.string_val[0]


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow-skinny")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = run(tmp_path, {"mlflow": {"experiment": "mine"}})
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "runs" / "mlruns").as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert (found.info.run_name, found.info.status) == ("tracked", "FINISHED")
    told = {m.step: m.value for m in client.get_metric_history(found.info.run_id, ACCURACY)}
    assert told == pytest.approx(accuracies(done))
    assert found.data.params["task"] == "['questions']"
    assert NEAR_TIES in found.data.metrics


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = run(tmp_path, "wandb")
    assert next((done.path / "wandb").rglob("*.wandb")).stat().st_size > 0


def test_a_mode_that_wandb_does_not_have():
    with pytest.raises(ConfigError, match="mode"):
        icl.run({"name": "a", "model": "fake", "task": "questions", "pool": 10, "test": 2,
                 "grid": {"selector": "random", "shots": 1}, "track": {"wandb": {"mode": "of"}}})  # fmt: skip
