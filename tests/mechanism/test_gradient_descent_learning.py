"""Training of the linear layer: it learns, and a killed run goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from icl.errors import ModelError
from icl.mechanism.contract import Work
from icl.mechanism.shared.gradient_descent.learning import Training, train, untrained
from icl.mechanism.shared.gradient_descent.likeness import compared
from icl.tuning.shared import checkpoint

SMALL = Training(dimension=3, points=6, steps=150, batch_size=256, learning_rate=0.03, deviation=0.2)


def work(folder: Path, progress: list[int] | None = None, stop_at: int | None = None) -> Work:
    def told(done: int) -> None:
        if progress is not None:
            progress.append(done)
        if done == stop_at:
            raise KeyboardInterrupt

    return Work(seed=0, folder=folder, progress=told, note=print)


def test_a_layer_learns_the_step_of_descent(tmp_path: Path) -> None:
    here = work(tmp_path)
    found = compared(
        train(SMALL, here), untrained(SMALL, here), here.generator, points=6, count=4000, scales=(1.0,)
    )
    assert found["loss"]["trained"] < 1.05 * found["loss"]["best step"]
    assert found["loss"]["untrained"] > 1.5 * found["loss"]["best step"]
    assert found["correlation"]["best step"] > 0.98 > found["correlation"]["least squares"]


def test_a_killed_training_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)  # after every step
    whole = train(SMALL, work(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, work(tmp_path / "cut", stop_at=60))
    done: list[int] = []
    again = train(SMALL, work(tmp_path / "cut", done))
    assert done[:2] == [60, 61]
    assert all(torch.equal(a, b) for a, b in zip(whole.weights, again.weights, strict=True))


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    wild = Training(3, 6, 50, 64, learning_rate=1e12, deviation=0.2)
    with pytest.raises(ModelError, match=r"no longer a number at step \d+ with learning rate 1e\+12"):
        train(wild, work(tmp_path))
