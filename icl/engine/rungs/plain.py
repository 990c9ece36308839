"""The reference of everything: one forward of the network over one text, without a cache.

What stands between `network(ids)` and the logits of that text alone is taken care of here: a root, virtual
tokens that peft puts before it, and rotary frequencies that a longer text has left behind.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from icl.engine.rungs.root import PlantedRoot
from icl.errors import ModelError


def plain_logits(network: Any, ids: Sequence[int], root: PlantedRoot | None = None, **options: Any) -> Tensor:
    """[T, V] fp32 logits of one text, behind `root` where there is one.

    Raises ModelError where the network does not give one row a token."""
    tokens = torch.tensor([list(ids)], device=network.device)
    forget_longer_texts(network)
    given, first = ({"input_ids": tokens}, virtual_tokens(network)) if root is None else root.before(tokens)
    output = network(**without_cache(network) | given, **options)
    logits: Tensor = output.logits[0]
    before = len(logits) - len(ids)
    if before not in (0, first):
        raise ModelError(f"{type(network).__name__} gives {len(logits)} rows of logits for {len(ids)} tokens")
    return logits[before:].float()


def without_cache(network: Any) -> dict[str, Any]:
    """The argument that asks for no cache, where the network takes it."""
    return {"use_cache": False} if takes(network, "use_cache") else {}


def takes(network: Any, argument: str) -> bool:
    """May `argument` be given to the network's forward by name?"""
    parameters = inspect.signature(network.forward).parameters.values()
    return any(p.name == argument or p.kind is p.VAR_KEYWORD for p in parameters)


def virtual_tokens(network: Any) -> int:
    """Rows that peft's prompt learning (prompt tuning, p-tuning, prefix tuning) puts before every text."""
    adapter = getattr(network, "active_peft_config", None)
    if adapter is None or not getattr(adapter, "is_prompt_learning", False):
        return 0
    return int(adapter.num_virtual_tokens)


def outside_the_layers(network: Any) -> str:
    """What a wrapper of peft's does that is not within the layers, so that running them is not enough."""
    adapter = getattr(network, "active_peft_config", None)
    if adapter is None:
        return ""
    kind = getattr(adapter.peft_type, "value", adapter.peft_type)
    if virtual_tokens(network):
        return f"peft ({kind}) puts {virtual_tokens(network)} virtual tokens before every text"
    if getattr(adapter, "alora_invocation_tokens", None):
        return f"peft ({kind}) switches its adapter on at a token of the text"
    return ""


def forget_longer_texts(network: Any) -> None:
    """Rotary frequencies as they are for a short text.

    transformers' dynamic scaling keeps those of the longest text so far until one within the original
    length comes, so a text in between would be rotated in another way after a longer one.
    """
    for module in network.modules():
        kinds = getattr(module, "rope_type", None)
        if kinds is None or not hasattr(module, "original_max_seq_len"):
            continue
        for prefix, kind in (
            [(f"{k}_", v) for k, v in kinds.items()] if isinstance(kinds, dict) else [("", kinds)]
        ):
            name, first = f"{prefix}max_seq_len_cached", module.original_max_seq_len
            if "dynamic" not in str(kind) or getattr(module, name, first) == first:
                continue
            original = getattr(module, f"{prefix}original_inv_freq")
            module.register_buffer(f"{prefix}inv_freq", original.to(network.device), persistent=False)
            setattr(module, name, first)
