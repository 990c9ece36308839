"""What a decoder's attention does at the last token of a prompt, and how probable the labels are behind
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from icl.mechanism.shared.gradient_descent.updates import Floats
from icl.mechanism.shared.heads import HeadReader, Seen
from icl.tuning.shared.forward import packed
from icl.tuning.shared.tokens import TokenRow

TOGETHER = 16
"""Prompts in one forward: what they share is forwarded once, what they do not see of one another is
wasted."""


@dataclass(frozen=True, slots=True, eq=False)
class LastToken:
    """All layers at the last token of a prompt."""

    outputs: Floats
    """[layers, hidden]: what the attention's output projection gives."""
    scores: Floats
    """[layers, heads, tokens]: what the softmax is taken of, for every token of the prompt. 0 where a layer's
    window ends before it."""
    labels: tuple[float, ...]
    """Log-probability of each label's text behind the prompt."""


@torch.inference_mode()
def last_tokens(reader: HeadReader, prompts: Sequence[Sequence[TokenRow]]) -> list[LastToken]:
    """Of each prompt; it is given as a row a label, whose learned tokens are the label's."""
    longest = max(len(row.ids) for rows in prompts for row in rows)
    narrow = any(window is not None and window < longest for window in reader.trunk.windows.values())
    if narrow:  # of a layer: its window goes by places, which in one sequence of several texts are others
        return [_alone(reader, rows) for rows in prompts]
    groups = [prompts[at : at + TOGETHER] for at in range(0, len(prompts), TOGETHER)]
    return [seen for group in groups for seen in _together(reader, group)]


def _together(reader: HeadReader, prompts: Sequence[Sequence[TokenRow]]) -> list[LastToken]:
    rows = [row for labels in prompts for row in labels]
    pack = packed(rows)
    device = reader.trunk.device
    paths = iter(pack.paths)
    ends = [[next(paths) for _ in labels] for labels in prompts]
    last = [paths[0][labels[0].start - 1] for paths, labels in zip(ends, prompts, strict=True)]
    closed = torch.from_numpy(~pack.seen).to(device)[None]
    given: dict[str, Any] = {
        "blocked": dict.fromkeys(range(reader.layers), closed),
        "positions": torch.from_numpy(pack.depth).to(device),
    }
    outputs, scores, hidden = _forward(reader, pack.tokens.tolist(), [int(at) for at in last], given)
    found = []
    for n, labels in enumerate(prompts):
        before = torch.from_numpy(ends[n][0][: labels[0].start])
        own = scores[:, :, n].index_select(-1, before)
        chances = [_logprob(reader, hidden, p, row) for p, row in zip(ends[n], labels, strict=True)]
        found.append(LastToken(_numbers(outputs[:, n]), _numbers(own), tuple(chances)))
    return found


def _alone(reader: HeadReader, labels: Sequence[TokenRow]) -> LastToken:
    """A forward a label; what is seen at the last token of the prompt is the same in each."""
    chances = []
    for row in labels:
        outputs, scores, hidden = _forward(reader, row.ids[:-1], [labels[0].start - 1], {})
        chances.append(_logprob(reader, hidden, np.arange(len(row.ids) - 1), row))
    return LastToken(_numbers(outputs[:, 0]), _numbers(scores[:, :, 0, : labels[0].start]), tuple(chances))


def _forward(
    reader: HeadReader, ids: Sequence[int], rows: list[int], given: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """(outputs [L, R, d], scores [L, H, R, S], hidden states [S, d]); rows [R]: where to look."""
    outputs: list[Tensor] = []
    scores: list[list[Tensor]] = [[] for _ in range(reader.layers)]
    order = list(dict.fromkeys(rows))
    places = [order.index(row) for row in rows]

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs.append(output.reshape(-1, output.shape[-1])[rows].float().cpu())

    def look(seen: Seen) -> None:
        scores[seen.layer].append(seen.scores[0].nan_to_num(neginf=0.0).cpu())

    hooks = [projection.register_forward_hook(keep) for projection in reader.projections]
    try:
        tokens = torch.tensor([list(ids)], device=reader.trunk.device)
        hidden = reader.forward(tokens, look, rows=rows, **given)
    finally:
        for hook in hooks:
            hook.remove()
    joined = torch.stack([torch.cat(parts, dim=1) for parts in scores])
    return torch.stack(outputs), joined[:, :, places], hidden[0]


def _logprob(reader: HeadReader, hidden: Tensor, path: np.ndarray, row: TokenRow) -> float:
    logits = reader.logits(hidden[torch.from_numpy(path[row.start - 1 :])])
    targets = torch.tensor(row.ids[row.start :], device=logits.device)
    picked = logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)
    return float(picked.sum())


def _numbers(values: Tensor) -> Floats:
    return np.asarray(values.numpy(), dtype=np.float64)
