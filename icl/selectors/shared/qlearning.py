"""Offline Q-learning of a small network over (state, action) features.

Conservative Q-learning (Kumar et al. 2020) on episodes that were played at random beforehand: the
temporal-difference error, and a term that lowers the values of actions nobody tried.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icl.errors import DataError

if TYPE_CHECKING:
    from torch import Generator, Tensor

STATE = ("chosen", "perplexity")
ACTION = ("entropy", "min", "max", "std", "perplexity")
INPUTS = len(STATE) + len(ACTION) + 1
"""State, action, and whether the action is to stop."""
LAYERS = ("w1", "b1", "w2", "b2", "w3", "b3")
LEAK = 0.01
"""Slope of a unit below zero."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of an episode. Actions are rows of the action table; its last row is to stop."""

    state: tuple[float, ...]
    chosen: tuple[int, ...]
    action: int
    reward: float
    following: tuple[float, ...] | None
    """The next state; None where the episode ends."""


@dataclass(frozen=True, slots=True)
class Learning:
    """Settings of `learn`; METHODS' values are the defaults of the selector."""

    hidden: int
    dropout: float
    gamma: float
    cql: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    steps: int
    updates: int
    sync: int
    clip: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A value network: two hidden layers of leaky rectified units over normalised features."""

    weights: tuple[NDArray[np.float64], ...]
    """[inputs, hidden], [hidden], [hidden, hidden], [hidden], [hidden], [1]."""
    mean: NDArray[np.float64]
    """[inputs] of what it was trained on, with `std`: another task's features are scaled by them too."""
    std: NDArray[np.float64]

    def values(self, state: Sequence[float], actions: NDArray[np.float64]) -> NDArray[np.float64]:
        """[actions + 1] Q; the last is to stop. `actions`: [actions, 5] features as they are."""
        inputs = _normalised(np.array([state]), actions, self.mean, self.std)[0]
        w1, b1, w2, b2, w3, b3 = self.weights
        units = _leaky(_leaky(inputs @ w1 + b1) @ w2 + b2)
        return np.asarray(units @ w3 + b3, dtype=np.float64)

    def save(self, path: Path | str) -> None:
        """Writes one .npz file."""
        about = np.array(json.dumps({"state": STATE, "action": ACTION}))
        arrays = dict(zip(LAYERS, self.weights, strict=True))
        with Path(path).open("wb") as file:
            np.savez(file, about=about, mean=self.mean, std=self.std, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path | str) -> Policy:
        """What `save` wrote. DataError where it is no such file."""
        try:
            with np.load(path) as file:
                about = json.loads(str(file["about"]))
                if (about["state"], about["action"]) != (list(STATE), list(ACTION)):
                    raise ValueError(f"it was trained on other features: {about}")
                if "w3" not in file:
                    raise ValueError("it has one hidden layer, of an earlier version: train it again")
                return cls(tuple(file[name] for name in LAYERS), file["mean"], file["std"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path}: no policy written by the rl selector: {error}") from error


def _leaky(units: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.where(units > 0, units, LEAK * units))


def _normalised(
    states: NDArray[np.float64],
    actions: NDArray[np.float64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[states, actions + 1, inputs]. To stop has average features and a flag of its own."""
    split = len(STATE)
    table = np.zeros((len(actions) + 1, len(ACTION) + 1))
    table[:-1, :-1] = (actions - mean[split:-1]) / std[split:-1]
    table[-1, -1] = 1.0
    left = np.repeat(((states - mean[:split]) / std[:split])[:, None, :], len(table), axis=1)
    right = np.repeat(table[None], len(states), axis=0)
    return np.concatenate([left, right], axis=2)


def learn(
    transitions: Sequence[Transition],
    actions: NDArray[np.float64],
    settings: Learning,
    stream: np.random.Generator,
    checkpoints: int = 1,
) -> list[Policy]:
    """The policy after each of `checkpoints` equal parts of the training, the last one at its end.

    `actions`: [n, 5] features of the actions that transitions name by row. Randomness (weights,
    batches, dropout) comes from `stream` alone.
    """
    import torch

    played = _played(transitions, actions)
    weights = _fresh_weights(settings.hidden, stream)
    target = [weight.detach().clone() for weight in weights]
    optimiser = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    draws = torch.Generator().manual_seed(int(stream.integers(2**62)))
    saved = []
    for step in range(1, settings.steps + 1):
        for _ in range(settings.updates):
            batch = torch.from_numpy(stream.integers(len(transitions), size=settings.batch_size))
            loss = _loss(weights, target, played, batch, settings, draws)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, settings.clip)
            optimiser.step()
        if step % settings.sync == 0:
            target = [weight.detach().clone() for weight in weights]
        if step * checkpoints // settings.steps > (step - 1) * checkpoints // settings.steps:
            network = tuple(weight.detach().numpy().copy() for weight in weights)
            saved.append(Policy(network, played.mean, played.std))
    return saved


@dataclass(frozen=True, slots=True, eq=False)
class _Played:
    """Transitions as tensors over their number m, features normalised."""

    now: Tensor
    after: Tensor
    """[m, 2] states."""
    taken: Tensor
    rewards: Tensor
    ends: Tensor
    barred: Tensor
    barred_after: Tensor
    """bool [m, actions + 1]: what may not be chosen in a state, and in the next; to stop always may."""
    table: Tensor
    """[actions + 1, 6]."""
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def _played(transitions: Sequence[Transition], actions: NDArray[np.float64]) -> _Played:
    import torch

    states = np.array([t.state for t in transitions])
    following = np.array([t.following if t.following is not None else t.state for t in transitions])
    mean = np.concatenate([states.mean(axis=0), actions.mean(axis=0), [0.0]])
    std = np.concatenate([states.std(axis=0), actions.std(axis=0), [1.0]])
    std[std < 1e-9] = 1.0
    split = len(STATE)
    table = torch.from_numpy(_normalised(np.zeros((1, split)), actions, mean, std)[0, :, split:])
    now, after = (torch.from_numpy((part - mean[:split]) / std[:split]) for part in (states, following))
    taken = torch.tensor([t.action for t in transitions])
    barred = torch.zeros((len(transitions), len(table)), dtype=torch.bool)
    for row, transition in enumerate(transitions):
        barred[row, list(transition.chosen)] = True
    barred_after = barred.clone()
    barred_after[torch.arange(len(transitions)), taken] = True
    barred_after[:, -1] = False
    rewards = torch.tensor([t.reward for t in transitions], dtype=torch.float64)
    ends = torch.tensor([t.following is None for t in transitions])
    return _Played(now, after, taken, rewards, ends, barred, barred_after, table, mean, std)


def _fresh_weights(hidden: int, stream: np.random.Generator) -> list[Tensor]:
    """As `Policy.weights`: uniform, matrices by the width of their inputs (He et al. 2015)."""
    import torch

    shapes = ((INPUTS, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden,), (1,))
    gain = (6 / (1 + LEAK**2)) ** 0.5
    bounds = [gain * INPUTS**-0.5, INPUTS**-0.5, *(2 * [gain * hidden**-0.5, hidden**-0.5])]
    return [
        torch.from_numpy(stream.uniform(-bound, bound, size=shape)).requires_grad_()
        for shape, bound in zip(shapes, bounds, strict=True)
    ]


def _values(
    network: Sequence[Tensor], state: Tensor, table: Tensor, drop: float, draws: Generator | None
) -> Tensor:
    """[batch, actions + 1] of states [batch, 2]; `drop`: share of features, and of the first layer's
    units, that are left out, drawn anew for every action."""
    from torch.nn.functional import leaky_relu

    w1, b1, w2, b2, w3, b3 = network
    split = len(STATE)
    if drop:
        import torch

        shape = (len(state), *table.shape)
        features = torch.cat([state[:, None, :].expand(*shape[:2], split), table.expand(shape)], dim=2)
        units = _thinned(features, drop, draws) @ w1 + b1
    else:
        # The first layer is linear: states and actions go through it apart and are added.
        units = (state @ w1[:split])[:, None, :] + (table @ w1[split:])[None] + b1
    units = leaky_relu(units, LEAK)
    if drop:
        units = _thinned(units, drop, draws)
    return leaky_relu(units @ w2 + b2, LEAK) @ w3 + b3


def _thinned(units: Tensor, drop: float, draws: Generator | None) -> Tensor:
    import torch

    kept = torch.rand(units.shape, generator=draws, dtype=units.dtype) >= drop
    return units * kept / (1 - drop)


def _loss(
    weights: Sequence[Tensor],
    target: Sequence[Tensor],
    played: _Played,
    batch: Tensor,
    settings: Learning,
    draws: Generator,
) -> Tensor:
    """Temporal-difference error of a batch, and how far actions that nobody tried are valued."""
    import torch

    with torch.no_grad():
        best = _values(target, played.after[batch], played.table, 0.0, None)
        best = best.masked_fill(played.barred_after[batch], -torch.inf)
        future = torch.where(played.ends[batch], 0.0, best.max(dim=1).values)
        wanted = played.rewards[batch] + settings.gamma * future
    every = _values(weights, played.now[batch], played.table, settings.dropout, draws)
    every = every.masked_fill(played.barred[batch], -torch.inf)
    own = every[torch.arange(len(batch)), played.taken[batch]]
    return (own - wanted).abs().mean() + settings.cql * (every.logsumexp(dim=1) - own).mean()
