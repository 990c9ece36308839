"""The nouns of training: what is learned from, what it cost, the form in which the outcome is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

Network: TypeAlias = Any
"""A decoder of transformers with its head (`PreTrainedModel`). This module does without torch."""
Array: TypeAlias = Any
"""A torch tensor."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A prompt and what is to follow it, written by the renderer: training and prompting see one text."""

    id: str
    prompt: str
    completion: str
    """What is learned, e.g. " positive"; the loss counts its tokens alone."""
    source: str
    """The task or the corpus that it is from."""
    template: str = ""
    """Which of several wordings, where there are some."""
    weight: float = 1.0
    """How much its loss counts."""


@dataclass(frozen=True, slots=True)
class VirtualTokens:
    """Input embeddings [n, hidden size] that stand before every text, at positions 0 .. n-1."""

    embeddings: Array

    @property
    def length(self) -> int:
        """n."""
        return int(self.embeddings.shape[0])


@dataclass(frozen=True, slots=True)
class GivenKeysValues:
    """What every layer finds before every text: of each layer [key-value heads, n, head size].

    The keys are used as they are (no rotary position is applied), the text begins at position n.
    """

    keys: tuple[Array, ...]
    values: tuple[Array, ...]

    @property
    def length(self) -> int:
        """n."""
        return int(self.keys[0].shape[-2])


Root: TypeAlias = VirtualTokens | GivenKeysValues
"""What stands at the root of the trie of a tuned model."""


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What a tuning cost. The search over learning rates and all validation are in it."""

    trainable: int = 0
    """Parameters that are trained, of one run."""
    steps: int = 0
    """Optimiser steps of all runs together."""
    tokens: int = 0
    """Tokens forwarded and gone back through, without padding; a shared prefix counts each time."""
    tokens_forwarded: int = 0
    """The same as they were forwarded: a prefix that a batch shares counts once."""
    tokens_validation: int = 0
    """Tokens forwarded only: validation, drafts, samples of the model's own."""
    seconds: float = 0.0
    peak_bytes: int = 0
    """Highest resident memory (CPU) or allocated memory (GPU) seen while training."""

    def __add__(self, other: TrainingCost) -> TrainingCost:
        return TrainingCost(
            max(self.trainable, other.trainable),
            self.steps + other.steps,
            self.tokens + other.tokens,
            self.tokens_forwarded + other.tokens_forwarded,
            self.tokens_validation + other.tokens_validation,
            self.seconds + other.seconds,
            max(self.peak_bytes, other.peak_bytes),
        )

    @property
    def plain(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """Where training stands, for progress."""

    step: int
    of: int
    loss: float
    tokens: int
    """Of this step."""
    run: str = ""
    """Which of several runs: "learning_rate=0.001"."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What training left.

    network: as it is to be asked; merged, with modules in it, or untouched beside a root. None of its
    parameters require a gradient any more. root: what stands before every text, if anything.
    """

    network: Network
    root: Root | None = None
    state: Mapping[str, Array] = field(default_factory=dict)
    """What was trained, on the CPU, under the names that the folder holds them by."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """{"tuner": name, "parameters": {...}}: with it and the state the tuner's `restore` makes the same."""
    cost: TrainingCost = TrainingCost()
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What a reader of results should know: the learning rate that won, losses, ranks, dropped rows."""
