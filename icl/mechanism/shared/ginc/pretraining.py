"""A small decoder that is trained on a corpus of GINC, and asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from icl.mechanism.shared.ginc.corpora import Corpus
from icl.mechanism.shared.ginc.documents import documents
from icl.mechanism.shared.ginc.material import Hits, Material
from icl.mechanism.shared.ginc.mixture import Ints
from icl.mechanism.shared.small import Size, TokenDecoder
from icl.mechanism.shared.training import Course, Loss, Schedule, seconds_a_step, train
from icl.seeding import stream_key
from icl.tuning.shared.checkpoint import Checkpoint

TOGETHER = 32
"""Prompts that are forwarded together."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a decoder is made. deviation: of its first weights. document_length: tokens a document.
    batch_size: windows a step."""

    size: Size
    deviation: float
    schedule: Schedule
    document_length: int
    batch_size: int
    compiled: bool


@dataclass(frozen=True, slots=True, eq=False)
class Pretraining:
    """A decoder and its corpus. training: which of several that differ in first weights and order of data."""

    recipe: Recipe
    material: Material
    corpus: Corpus
    training: int
    seed: int
    device: torch.device

    def network(self) -> TokenDecoder:
        """As it begins: the same for all corpora."""
        seed = stream_key(self.seed, "study ginc network", str(self.training))
        network = TokenDecoder(self.recipe.size, self.material.world.vocabulary, seed, self.recipe.deviation)
        return network.to(self.device)

    def loss(self) -> Loss:
        """Cross-entropy of every token but the first of windows, drawn anew each step from all places of all
        documents alike."""
        mixture = self.material.known.of(range(self.corpus.sources))
        count, length = self.corpus.documents, self.recipe.document_length
        tokens, _ = documents(mixture, self.material.streams, count, length, permuted=self.corpus.permuted)
        window = self.recipe.size.positions + 1

        def of(network: nn.Module, step: int) -> Tensor:
            rng = self.material.streams("windows", f"{self.training} {step}")
            places = rng.random((self.recipe.batch_size, 2)) * [count, length - window + 1]
            rows, firsts = places.astype(np.int64).T
            batch = tokens[rows[:, None], firsts[:, None] + np.arange(window)]
            return next_token_loss(network, batch.astype(np.int64), self.device)

        return of

    def pace(self) -> float:
        """Seconds a step."""
        return seconds_a_step(self.network(), self.loss(), self.recipe.schedule, self.recipe.compiled)

    def run(self, checkpoint: Checkpoint, progress: Callable[[int], None]) -> tuple[TokenDecoder, Course]:
        """Trained; goes on from the checkpoint."""
        network = self.network()
        course = train(
            network,
            self.loss(),
            self.recipe.schedule,
            checkpoint=checkpoint,
            progress=progress,
            compiled=self.recipe.compiled,
        )
        return network, course


def asked(network: nn.Module, material: Material, device: torch.device) -> dict[str, Any]:
    """Hits of the network, and its loss on held-out documents in nats a token."""
    network.eval()

    def answer(shown: Ints, length: int, examples: int) -> Ints:
        parts = torch.split(torch.from_numpy(shown), TOGETHER)
        given = [network(part.to(device))[:, -1].argmax(-1).cpu() for part in parts]
        return torch.cat(given).numpy()

    with torch.no_grad():
        hits: Hits = material.hits(answer)
        lines = material.held_out().astype(np.int64)
        losses = [next_token_loss(network, line[None], device).item() for line in lines]
    return {"hits": hits, "loss": float(np.mean(losses))}


def next_token_loss(network: nn.Module, windows: Ints, device: torch.device) -> Tensor:
    """Mean nats a token of windows [n, length], the first token apart."""
    tokens = torch.from_numpy(windows).to(device)
    logits = network(tokens[:, :-1])
    return cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
