"""A transformers decoder as a function of packed rows, its attention replaced by ours.

The hook is transformers' own `AttentionInterface`. It is registered once, under a name that no
library looks for, and switched on only while a call of ours runs: a plain forward of the same
model before and after gives the same numbers.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.trunks.windows import masked_windows
from icl.errors import ModelError

NAME = "icl_trie"


KNOWN_KEYWORDS = frozenset(
    {"sliding_window", "softcap", "s_aux"}  # used
    | {
        "position_ids",
        "position_embeddings",
        "cache_position",
        "layer_idx",
        "is_causal",
    }  # known from the plan
    | {"use_cache", "past_key_values", "head_mask"}  # off
    | {"output_attentions", "output_hidden_states", "return_dict"}  # off
)


_active: list[tuple[Attend, dict[int, int | None]]] = []
"""The attention of each call that runs, and the windows that the model's masks have, by layer."""


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers calls once a layer; q [1, H, T, D] after rotary, out [1, T, H, D]."""
    if not _active:
        raise ModelError(f"the attention {NAME!r} works only inside the trie engine")
    unknown = {k for k, v in kwargs.items() if v is not None} - KNOWN_KEYWORDS
    if unknown:
        raise ModelError(
            f"{type(module).__name__} passes {sorted(unknown)} to its attention, which icl does not know"
        )
    if attention_mask is not None:
        raise ModelError(f"{type(module).__name__} makes an attention mask of its own")
    attend, windows = _active[-1]
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    call = LayerCall(
        layer=layer,
        scaling=scaling if scaling is not None else 1.0 / math.sqrt(query.shape[-1]),
        window=windows.get(layer, kwargs.get("sliding_window")),
        softcap=kwargs.get("softcap"),
        sinks=kwargs.get("s_aux"),
    )
    out = attend(query[0], key[0], value[0], call)
    return out.transpose(0, 1)[None].contiguous(), None


AttentionInterface.register(NAME, _attention)


class HookedTrunk:
    """Every decoder of transformers that uses the attention interface."""

    engine = "trie engine"

    def __init__(self, model: Any) -> None:
        if not model._can_set_attn_implementation():
            # set_attn_implementation would only warn, and the model see the whole chunk as one text
            raise ModelError(
                f"{type(model).__name__} does not use the attention interface of transformers; "
                "icl.engine.rungs.ladder.choose_engine finds what can run it"
            )
        self.model = model
        self.decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
        self.head: nn.Module = model.get_output_embeddings()
        self.config = model.config.get_text_config()
        self._windows: dict[int, int | None] | None = None

    @property
    def windows(self) -> dict[int, int | None]:
        """The window of each layer's own mask: the word that counts, as some models tell their attention
        nothing of it. Found out once, by a forward of one token."""
        if self._windows is None:
            self._windows = masked_windows(self.model, self.decoder, self.device)
        return self._windows

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(next(self.model.parameters()).device)

    @contextlib.contextmanager
    def switched(self, attend: Attend) -> Iterator[None]:
        """The model with `attend` for its attention; outside of inference mode gradients go through it."""
        windows = self.windows
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation(NAME)
        _active.append((attend, windows))
        try:
            yield
        finally:
            _active.pop()
            self.model.set_attn_implementation(before)

    @torch.inference_mode()
    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden states [T, d] after the final norm of rows tokens[T] at positions[T]."""
        with self.switched(attend):
            output = self.decoder(
                input_ids=tokens[None], position_ids=positions[None], use_cache=False, past_key_values=None
            )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    @torch.inference_mode()
    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """See Trunk."""
        return after_head(self.config, head_product(self.head, hidden, tokens).float())


def after_head(config: Any, logits: Tensor) -> Tensor:
    """What a model does to its logits after the head, by its configuration."""
    scale = getattr(config, "logit_scale", None)
    if scale is not None:  # Cohere
        logits = logits * scale
    divide = getattr(config, "logits_scaling", None)
    if divide is not None:  # Granite
        logits = logits / divide
    cap = getattr(config, "final_logit_softcapping", None)
    if cap is not None:  # Gemma 2
        logits = torch.tanh(logits / cap) * cap
    return logits


def head_product(head: nn.Module, hidden: Tensor, tokens: Tensor | None) -> Tensor:
    """hidden [n, d] through the head: [n, V], or [n, m] of the tokens [m], reading only their rows."""
    if tokens is None:
        return head(hidden)  # type: ignore[no-any-return]
    if type(head) is not nn.Linear:
        return head(hidden)[:, tokens]  # type: ignore[no-any-return]
    bias = None if head.bias is None else head.bias[tokens]
    return nn.functional.linear(hidden, head.weight[tokens], bias)
