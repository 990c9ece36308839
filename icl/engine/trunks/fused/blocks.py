"""What a decoder is made of, whatever its family: tensors, numbers and packed weights.

A reader fills these from a transformers model (icl.engine.trunks.fused.readers), the trunk runs them.
T rows, d wide; H heads of queries and Hkv of keys, D wide each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.trunks.packed import PackedLinear

Rotary = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(hidden [T, d], positions [T]) -> cos and sin [T, 1, R/2] of the first R of the D values of a head."""


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """Rows over their root mean square or, if `centred`, less their mean and over their deviation; times
    weight [d], plus bias [d].

    A weight in fp32 beside rows of half precision is multiplied before they are rounded (Gemma, OLMo-2), one
    of their own precision after (Llama).
    """

    weight: Tensor | None
    eps: float
    bias: Tensor | None = None
    centred: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """down(act(up(x))), or down(act(gate(x)) * up(x)) where there is a gate."""

    activation: str
    """A key of icl.engine.trunks.packed.ACTIVATIONS."""
    up: PackedLinear
    down: PackedLinear
    gate: PackedLinear | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Experts:
    """A mixture (Shazeer et al. 2017): each row goes to the `chosen` experts of the largest probability and
    comes back as their sum, weighted by it; and to a shared expert, weighted by a gate of its own."""

    router: Tensor
    """[experts, d], in fp32."""
    chosen: int
    renormalised: bool
    """The weights of the chosen sum to 1."""
    experts: tuple[Feed, ...]
    shared: Feed | None = None
    shared_gate: Tensor | None = None
    """[1, d], in fp32."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One decoder layer: attention, then what is fed forward, each added to the rows that came in.

    A norm that is None is left out. `norm_in` and `norm_mid` stand before the two, `norm_out` and `norm_end`
    between each and its sum.
    """

    call: LayerCall
    heads: int
    kv_heads: int
    qkv: PackedLinear
    """[d] -> queries of all heads, then keys, then values."""
    out: PackedLinear
    feed: Feed | Experts
    rotary: int | None
    """Which of the decoder's rotations; None: positions are not seen here."""
    norm_in: Norm | None = None
    norm_out: Norm | None = None
    norm_mid: Norm | None = None
    norm_end: Norm | None = None
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    joint_norm: bool = False
    """q_norm and k_norm are over all heads at once, not each by itself."""
    parallel: bool = False
    """What is fed forward is of the rows that came in, not of their sum with the attention."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """All between tokens and hidden states."""

    embeddings: Tensor
    """[V, d]."""
    blocks: list[Block]
    final_norm: Norm | None
    rotaries: tuple[Rotary, ...] = ()
    scale: Tensor | None = None
    """Embeddings are multiplied by it."""
    places: Tensor | None = None
    """[P, d], the learned embedding of each position, added."""
