"""Gemma 2 and 3: norms on both sides of attention and feed-forward, embeddings scaled, a gate of GELU.

Gemma 2 caps its scores, Gemma 3 norms queries and keys and turns them by other frequencies where a layer sees
a window only (Gemma Team 2024, 2025).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from icl.engine.attention.contract import LayerCall
from icl.engine.trunks.fused.blocks import Block, Decoder
from icl.engine.trunks.fused.readers.llama import gated, separate
from icl.engine.trunks.fused.reading import Parts, rotary


def gemma2(parts: Parts) -> Decoder:
    """Scores softly capped; one rotation for all layers."""
    return _gemma(parts, {}, parts.config.attn_logit_softcapping)


def gemma3(parts: Parts) -> Decoder:
    """A rotation of its own for each kind of layer."""
    return _gemma(parts, {kind: at for at, kind in enumerate(sorted(set(parts.config.layer_types)))}, None)


def _gemma(parts: Parts, kinds: dict[str, int], softcap: float | None) -> Decoder:
    parts.require("use_bidirectional_attention", None, False)
    decoder, config = parts.decoder, parts.config
    norm = partial(parts.norm, from_one=True)

    def block(index: int, layer: Any) -> Block:
        attention = layer.self_attn
        q_norm = getattr(attention, "q_norm", None)
        return Block(
            call=LayerCall(index, float(attention.scaling), parts.window_of_kind(index), softcap),
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            qkv=separate(parts, attention),
            out=parts.linear(attention.o_proj),
            feed=gated(parts, layer.mlp, "hidden_activation"),
            rotary=kinds.get(config.layer_types[index], 0),
            norm_in=norm(layer.input_layernorm),
            norm_out=norm(layer.post_attention_layernorm),
            norm_mid=norm(layer.pre_feedforward_layernorm),
            norm_end=norm(layer.post_feedforward_layernorm),
            q_norm=None if q_norm is None else norm(q_norm),
            k_norm=None if q_norm is None else norm(attention.k_norm),
        )

    embeddings = parts.table(decoder.embed_tokens)
    return Decoder(
        embeddings=embeddings,
        blocks=[block(index, layer) for index, layer in enumerate(decoder.layers)],
        final_norm=norm(decoder.norm),
        rotaries=tuple(rotary(decoder.rotary_emb, kind) for kind in kinds) or (rotary(decoder.rotary_emb),),
        scale=decoder.embed_tokens.embed_scale.to(embeddings.dtype),
    )
