"""Which window the mask of each layer has.

A model's own attention may never hear of its sliding window: the mask that comes with the call holds it (as
in PhiMoE and Qwen2-MoE). An engine that makes its own masks must know it all the same. So one token is run
with masks that say what they would be, and each layer's attention notes which one it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from icl.errors import ModelError

NAME = "icl_windows"
NO_WINDOW = -1
STRANGE = -2

_notes: list[dict[int, int | None]] = []


def _mask(
    *_: Any,
    mask_function: Callable[..., Any],
    local_size: int | None = None,
    use_vmap: bool = False,
    **__: Any,
) -> Tensor:
    """In the place of a mask: its window, as one number of a type that no mask has."""
    window = NO_WINDOW if local_size is None else int(local_size)
    if use_vmap or not _is_causal(mask_function, local_size):
        window = STRANGE  # no matter, unless a layer is given it
    return torch.full((1, 1, 1, 1), window, dtype=torch.int32)


def _is_causal(sees: Callable[..., Any], window: int | None) -> bool:
    """Does the mask function let a row see what is not after it and less than `window` before it?"""
    edge = 7 if window is None else window
    places = sorted(
        {0, 1, 2, 5, max(edge - 1, 0), edge, edge + 1, 2 * edge, 2 * edge + 1, 3 * edge + 2, 1000}
    )
    rows = torch.tensor(places)[:, None]
    keys = torch.tensor(places)[None]
    zero = torch.zeros((), dtype=torch.long)
    expected = (keys <= rows) & (rows - keys < (1 << 40 if window is None else window))
    return bool(torch.equal(torch.as_tensor(sees(zero, zero, rows, keys)).expand_as(expected), expected))


def _note(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any
) -> tuple[Tensor, None]:
    """Remembers the mask; of one token the attention is its value."""
    if attention_mask is not None:
        if attention_mask.dtype != torch.int32 or attention_mask.numel() != 1:
            raise ModelError(f"{type(module).__name__} makes an attention mask of its own")
        window = int(attention_mask)
        if window == STRANGE:
            raise ModelError(
                f"{type(module).__name__} has a mask that is neither causal nor a sliding window"
            )
        _notes[-1][int(module.layer_idx)] = None if window == NO_WINDOW else window  # type: ignore[arg-type]
    return value.repeat_interleave(query.shape[1] // value.shape[1], dim=1).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _note)
AttentionMaskInterface.register(NAME, _mask)


@torch.inference_mode()
def masked_windows(model: Any, decoder: Any, device: torch.device) -> dict[int, int | None]:
    """Layer -> window of its mask, None for a plain causal one; layers that are given no mask are left out.

    Raises ModelError for a mask of another kind.
    """
    before = model.config._attn_implementation
    token = torch.zeros((1, 1), dtype=torch.long, device=device)
    model.set_attn_implementation(NAME)
    _notes.append({})
    try:
        decoder(input_ids=token, position_ids=token, use_cache=False, past_key_values=None)
        return _notes[-1]
    finally:
        _notes.pop()
        model.set_attn_implementation(before)
