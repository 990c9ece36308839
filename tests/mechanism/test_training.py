"""Training of small networks: a killed run goes on bit for bit, a planted signal is learned, noise is not."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from icl.errors import ConfigError, ModelError
from icl.mechanism.shared import training
from icl.mechanism.shared.small import DEVIATION, Size, TokenDecoder, Trunk, VectorDecoder
from icl.mechanism.shared.training import Course, Schedule, compile_network, seconds_a_step, train
from icl.seeding import generator
from icl.tuning.shared import checkpoint
from icl.tuning.shared.checkpoint import Checkpoint

SIZE = Size(layers=1, width=16, heads=2, positions=8)


def data(step: int, planted: bool = True) -> Tensor:
    """Tokens [32, 8] of four kinds that repeat the first two by turns, or are drawn apart."""
    rng = generator(0, "test tokens", str(step))
    tokens = rng.integers(4, size=(32, 8))
    return torch.from_numpy(np.tile(tokens[:, :2], 4) if planted else tokens)


def loss(network: Any, step: int, planted: bool = True) -> Tensor:
    tokens = data(step, planted)
    return torch.nn.functional.cross_entropy(network(tokens)[:, 2:-1].flatten(0, 1), tokens[:, 3:].flatten())


def noise(network: Any, step: int) -> Tensor:
    return loss(network, step, planted=False)


def look(network: Any, done: int) -> dict[str, Any]:
    return {"loss": float(loss(network, 10**6)), "done": done}


def trained(
    folder: Path, network: TokenDecoder, stop_at: int = 0, seen: list[int] | None = None, of: str = "run"
) -> Course:
    def progress(done: int) -> None:
        if seen is not None:
            seen.append(done)
        if done == stop_at:
            raise KeyboardInterrupt

    return train(
        network, loss, Schedule(60, 0.01, warmup=5, schedule="cosine", weight_decay=0.1, clip=1.0),
        checkpoint=Checkpoint(folder / "kept.safetensors", of), progress=progress, looks=(0, 20, 60),
        look=look, points=7,
    )  # fmt: skip


def test_a_killed_run_is_bit_for_bit_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)  # after every step
    whole, cut = TokenDecoder(SIZE, 4, seed=1), TokenDecoder(SIZE, 4, seed=1)
    course = trained(tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", cut, stop_at=27)
    again, seen = TokenDecoder(SIZE, 4, seed=2), []  # type: ignore[var-annotated]
    resumed = trained(tmp_path / "cut", again, seen=seen)
    assert seen[:2] == [27, 28]
    assert resumed == course
    assert [found["step"] for found in course.looks] == [0, 20, 60]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_a_complete_run_is_not_done_again(tmp_path: Path) -> None:
    first, second = TokenDecoder(SIZE, 4, seed=1), TokenDecoder(SIZE, 4, seed=1)
    course, seen = trained(tmp_path, first), []  # type: ignore[var-annotated]
    assert trained(tmp_path, second, seen=seen) == course
    assert seen == [60]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_checkpoint_of_another_run_is_passed_over(tmp_path: Path) -> None:
    seen: list[int] = []
    trained(tmp_path, TokenDecoder(SIZE, 4, seed=1))
    trained(tmp_path, TokenDecoder(SIZE, 4, seed=1), seen=seen, of="another")
    assert seen[0] == 1


def test_what_is_planted_is_learned_and_noise_is_not() -> None:
    nothing = Checkpoint(None, "")
    steady = Schedule(250, 0.01)
    planted = train(TokenDecoder(SIZE, 4, 0), loss, steady, checkpoint=nothing, progress=lambda _: None)
    random = train(TokenDecoder(SIZE, 4, 0), noise, steady, checkpoint=nothing, progress=lambda _: None)
    assert planted.losses[0][1] == pytest.approx(math.log(4), abs=0.1)
    assert planted.losses[-1][1] < 0.2
    assert random.losses[-1][1] == pytest.approx(math.log(4), abs=0.1)


def test_the_curve_holds_means_of_windows() -> None:
    """A network of one weight w at 0 and rate 0: the loss is what the step says."""
    network = torch.nn.Linear(1, 1)

    def said(network: Any, step: int) -> Tensor:
        return network.weight.sum() * 0 + step

    course = train(
        network, said, Schedule(10, 0.0), checkpoint=Checkpoint(None, ""), progress=lambda _: None, points=3
    )
    assert course.losses == [(3, 1.0), (6, 4.0), (9, 7.0), (10, 9.0)]


def test_rates_of_the_schedules_by_hand() -> None:
    def rates(schedule: Any, *steps: int) -> list[float]:
        return [Schedule(12, 1.0, warmup=4, schedule=schedule).rate(step) for step in steps]

    assert rates("constant", 0, 3, 4, 11) == [0.25, 1.0, 1.0, 1.0]
    assert rates("linear", 4, 8) == [1.0, 0.5]
    assert rates("cosine", 4, 8, 10) == pytest.approx([1.0, 0.5, (1 - math.cos(math.pi / 4)) / 2])
    assert rates("inverse_root", 3, 15) == [1.0, 0.5]


def test_a_loss_that_is_no_number_is_one_line() -> None:
    def broken(network: Any, step: int) -> Tensor:
        return network.weight.sum() * (math.nan if step == 2 else 1)

    with pytest.raises(ModelError, match=r"no longer a number at step 3 with learning rate 0.5"):
        train(
            torch.nn.Linear(1, 1), broken, Schedule(9, 0.5), checkpoint=Checkpoint(None, ""),
            progress=lambda _: None,
        )  # fmt: skip


def test_pace_takes_steps_from_all_over_the_run() -> None:
    seen = []

    def noted(network: Any, step: int) -> Tensor:
        seen.append(step)
        return network.weight.sum()

    assert seconds_a_step(torch.nn.Linear(1, 1), noted, Schedule(101, 0.1)) > 0
    assert seen == [50, 50, 33, 67, 17, 83, 0, 100]


def test_slow_steps_are_timed_as_far_as_patience_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PATIENCE", 0.05)
    seen = []

    def slow(network: Any, step: int) -> Tensor:
        seen.append(step)
        time.sleep(0.03)
        return network.weight.sum()

    assert 0.03 <= seconds_a_step(torch.nn.Linear(1, 1), slow, Schedule(101, 0.1)) < 0.5
    assert seen[:2] == [50, 50]
    assert len(seen) in (2, 3)


def test_a_decoder_sees_nothing_that_comes_later() -> None:
    network = VectorDecoder(Size(2, 16, 4, 6), taken=3, given=2, seed=0)
    torch.manual_seed(0)
    vectors = torch.randn(5, 6, 3)
    changed = vectors.clone()
    changed[:, 4:] += 1
    before, after = network(vectors), network(changed)
    assert before.shape == (5, 6, 2)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_first_weights_are_gpt2s_and_the_seeds_alone() -> None:
    size = Size(2, 64, 4, 32)
    network, same, other = (TokenDecoder(size, 50, seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), same.parameters(), strict=True))
    assert not torch.equal(network.tokens.weight, other.tokens.weight)
    trunk = network.trunk
    assert isinstance(trunk, Trunk)
    assert float(trunk.blocks[0].up.weight.detach().std()) == pytest.approx(DEVIATION, rel=0.05)
    assert float(trunk.blocks[1].down.weight.detach().std()) == pytest.approx(DEVIATION / 2, rel=0.05)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="width is 10 and heads 4; allowed: a width that heads divide"):
        Size(1, 10, 4, 8)


def test_no_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler is found; leave it out, or install g\+\+"):
        compile_network(torch.nn.Linear(1, 1))
