"""OLMo 2 (OLMo Team 2024): norms after attention and feed-forward only, and over all heads of a row."""

from __future__ import annotations

from functools import partial
from typing import Any

from icl.engine.attention.contract import LayerCall
from icl.engine.trunks.fused.blocks import Block, Decoder
from icl.engine.trunks.fused.readers.llama import gated, separate
from icl.engine.trunks.fused.reading import Parts, rotary


def olmo2(parts: Parts) -> Decoder:
    """A decoder of this shape."""
    decoder, config = parts.decoder, parts.config
    norm = partial(parts.norm, wide=True)

    def block(index: int, layer: Any) -> Block:
        attention = layer.self_attn
        return Block(
            call=LayerCall(index, float(attention.scaling)),
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            qkv=separate(parts, attention),
            out=parts.linear(attention.o_proj),
            feed=gated(parts, layer.mlp),
            rotary=0,
            norm_out=norm(layer.post_attention_layernorm),
            norm_end=norm(layer.post_feedforward_layernorm),
            q_norm=norm(attention.q_norm),
            k_norm=norm(attention.k_norm),
            joint_norm=True,
        )

    return Decoder(
        embeddings=parts.table(decoder.embed_tokens),
        blocks=[block(index, layer) for index, layer in enumerate(decoder.layers)],
        final_norm=norm(decoder.norm),
        rotaries=(rotary(decoder.rotary_emb),),
    )
