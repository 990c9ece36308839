"""LayerNorm, feed-forward without a gate: GPT-2 and OPT with learned positions, GPT-NeoX with rotary ones."""

from __future__ import annotations

from typing import Any

from icl.engine.attention.contract import LayerCall
from icl.engine.trunks.fused.blocks import Block, Decoder, Feed
from icl.engine.trunks.fused.readers.llama import separate
from icl.engine.trunks.fused.reading import Parts, Unread, kind, rotary
from icl.engine.trunks.packed import PackedLinear


def gpt2(parts: Parts) -> Decoder:
    """Radford et al. 2019."""
    decoder, heads = parts.decoder, parts.config.num_attention_heads

    def block(index: int, layer: Any) -> Block:
        up, down = parts.linear(layer.mlp.c_fc), parts.linear(layer.mlp.c_proj)
        return Block(
            call=LayerCall(index, float(layer.attn.scaling)),
            heads=heads,
            kv_heads=heads,
            qkv=parts.linear(layer.attn.c_attn),
            out=parts.linear(layer.attn.c_proj),
            feed=Feed(parts.activation("activation_function"), up, down),
            rotary=None,
            norm_in=parts.norm(layer.ln_1),
            norm_mid=parts.norm(layer.ln_2),
        )

    return Decoder(
        embeddings=parts.table(decoder.wte),
        blocks=[block(index, layer) for index, layer in enumerate(decoder.h)],
        final_norm=parts.norm(decoder.ln_f),
        places=parts.table(decoder.wpe),
    )


def opt(parts: Parts) -> Decoder:
    """Zhang et al. 2022. Its queries are scaled before they meet the keys, which is the same."""
    decoder, heads = parts.decoder, parts.config.num_attention_heads
    parts.require("do_layer_norm_before", True)
    parts.require("word_embed_proj_dim", parts.config.hidden_size)
    if type(decoder.embed_positions).__name__ != "OPTLearnedPositionalEmbedding":
        raise Unread(
            f"embed_positions is a {kind(decoder.embed_positions)}, no embedding that its reader knows"
        )

    def block(index: int, layer: Any) -> Block:
        up, down = parts.linear(layer.fc1), parts.linear(layer.fc2)
        return Block(
            call=LayerCall(index, float(layer.self_attn.scaling)),
            heads=heads,
            kv_heads=heads,
            qkv=separate(parts, layer.self_attn),
            out=parts.linear(layer.self_attn.out_proj),
            feed=Feed(parts.activation("activation_function"), up, down),
            rotary=None,
            norm_in=parts.norm(layer.self_attn_layer_norm),
            norm_mid=parts.norm(layer.final_layer_norm),
        )

    last = decoder.final_layer_norm
    return Decoder(
        embeddings=parts.table(decoder.embed_tokens),
        blocks=[block(index, layer) for index, layer in enumerate(decoder.layers)],
        final_norm=None if last is None else parts.norm(last),
        places=parts.weight(decoder.embed_positions.weight)[decoder.embed_positions.offset :],
    )


def gpt_neox(parts: Parts) -> Decoder:
    """Black et al. 2022; Pythia: attention and feed-forward side by side, some values of a head turned."""
    decoder, config = parts.decoder, parts.config

    def block(index: int, layer: Any) -> Block:
        up, down = parts.linear(layer.mlp.dense_h_to_4h), parts.linear(layer.mlp.dense_4h_to_h)
        return Block(
            call=LayerCall(index, float(layer.attention.scaling)),
            heads=config.num_attention_heads,
            kv_heads=config.num_attention_heads,
            qkv=_by_kind(parts, layer.attention.query_key_value),
            out=parts.linear(layer.attention.dense),
            feed=Feed(parts.activation(), up, down),
            rotary=0,
            norm_in=parts.norm(layer.input_layernorm),
            norm_mid=parts.norm(layer.post_attention_layernorm),
            parallel=bool(config.use_parallel_residual),
        )

    return Decoder(
        embeddings=parts.table(decoder.embed_in),
        blocks=[block(index, layer) for index, layer in enumerate(decoder.layers)],
        final_norm=parts.norm(decoder.final_layer_norm),
        rotaries=(rotary(decoder.rotary_emb),),
    )


def _by_kind(parts: Parts, module: Any) -> PackedLinear:
    """Rows that go query, key, value head by head, as all queries, all keys, all values."""
    weight, bias = parts.matrix(module)
    heads = parts.config.num_attention_heads
    weights = weight.view(heads, 3, -1, weight.shape[-1]).unbind(1)
    return parts.pack(weights, None if bias is None else bias.view(heads, 3, -1).unbind(1))
