"""Choosing the next token, with randomness that belongs to the sample and to nothing else.

Sample i of a prompt draws u_0, u_1, ... from a counter-based stream keyed by (seed, prompt,
i). The draw at step t is the inverse of the cumulative distribution at u_t: beside the logits nothing
of the batch has a part in it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from icl.engine.native import draws
from icl.engine.requests.finite import NotFinite, shortened
from icl.types import GenerateRequest, TokenIds

STEPS_AT_ONCE = 64
BLOCK = 256
"""Tokens of the vocabulary whose weights are summed before the draw looks inside."""


class UniformStream:
    """u_0, u_1, ... in [0, 1) of one sample: Philox, keyed by what the sample is."""

    def __init__(self, seed: int, prompt: TokenIds, sample: int) -> None:
        body = np.asarray(prompt, dtype=np.int32).tobytes()
        digest = hashlib.blake2b(body, digest_size=16, salt=b"icl-sample", key=f"{seed}:{sample}".encode())
        self._generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))
        self._buffer: list[float] = []

    def __next__(self) -> float:
        if not self._buffer:
            self._buffer = self._generator.random(STEPS_AT_ONCE).tolist()[::-1]
        return self._buffer.pop()

    def give_back(self, u: float) -> None:
        """The last number drawn comes again: what it was drawn for did not happen."""
        self._buffer.append(u)


def banned_tokens(context: Sequence[int], size: int) -> list[int]:
    """Tokens that would complete an n-gram of `size` that `context` already holds."""
    if size <= 0 or len(context) < size:
        return []
    tail = tuple(context[len(context) - size + 1 :])
    last = len(context) - size
    return [context[i + size - 1] for i in range(last + 1) if tuple(context[i : i + size - 1]) == tail]


def draw_batch(
    logits: Tensor,
    requests: Sequence[GenerateRequest],
    uniforms: Sequence[UniformStream],
    contexts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]] = (),
) -> list[tuple[int, float]]:
    """For each row of logits [B, V] (fp32) a token and its log-probability under the model itself.

    One of a request's `template_ids` that is the most likely of all is taken whatever was drawn; the
    number drawn is used up, so that the draws after it are those of their steps.
    `contexts[b]`: prompt and output so far where n-grams may not repeat; empty elsewhere. `written[b]`: the
    output so far, needed where tokens of it are penalised. Rows with the same settings are drawn together; a
    row's draw does not depend on which.

    Raises NotFinite, quoting the prompt, where the logits have no finite log-sum-exp.
    """
    taken: list[tuple[UniformStream, float]] = []
    try:
        return _drawn(logits, requests, uniforms, contexts, written, taken)
    except BaseException:  # out of memory: tried again with fewer rows, from the same numbers
        for stream, u in reversed(taken):
            stream.give_back(u)
        raise


def _drawn(
    logits: Tensor,
    requests: Sequence[GenerateRequest],
    uniforms: Sequence[UniformStream],
    contexts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    taken: list[tuple[UniformStream, float]],
) -> list[tuple[int, float]]:
    """See draw_batch; what is drawn from a stream is noted in `taken`."""
    banned = [_banned(request, contexts[b]) for b, request in enumerate(requests)]
    drawn = [0.0] * len(requests)
    for b, request in enumerate(requests):
        if request.temperature != 0:
            drawn[b] = next(uniforms[b])
            taken.append((uniforms[b], drawn[b]))
    choose = _by_kernels if draws.covers(logits) else _by_torch
    changed = [
        b for b, r in enumerate(requests) if (r.presence_penalty or r.frequency_penalty) and written[b]
    ]
    chosen, likeliest, lse = choose(_penalised(logits, requests, written, changed), requests, drawn, banned)
    if changed:  # what is said of the model is said of its own logits
        lse[changed] = torch.logsumexp(logits[changed].double(), dim=-1).to(lse.dtype)
        likeliest[changed] = torch.argmax(logits[changed], dim=-1)
    finite = torch.isfinite(lse)
    if not finite.all():
        prompt = requests[int(torch.argmin(finite.int()))].prompt
        raise NotFinite(f"generate request with the prompt {shortened(prompt)}", "its logits are not finite")
    for b, request in enumerate(requests):
        if request.template_ids and int(likeliest[b]) in request.template_ids:
            chosen[b] = likeliest[b]
    logprobs = (logits.gather(1, chosen[:, None])[:, 0] - lse).float().tolist()
    return list(zip(chosen.tolist(), logprobs, strict=True))


def _penalised(
    logits: Tensor,
    requests: Sequence[GenerateRequest],
    written: Sequence[Sequence[int]],
    changed: Sequence[int],
) -> Tensor:
    """The logits, in the rows `changed` with what is taken off tokens that were written: presence_penalty
    once, frequency_penalty as often as it was."""
    if not changed:
        return logits
    penalised = logits.clone()
    for b in changed:
        counts = Counter(written[b])
        ids = torch.tensor(list(counts), device=logits.device)
        times = torch.tensor(list(counts.values()), dtype=logits.dtype, device=logits.device)
        penalised[b, ids] -= requests[b].presence_penalty + requests[b].frequency_penalty * times
    return penalised


def _banned(request: GenerateRequest, context: Sequence[int]) -> list[int]:
    """Tokens that would repeat an n-gram; those of the template may."""
    banned = banned_tokens(context, request.no_repeat_ngram)
    return [token for token in banned if token not in request.template_ids]


Choice = tuple[Tensor, Tensor, Tensor]
"""Tokens drawn [B], the most likely ones [B], log-sum-exps [B]."""


def _by_kernels(
    logits: Tensor, requests: Sequence[GenerateRequest], drawn: Sequence[float], banned: Sequence[list[int]]
) -> Choice:
    settings = [(r.temperature, r.top_k, r.top_p, u) for r, u in zip(requests, drawn, strict=True)]
    return draws.draw_tokens(logits, settings, banned)


def _by_torch(
    logits: Tensor, requests: Sequence[GenerateRequest], drawn: Sequence[float], banned: Sequence[list[int]]
) -> Choice:
    """The same, rows of the same settings together."""
    lse, likeliest = torch.logsumexp(logits, dim=-1), torch.argmax(logits, dim=-1)
    allowed = logits.clone() if any(banned) else logits
    groups: dict[tuple[float, int, float], list[int]] = {}
    for b, request in enumerate(requests):
        if banned[b]:
            allowed[b, banned[b]] = -torch.inf
        groups.setdefault((request.temperature, request.top_k, request.top_p), []).append(b)
    chosen = torch.empty(len(requests), dtype=torch.long, device=logits.device)
    if not torch.isfinite(lse).all():
        return chosen, likeliest, lse
    for (temperature, top_k, top_p), rows in groups.items():
        part = allowed if len(rows) == len(requests) else allowed[rows]
        if temperature == 0:
            chosen[rows] = torch.argmax(part, dim=-1)
            continue
        u = torch.tensor([drawn[b] for b in rows], dtype=torch.float64, device=logits.device)
        chosen[rows] = draw(part, u, temperature, top_k, top_p)
    return chosen, likeliest, lse


def draw(logits: Tensor, u: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Inverse CDF at u [n] in [0, 1) of softmax(logits [n, V] / temperature), truncated: token ids [n].

    With a truncation the candidates stand by falling probability, without one by token id.
    """
    if 0 < top_k < logits.shape[-1] or top_p < 1.0:
        count = min(top_k, logits.shape[-1]) if top_k > 0 else logits.shape[-1]
        values, ids = torch.topk(logits, count, dim=-1)
        weights = torch.softmax(values.double() / temperature, dim=-1)
        if top_p < 1.0:  # the nucleus: every token before which less than top_p has been gathered
            weights = torch.where(torch.cumsum(weights, dim=-1) - weights < top_p, weights, 0.0)
        return ids.gather(1, _invert(weights, u)[:, None])[:, 0]
    peak = logits.amax(dim=-1, keepdim=True)
    weights = torch.sub(logits, peak).div_(temperature).exp_()
    if missing := -weights.shape[-1] % BLOCK:
        weights = torch.nn.functional.pad(weights, (0, missing))
    blocks = weights.view(len(weights), -1, BLOCK)
    # first the block of the vocabulary that u falls into, then the token in it: no long cumulative sum
    sums = blocks.sum(dim=-1).double()
    block = _invert(sums, u)
    before = (torch.cumsum(sums, dim=-1) - sums).gather(1, block[:, None])[:, 0]
    inside = blocks[torch.arange(len(blocks), device=logits.device), block].double()
    rest = (u * sums.sum(dim=-1) - before) / inside.sum(dim=-1)
    return block * BLOCK + _invert(inside, rest.clamp(0.0, 1.0))


def _invert(weights: Tensor, u: Tensor) -> Tensor:
    """First index whose cumulative weight exceeds u * total, never one of weight 0; weights [n, m]."""
    cumulative = torch.cumsum(weights, dim=-1)
    index = torch.searchsorted(cumulative, (u * cumulative[:, -1])[:, None], right=True)[:, 0]
    last = weights.shape[-1] - 1 - torch.argmax((weights.flip(-1) > 0).byte(), dim=-1)
    return torch.minimum(index, last)
