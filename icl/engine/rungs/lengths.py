"""Where in a text a network's attention may change: every length that its configuration names.

Windows, chunks, blocks, sparse attention, position scalings that start at a length: a probe that stops before
such a length has not seen what comes after it. They are found by what a key says and not by the family, since
each family calls them differently; an integer whose key says nothing is tried too, where that costs little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

ROLES = re.compile(
    r"window|chunk|segment|local|sparse|stride|topk(?!_(group|method))|top_k|block_size|block_len|compress"
    r"|original_max|n_floor|floor_scale|extent|max_distance|mem_len|landmark|bucket"
)
"""Keys of a length at which attention may change."""
SHAPES = re.compile(
    r"(^|_)(size|dim|dims|rank|heads?|layers?|layer|vocab|experts?|groups?|hidden|inner|width|kernel|conv\w*|ids?|idx"
    r"|index|types?|token|tokens|tok|expand|expansion|interval|period|offset|pattern|factor|embd|kv|state|stages?"
    r"|iters?|seed|tp|codebooks?|version|every\w*|freq\w*|model|ffn|dff|mult\w*|ratio|channels?|experts|shared)($|_)"
    r"|(^|_)(num|n)_"
)
"""Keys of a shape or a name: how wide something is, how many there are, which token it is."""
NOT_LENGTHS = re.compile(
    r"chunk_size_feed_forward|moe_top_?k|top_k|num_\w*experts\w*|.*(_pattern|_dim|_rank|heads?|_layers?|_types|_iters)"
)
"""Keys of shapes and names that have a part of a role in them."""
ELSEWHERE = re.compile(r"(id2label|label2id|(audio|vision|depth|image|speech|encoder|patcher)\w*)")
"""Groups that say nothing about the attention of the text model."""
STATIC_ROPE = frozenset({"default", "linear", "yarn", "llama3", "proportional"})
"""Rotary scalings that are worked out once: a token's rotation depends on its position alone."""
CAPACITY = re.compile(
    r"max_position_embeddings|n_positions|n_ctx|max_seq_len\w*|.*_max_length|context_length"
)

AT_ONCE = {"cpu": 2e11, "cuda": 2e13}
"""Operations that may go into crossing a length that should make no difference: about a second."""
AT_MOST = {"cpu": 4e12, "cuda": 4e15}
"""The same for a length that the engine knows nothing of: half a minute."""
MEMORY = 1 << 30
"""Bytes of attention scores, and of logits, of one plain forward."""


@dataclass(frozen=True, slots=True)
class Length:
    """`key`: value of the configuration. named: does its key say that attention may change there?"""

    key: str
    value: int
    named: bool


def lengths(network: Any, context_length: int) -> list[Length]:
    """Every integer of the text configuration at which attention may change within the context."""
    found = {}
    config = network.config.get_text_config()
    for key, value, static in _integers(config.to_dict(), static=not _scaled(config)):
        last = key.rsplit(".", 1)[-1]
        trained = static and "original_max" in last
        if not 2 <= value < context_length or trained or CAPACITY.fullmatch(last):
            continue
        named = bool(ROLES.search(last)) and not NOT_LENGTHS.fullmatch(last)
        if named or not SHAPES.search(last):
            found[key] = Length(key, value, named)
    return sorted(found.values(), key=lambda one: (one.value, one.key))


def _scaled(config: Any) -> bool:
    """Has it rotary positions that are scaled in a way which is not known to depend on the position alone?"""
    rope = getattr(config, "rope_parameters", None) or {}
    groups = [rope, *(group for group in rope.values() if isinstance(group, Mapping))]
    return any(group.get("rope_type", "default") not in STATIC_ROPE for group in groups)


def _integers(
    settings: Mapping[str, Any], prefix: str = "", static: bool = True
) -> Iterator[tuple[str, int, bool]]:
    """(key, value, is the rotary scaling beside it static?) of all integers, in groups and lists too."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if not ELSEWHERE.fullmatch(str(key)):
                beside = value.get("rope_type", "default") in STATIC_ROPE if "rope_type" in value else static
                yield from _integers({str(k): v for k, v in value.items()}, f"{name}.", beside)
            continue
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int) and not isinstance(number, bool):
                yield name, number, static


def affordable(network: Any, tokens: int, budget: Mapping[str, float]) -> bool:
    """May texts of so many tokens be compared within the operations of `budget` and within MEMORY?"""
    config = network.config.get_text_config()
    heads = int(getattr(config, "num_attention_heads", None) or 1)
    layers = int(getattr(config, "num_hidden_layers", None) or 1)
    hidden = int(getattr(config, "hidden_size", None) or 1)
    weights = sum(p.numel() for p in network.parameters())
    work = 6 * tokens * (2 * weights + 4 * layers * hidden * tokens)
    scores = 3 * 4 * heads * tokens**2
    logits = 2 * 4 * tokens * int(config.vocab_size)
    device = torch.device(next(network.parameters()).device).type
    return work <= budget.get(device, budget["cpu"]) and max(scores, logits) <= MEMORY
