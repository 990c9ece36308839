"""The verifier of DiVeRSe: a small encoder fine-tuned to tell right chains, and right steps, from wrong.

Li et al. 2023: one label on [CLS], whether the chain reaches the answer, and one on the token that
ends each step; the loss is that of the chain and `step_weight` times that of its steps. A chain's
score is the probability on [CLS]. Steps stand before the question, as in the authors' code; here
each ends in the encoder's separator token.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.cot.shared.chain import Chain
from icl.cot.shared.scorer import Training
from icl.cot.shared.steps import step_labels, steps
from icl.encoders.cache import CachedEncoder
from icl.encoders.sentence import SentenceEncoder
from icl.errors import ConfigError
from icl.protocols import Encoder

LONGEST = 512
"""Tokens of a chain with its question, as in the authors' code; what is longer loses its end."""
_SCORED = 32
"""Chains scored side by side."""
_PATIENCE = 2.0
"""Seconds until progress is shown."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How long and how fast to train. The same seed on the same machine gives the same verifier."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    clip: float = 1.0


def untunable(name: str) -> ConfigError:
    """What to say of an encoder that cannot be fine-tuned."""
    return ConfigError(
        f"method 'verifier': kind: finetuned trains a copy of the encoder, and {name!r} is no transformer "
        "with a [CLS] token; allowed: encoder: minilm or its like, or kind: features"
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A chain as tokens."""

    ids: tuple[int, ...]
    marks: tuple[int, ...]
    """Where its steps end."""
    cut: bool
    right: bool = False
    steps: tuple[bool, ...] = ()
    """Labels of the steps whose end is not cut off."""


class TunedScorer:
    """P(chain is right). ConfigError for an encoder that is no transformer with a [CLS] token."""

    def __init__(self, encoder: Encoder, step_weight: float, tuning: Tuning) -> None:
        self._step_weight, self._tuning = step_weight, tuning
        inner = encoder.encoder if isinstance(encoder, CachedEncoder) else encoder
        model = inner._model if isinstance(inner, SentenceEncoder) else None
        self._tokenizer: Any = getattr(model, "tokenizer", None)
        self._start: Any = getattr(model[0], "auto_model", None) if model is not None else None
        if self._start is None or None in (
            getattr(self._tokenizer, "cls_token_id", None),
            getattr(self._tokenizer, "sep_token_id", None),
        ):
            raise untunable(encoder.name)
        self._limit = min(LONGEST, getattr(self._start.config, "max_position_embeddings", LONGEST))
        self._network: Any = None
        self._head: Any = None

    @property
    def trained(self) -> bool:
        """False where the drawn chains were all right or all wrong: there was nothing to learn."""
        return self._network is not None

    def fit(self, training: Training) -> Mapping[str, int]:
        """Learns; returns how many chains and steps of each kind there were, and how many were cut."""
        rows = [row for at in range(len(training.questions)) for row in self._rows(training, at)]
        about = {
            "chains": len(rows),
            "right": sum(row.right for row in rows),
            "gold": sum(chain is not None for chain in training.gold),
            "steps": sum(len(row.steps) for row in rows),
            "right_steps": sum(sum(row.steps) for row in rows),
            "cut": sum(row.cut for row in rows),
        }
        if training.mixed:
            self._train(rows)
        return about

    def score(self, question: str, chains: Sequence[Chain]) -> list[float]:
        """One number in (0, 1) a chain; 1 for all where nothing was learned."""
        import torch

        if not self.trained:
            return [1.0] * len(chains)
        scores: list[float] = []
        with torch.inference_mode():
            for start in range(0, len(chains), _SCORED):
                rows = [self._row(question, chain) for chain in chains[start : start + _SCORED]]
                scores += torch.sigmoid(self._logits(rows)[:, 0, 0]).tolist()
        return scores

    def _rows(self, training: Training, at: int) -> list[_Row]:
        """The annotated chain of a question and those drawn for it, with their labels."""
        question, paths = training.questions[at], training.paths(at)
        gold = [chain for chain in training.gold[at : at + 1] if chain is not None]
        labelled = [(chain, True) for chain in gold]
        labelled += list(zip(training.chains[at], training.right[at], strict=True))
        return [self._row(question, c, right, step_labels(c, paths)) for c, right in labelled]

    def _row(self, question: str, chain: Chain, right: bool = False, labels: Sequence[bool] = ()) -> _Row:
        ids, marks = [self._tokenizer.cls_token_id], []
        for text in [step.text for step in steps(chain)]:
            ids += [*self._ids(text), self._tokenizer.sep_token_id]
            marks.append(len(ids) - 1)
        ids += [*self._ids(question), self._tokenizer.sep_token_id]
        kept = tuple(mark for mark in marks if mark < self._limit)
        return _Row(
            tuple(ids[: self._limit]), kept, len(ids) > self._limit, right, tuple(labels[: len(kept)])
        )

    def _ids(self, text: str) -> list[int]:
        known = self._tokenizer(text, add_special_tokens=False, truncation=True, max_length=self._limit)
        return list(known["input_ids"])

    def _logits(self, rows: Sequence[_Row]) -> Any:
        """[rows, longest, 2]: of the chain (read at [CLS]), and of a step (read where it ends)."""
        import torch

        longest = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), longest), self._tokenizer.pad_token_id or 0)
        seen = torch.zeros((len(rows), longest), dtype=torch.long)
        for at, row in enumerate(rows):
            ids[at, : len(row.ids)] = torch.tensor(row.ids)
            seen[at, : len(row.ids)] = 1
        device = self._head.weight.device
        hidden = self._network(input_ids=ids.to(device), attention_mask=seen.to(device)).last_hidden_state
        return self._head(hidden)

    def _train(self, rows: Sequence[_Row]) -> None:
        """AdamW at one rate. No dropout and a seeded order: nothing is drawn from torch's own stream."""
        import torch
        from transformers.utils.logging import tqdm

        tuning, stream = self._tuning, np.random.default_rng(self._tuning.seed)
        self._network = copy.deepcopy(self._start).float().eval().requires_grad_(True)
        self._head = torch.nn.Linear(self._network.config.hidden_size, 2)
        with torch.no_grad():
            self._head.weight.copy_(torch.from_numpy(stream.normal(0, 0.02, tuple(self._head.weight.shape))))
            self._head.bias.zero_()
        self._head.to(next(self._network.parameters()).device)
        weights = [*self._network.parameters(), *self._head.parameters()]
        optimiser = torch.optim.AdamW(weights, lr=tuning.learning_rate, weight_decay=0.0)
        orders = [stream.permutation(len(rows)).tolist() for _ in range(tuning.epochs)]
        batches = [
            [rows[at] for at in order[start : start + tuning.batch_size]]
            for order in orders
            for start in range(0, len(rows), tuning.batch_size)
        ]
        for batch in tqdm(batches, "verifier: training", delay=_PATIENCE, leave=False, disable=None):
            loss = self._loss(batch)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, tuning.clip)
            optimiser.step()
        for weight in weights:
            weight.requires_grad_(False)

    def _loss(self, batch: Sequence[_Row]) -> Any:
        """Mean over chains of the chain's loss and `step_weight` times the sum of its steps' losses."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits as losses

        logits = self._logits(batch)
        device = logits.device
        right = torch.tensor([float(row.right) for row in batch], device=device)
        total = losses(logits[:, 0, 0], right, reduction="sum")
        places = [(at, mark) for at, row in enumerate(batch) for mark in row.marks]
        if self._step_weight > 0 and places:
            labels = torch.tensor([float(label) for row in batch for label in row.steps], device=device)
            at, mark = torch.tensor(places, device=device).T
            total = total + self._step_weight * losses(logits[at, mark, 1], labels, reduction="sum")
        return total / len(batch)
