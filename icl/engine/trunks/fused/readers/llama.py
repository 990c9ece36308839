"""Norm, attention with rotary positions, norm, gated feed-forward.

Llama, SmolLM2, Mistral, Qwen2, Qwen3; SmolLM3, some of whose layers see no positions; Phi-3, with joined
weights; Qwen2-MoE and Qwen3-MoE, most of whose layers feed forward through experts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icl.engine.attention.contract import LayerCall
from icl.engine.trunks.fused.blocks import Block, Decoder, Experts, Feed
from icl.engine.trunks.fused.reading import Parts, rotary
from icl.engine.trunks.packed import PackedLinear

Window = Callable[[Parts, int], int | None]


def separate(parts: Parts, attention: Any) -> PackedLinear:
    """Queries, keys and values of layers of their own, as one product."""
    return parts.linear(attention.q_proj, attention.k_proj, attention.v_proj)


def gated(parts: Parts, mlp: Any, activation: str = "hidden_act") -> Feed:
    """A feed-forward layer with a gate; activation: the key of the configuration that names it."""
    act, up = parts.activation(activation), parts.linear(mlp.up_proj)
    return Feed(act, up, parts.linear(mlp.down_proj), parts.linear(mlp.gate_proj))


def llama(
    parts: Parts,
    window: Window | None = None,
    qkv: Callable[[Parts, Any], PackedLinear] = separate,
    feed: Callable[[Parts, Any], Feed | Experts] = gated,
) -> Decoder:
    """A decoder of this shape. window: of a layer, None: every layer sees all that is before it; qkv, feed:
    of an attention and what comes after it."""
    decoder, config = parts.decoder, parts.config

    def block(index: int, layer: Any) -> Block:
        attention = layer.self_attn
        q_norm = getattr(attention, "q_norm", None)
        return Block(
            call=LayerCall(index, float(attention.scaling), None if window is None else window(parts, index)),
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            qkv=qkv(parts, attention),
            out=parts.linear(attention.o_proj),
            feed=feed(parts, layer.mlp),
            rotary=0 if getattr(attention, "use_rope", True) else None,
            norm_in=parts.norm(layer.input_layernorm),
            norm_mid=parts.norm(layer.post_attention_layernorm),
            q_norm=None if q_norm is None else parts.norm(q_norm),
            k_norm=None if q_norm is None else parts.norm(attention.k_norm),
        )

    return Decoder(
        embeddings=parts.table(decoder.embed_tokens),
        blocks=[block(index, layer) for index, layer in enumerate(decoder.layers)],
        final_norm=parts.norm(decoder.norm),
        rotaries=(rotary(decoder.rotary_emb),),
    )


def phi3(parts: Parts) -> Decoder:
    """Phi-3 and Phi-4: queries, keys and values in one layer, the gate and what it gates in another."""

    def qkv(parts: Parts, attention: Any) -> PackedLinear:
        return parts.linear(attention.qkv_proj)

    def feed(parts: Parts, mlp: Any) -> Feed:
        gate, up = parts.split(mlp.gate_up_proj, 2)
        return Feed(parts.activation(), up, parts.linear(mlp.down_proj), gate)

    return llama(parts, Parts.window_of_all, qkv, feed)


def mixture(parts: Parts, window: Window) -> Decoder:
    """Qwen2-MoE and Qwen3-MoE; a layer without a router is one of the plain kind."""
    return llama(
        parts,
        window,
        feed=lambda parts, mlp: _experts(parts, mlp) if hasattr(mlp, "experts") else gated(parts, mlp),
    )


def _experts(parts: Parts, mlp: Any) -> Experts:
    joined, down = parts.weight(mlp.experts.gate_up_proj), parts.weight(mlp.experts.down_proj)
    activation = parts.activation()
    halves = [weight.chunk(2) for weight in joined]  # [2 I, d] an expert: gate, then up
    shared = getattr(mlp, "shared_expert", None)
    gate = None if shared is None else parts.matrix(mlp.shared_expert_gate)[0].float()
    return Experts(
        router=parts.weight(mlp.gate.weight).float(),
        chosen=mlp.gate.top_k,
        renormalised=bool(mlp.gate.norm_topk_prob),
        experts=tuple(
            Feed(activation, parts.pack([up], None), parts.pack([out], None), parts.pack([gate], None))
            for (gate, up), out in zip(halves, down, strict=True)
        ),
        shared=None if shared is None else gated(parts, shared),
        shared_gate=gate,
    )
