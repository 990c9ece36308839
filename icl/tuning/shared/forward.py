"""Log-probabilities of what rows are to learn, with gradients.

Two layouts of a batch. "trie": the rows' tokens in depth-first preorder as one sequence, each seeing its own
path only, so that what rows share - an instruction, demonstrations - is forwarded and gone back through once.
"padded": one row a text, for networks whose attention takes no mask of ours. `choose_layout` compares the two
on real rows before the first step.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.trie.preorder import as_arrays, build_trie, subtree_ends
from icl.training import GivenKeysValues, Network, Root, VirtualTokens
from icl.tuning.shared.tokens import TokenRow

log = logging.getLogger("icl")

Layout = Literal["trie", "padded"]
TOLERANCE = 2e-3
"""Largest difference of a log-probability between the layouts in fp32."""


def token_logprobs(
    network: Network, rows: Sequence[TokenRow], root: Root | None = None, layout: Layout = "trie"
) -> list[Tensor]:
    """For each row [learned] fp32 natural log-probabilities of its learned tokens, in order."""
    return (_trie if layout == "trie" else _padded)(network, rows, root)


def virtual_length(root: Root | None) -> int:
    """Tokens that are forwarded before each text: given keys and values are not."""
    return root.length if isinstance(root, VirtualTokens) else 0


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Texts without their last tokens as one sequence of T tokens, depth first: what they share stands there
    once."""

    tokens: NDArray[np.int64]
    """[T]."""
    depth: NDArray[np.int64]
    """[T]: positions in the texts."""
    end: NDArray[np.int64]
    """[T]: just past the last token that sees this one."""
    paths: tuple[NDArray[np.int64], ...]
    """Of each text the places of its tokens."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """[T, T]: whether a token (row) sees another (column)."""
        at = np.arange(len(self.tokens))
        return np.asarray((at[None] <= at[:, None]) & (at[:, None] < self.end[None]))


def packed(rows: Sequence[TokenRow]) -> Packed:
    """Rows in one sequence."""
    trie = build_trie(as_arrays([row.ids[:-1] for row in rows]))
    depth = np.empty(trie.rows, dtype=np.int64)
    tokens = np.empty(trie.rows, dtype=np.int64)
    paths = [np.empty(0, dtype=np.int64)] * len(rows)
    path = np.empty(trie.depth, dtype=np.int64)
    for s, index in enumerate(trie.order):
        shared, length = int(trie.shared[s]), int(trie.lengths[s])
        own = slice(int(trie.starts[s]), int(trie.starts[s + 1]))
        depth[own] = np.arange(shared, length)
        tokens[own] = trie.sequences[index][shared:]
        path[shared:length] = np.arange(own.start, own.stop)
        paths[index] = path[:length].copy()
    return Packed(tokens, depth, subtree_ends(trie), tuple(paths))


def _trie(network: Network, rows: Sequence[TokenRow], root: Root | None) -> list[Tensor]:
    device = network.device
    trie = packed(rows)
    places = [path[row.start - 1 :] for path, row in zip(trie.paths, rows, strict=True)]
    mask = torch.from_numpy(trie.seen).to(device)[None, None]
    ids = torch.from_numpy(trie.tokens).to(device)[None]
    positions = torch.from_numpy(trie.depth).to(device)[None]
    wanted, which = np.unique(np.concatenate(places), return_inverse=True)
    logits = _logits(network, ids, positions, mask, root, torch.from_numpy(wanted).to(device))[0]
    targets = torch.tensor([t for row in rows for t in row.ids[row.start :]], device=device)
    picked = _picked(logits[torch.from_numpy(which).to(device)], targets)
    return list(torch.split(picked, [row.learned for row in rows]))


def _padded(network: Network, rows: Sequence[TokenRow], root: Root | None) -> list[Tensor]:
    """Texts of one length side by side, others filled up on the left."""
    device = network.device
    width = max(len(row.ids) for row in rows) - 1
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    real = torch.zeros((len(rows), width), dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, width - len(row.ids) + 1 :] = torch.tensor(row.ids[:-1])
        real[at, width - len(row.ids) + 1 :] = True
    ids, real = ids.to(device), real.to(device)
    positions = (real.long().cumsum(1) - 1).clamp(min=0)
    keep = max(row.learned for row in rows)
    logits = _logits(network, ids, positions, real, root, torch.arange(width - keep, width, device=device))
    out = []
    for at, row in enumerate(rows):
        targets = torch.tensor(row.ids[row.start :], device=device)
        out.append(_picked(logits[at, keep - row.learned :], targets))
    return out


def _picked(logits: Tensor, targets: Tensor) -> Tensor:
    """log softmax at the targets, in fp32."""
    wide = logits.float()
    return wide.gather(-1, targets[:, None])[:, 0] - wide.logsumexp(-1)


def _logits(
    network: Network, ids: Tensor, positions: Tensor, mask: Tensor, root: Root | None, keep: Tensor
) -> Tensor:
    """[batch, len(keep), V] at the columns `keep` of ids [batch, T]. mask: [batch, T] real tokens, or
    [1, 1, T, T] who sees whom."""
    given: dict[str, Any] = {"use_cache": False}
    count = 0 if root is None else root.length
    batch = len(ids)
    if isinstance(root, VirtualTokens):
        virtual = root.embeddings.to(network.dtype)
        embedded = network.get_input_embeddings()(ids)
        if mask.ndim == 4:
            given["inputs_embeds"] = torch.cat([virtual[None], embedded], dim=1)
            positions = torch.cat([torch.arange(count, device=ids.device)[None], positions + count], dim=1)
            mask = _with_root(mask, count, rows_too=True)
        else:
            given["inputs_embeds"], mask, positions = _virtual_padded(virtual, embedded, mask)
        keep = keep + count
    else:
        given["input_ids"] = ids
        if isinstance(root, GivenKeysValues):
            given |= {"past_key_values": _cache(network, root, batch), "use_cache": True}
            positions = positions + count
            mask = (
                _with_root(mask, count, rows_too=False)
                if mask.ndim == 4
                else torch.cat([mask.new_ones((batch, count)), mask], dim=1)
            )
    if mask.ndim == 4:
        low = torch.finfo(network.dtype).min
        mask = torch.zeros(mask.shape, dtype=network.dtype, device=mask.device).masked_fill(~mask, low)
    accepted = inspect.signature(network.forward).parameters
    if "position_ids" in accepted:
        given["position_ids"] = positions
    if "logits_to_keep" in accepted:
        return network(attention_mask=mask, logits_to_keep=keep, **given).logits  # type: ignore[no-any-return]
    return network(attention_mask=mask, **given).logits[:, keep]  # type: ignore[no-any-return]


def _with_root(mask: Tensor, count: int, *, rows_too: bool) -> Tensor:
    """Everybody sees the root; its own rows, where it has some, see one another causally."""
    length = mask.shape[-1]
    whole = torch.cat([mask.new_ones((1, 1, length, count)), mask], dim=-1)
    if not rows_too:
        return whole
    own = torch.cat([mask.new_ones((count, count)).tril(), mask.new_zeros((count, length))], dim=-1)[
        None, None
    ]
    return torch.cat([own, whole], dim=-2)


def _virtual_padded(virtual: Tensor, embedded: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, mask and positions with the virtual tokens right before each text, after its filling."""
    batch, width, _ = embedded.shape
    count = len(virtual)
    fill = (~real).sum(1)
    column = torch.arange(width + count, device=real.device)[None].expand(batch, -1)
    inside = (column >= fill[:, None]) & (column < fill[:, None] + count)
    source = torch.where(column < fill[:, None], column, column - count).clamp(min=0)
    text = embedded.gather(1, source[..., None].expand(-1, -1, embedded.shape[-1]))
    own = virtual[(column - fill[:, None]).clamp(0, count - 1)]
    mask = column >= fill[:, None]
    return torch.where(inside[..., None], own, text), mask, (mask.long().cumsum(1) - 1).clamp(min=0)


def _cache(network: Network, root: GivenKeysValues, batch: int) -> Any:
    from transformers import DynamicCache

    cache = DynamicCache(config=network.config)
    for layer, (keys, values) in enumerate(zip(root.keys, root.values, strict=True)):
        keys, values = (x.to(network.dtype)[None].expand(batch, -1, -1, -1) for x in (keys, values))
        cache.update(keys, values, layer)
    return cache


@torch.no_grad()
def choose_layout(network: Network, rows: Sequence[TokenRow], root: Root | None) -> tuple[Layout, str]:
    """The trie where it gives what padded texts give on these rows, else "padded" and why."""
    config = network.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    longest = max(len(row.ids) for row in rows) + (0 if root is None else root.length)
    if window and longest > window and getattr(config, "use_sliding_window", True):
        return "padded", f"texts of {longest} tokens are longer than its window of {window}"
    try:
        plain = token_logprobs(network, rows, root, "padded")
        packed = token_logprobs(network, rows, root, "trie")
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        return "padded", f"its forward takes no mask of ours ({str(error).splitlines()[0][:100]})"
    off = max(float((a - b).abs().max()) for a, b in zip(plain, packed, strict=True))
    allowed = TOLERANCE if network.dtype == torch.float32 else 0.5
    if not off <= allowed:
        return "padded", f"packed rows differ from padded ones by {off:.1e}"
    return "trie", ""
