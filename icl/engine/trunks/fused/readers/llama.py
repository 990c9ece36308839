"""Norm, attention with rotary positions, norm, gated feed-forward: Llama, SmolLM2, Mistral, Qwen2, Qwen3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icl.engine.attention.contract import LayerCall
from icl.engine.trunks.fused.blocks import Block, Decoder, Feed
from icl.engine.trunks.fused.reading import Parts, rotary

Window = Callable[[Parts, int], int | None]


def _no_window(parts: Parts, layer: int) -> None:
    """Every layer sees all that is before it."""


def llama(parts: Parts, window: Window = _no_window) -> Decoder:
    """A decoder of this shape; window: of a layer."""
    decoder = parts.decoder
    return Decoder(
        embeddings=parts.table(decoder.embed_tokens),
        blocks=[_block(parts, index, layer, window) for index, layer in enumerate(decoder.layers)],
        final_norm=parts.norm(decoder.norm),
        rotaries=(rotary(decoder.rotary_emb),),
    )


def _block(parts: Parts, index: int, layer: Any, window: Window) -> Block:
    attention = layer.self_attn
    q_norm = getattr(attention, "q_norm", None)
    return Block(
        call=LayerCall(index, float(attention.scaling), window(parts, index)),
        heads=parts.config.num_attention_heads,
        kv_heads=parts.config.num_key_value_heads,
        qkv=parts.linear(attention.q_proj, attention.k_proj, attention.v_proj),
        out=parts.linear(attention.o_proj),
        feed=gated(parts, layer.mlp),
        rotary=0,
        norm_in=parts.norm(layer.input_layernorm),
        norm_mid=parts.norm(layer.post_attention_layernorm),
        q_norm=None if q_norm is None else parts.norm(q_norm),
        k_norm=None if q_norm is None else parts.norm(attention.k_norm),
    )


def gated(parts: Parts, mlp: Any, activation: str = "hidden_act") -> Feed:
    """A feed-forward layer with a gate; activation: the key of the configuration that names it."""
    return Feed(
        parts.activation(activation),
        up=parts.linear(mlp.up_proj),
        down=parts.linear(mlp.down_proj),
        gate=parts.linear(mlp.gate_proj),
    )
