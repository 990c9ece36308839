"""Log-probabilities over a trie: every shared token is forwarded once, in one chunk.

The tokens that are scored are known before the first forward, so each chunk's hidden states meet
the head only at the rows that predict something asked, and are then forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.requests.encoding import EncodedScore
from icl.engine.requests.finite import NotFinite
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import Int, as_arrays, build_trie
from icl.types import TokenIds


class Logits(Protocol):
    """Hidden states [n, d] -> fp32 logits [n, V], or [n, m] of the m tokens asked."""

    def __call__(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor: ...


HEAD_ROWS = 128
"""Rows that meet the head at once: bounds the [rows, vocabulary] logits."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Which (row, token) pairs are asked, sorted by row, and where each answer goes."""

    rows: Int
    tokens: Int
    slots: Int
    """Index into the flat list of all scored tokens, request by request."""
    last_row: Int
    """For each request, the largest row it waits for."""
    requests: Int
    """Index of the request that asks for each pair."""
    relative: NDArray[np.bool_]
    """Whether the pair is only compared with the others of its request."""


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """Everything about a batch of score requests that does not need the model."""

    layout: Layout
    targets: Targets
    offsets: tuple[tuple[int, ...], ...]
    """offsets[request][continuation]: first slot; lengths follow from the request."""
    unique: Int
    """Rows that each request added to the trie: its marginal cost in this batch."""


def plan_scores(requests: Sequence[EncodedScore], root: TokenIds = ()) -> ScorePlan:
    """The trie of all sequences (less each one's last token) and the rows that must be scored.

    root: ids that stand before every text and are not forwarded.
    """
    owners: list[tuple[int, int]] = []
    sequences = []
    offsets: list[tuple[int, ...]] = []
    slot = 0
    for r, request in enumerate(requests):
        first = []
        for continuation in request.continuations:
            owners.append((r, slot))
            sequences.append((*root, *request.prompt, *continuation[:-1]))
            first.append(slot)
            slot += len(continuation)
        offsets.append(tuple(first))
    trie = build_trie(as_arrays(sequences))
    layout = Layout(trie)
    rows = np.empty(slot, dtype=np.int64)
    tokens = np.empty(slot, dtype=np.int64)
    asked_by = np.empty(slot, dtype=np.int64)
    last_row = np.zeros(len(requests), dtype=np.int64)
    unique = np.zeros(len(requests), dtype=np.int64)
    flat_continuations = [c for request in requests for c in request.continuations]
    for s, path in layout.path_rows():
        index = int(trie.order[s])
        r, first_slot = owners[index]
        continuation = flat_continuations[index]
        scored = path[len(root) + len(requests[r].prompt) - 1 :]
        rows[first_slot : first_slot + len(scored)] = scored
        tokens[first_slot : first_slot + len(scored)] = continuation
        asked_by[first_slot : first_slot + len(scored)] = r
        last_row[r] = max(last_row[r], int(scored[-1]))
        unique[r] += int(trie.starts[s + 1] - max(trie.starts[s], len(root)))
    by_row = np.argsort(rows, kind="stable")
    relative = np.array([r.relative for r in requests], dtype=np.bool_)[asked_by[by_row]]
    targets = Targets(rows[by_row], tokens[by_row], by_row, last_row, asked_by[by_row], relative)
    return ScorePlan(layout, targets, tuple(offsets), unique)


def score_rows(
    hidden: Tensor, first: int, targets: Targets, logits: Logits, out: NDArray[np.float64]
) -> None:
    """Fills out[slot] for every target whose row is in first .. first + len(hidden).

    Raises NotFinite naming the first request that would get a number that is not finite.
    """
    low, high = (int(n) for n in np.searchsorted(targets.rows, [first, first + len(hidden)]))
    relative = targets.relative[low:high]
    _score_all(hidden, first, targets, low + np.flatnonzero(~relative), logits, out)
    _score_relative(hidden, first, targets, low + np.flatnonzero(relative), logits, out)


def _score_all(
    hidden: Tensor, first: int, targets: Targets, pairs: Int, logits: Logits, out: NDArray[np.float64]
) -> None:
    """Log-probabilities over the whole vocabulary; a row that several pairs ask for meets the head once."""
    rows, inverse = np.unique(targets.rows[pairs] - first, return_inverse=True)
    for a in range(0, len(rows), HEAD_ROWS):
        b = min(a + HEAD_ROWS, len(rows))
        scores = logits(hidden[torch.from_numpy(rows[a:b]).to(hidden.device)])
        here = np.flatnonzero((inverse >= a) & (inverse < b))
        which = torch.from_numpy(inverse[here] - a).to(scores.device)
        token = torch.from_numpy(targets.tokens[pairs[here]]).to(scores.device)
        values = scores[which, token] - torch.logsumexp(scores, dim=-1)[which]
        _keep(values, targets, pairs[here], out)


def _score_relative(
    hidden: Tensor, first: int, targets: Targets, pairs: Int, logits: Logits, out: NDArray[np.float64]
) -> None:
    """Log-probabilities over the continuations of each request: no product with the vocabulary.

    Requests with the same continuations, as those of a task with labels have, go together.
    """
    asked: dict[int, list[int]] = {}
    for pair in pairs.tolist():
        asked.setdefault(int(targets.requests[pair]), []).append(pair)
    alike: dict[tuple[int, ...], list[list[int]]] = {}
    for mine in asked.values():
        mine.sort(key=targets.slots.__getitem__)  # the order of the request's continuations
        alike.setdefault(tuple(targets.tokens[mine].tolist()), []).append(mine)
    for tokens, found in alike.items():
        rows = torch.tensor([int(targets.rows[mine[0]]) - first for mine in found], device=hidden.device)
        scores = logits(hidden[rows], torch.tensor(tokens, device=hidden.device))
        values = torch.log_softmax(scores, dim=-1).flatten()
        _keep(values, targets, np.array(found, dtype=np.int64).ravel(), out)


def _keep(values: Tensor, targets: Targets, pairs: Int, out: NDArray[np.float64]) -> None:
    found = values.float().double().cpu().numpy()
    finite = np.isfinite(found)
    if not finite.all():
        at = int(np.argmin(finite))
        raise NotFinite(
            f"score request {targets.requests[pairs[at]]}",
            f"the log-probability of token {targets.tokens[pairs[at]]} is {found[at]}",
        )
    out[targets.slots[pairs]] = found
