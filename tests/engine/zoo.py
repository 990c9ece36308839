"""A tiny random model of (nearly) every family of causal language models that transformers has.

Nothing here knows a family by heart but `PATCHES`: the default configuration of each is shrunk key by key, by
what the key is called, until the model has a few thousand weights. Windows, chunks and the like become
`WINDOW`, so that texts of the tests cross them.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from .tiny import EOS, VOCAB, redraw

LENGTH = 256
"""Positions that each tiny model has."""
WINDOW = 20
"""Of whatever ends after so many tokens: sliding windows, chunks, sparse attention."""
MOST_WEIGHTS = 8_000_000

SIZES: list[tuple[str, int]] = [
    (r"(encoder_|decoder_|unpadded_)?vocab_size|vocab_size_per_layer_input", VOCAB),
    (r"hidden_size|d_model|n_embd|embedding_dim|emb_dim|word_embed_proj_dim|lru_width|embedding_size", 32),
    (r"attention_hidden_size|input_embedding_size|dim_model_base", 32),
    (r".*intermediate_size.*|.*ffn_dim|ffn_hidden_size|n_inner|d_inner|dff|dim_ff|feed_forward_size", 48),
    (r"num_hidden_layers|n_layers?|num_layers|num_blocks|(en|de)coder_layers|num_(en|de)coder_layers", 4),
    (r".*num_key_value_heads|num_kv_heads|linear_num_key_heads", 2),
    (r"(.*_)?num_attention_heads|n_heads?|.*(en|de)coder_attention_heads|attention_heads|num_heads", 4),
    (r"linear_num(_value)?_heads|mamba_n(um)?_heads|index_n_heads", 4),
    (r"head_dim|dim_head|d_head|.*_head_dim|kv_channels|attention_head_size|mamba_d_head|linear_head_dim", 8),
    (r"qk_rope_head_dim|qk_nope_head_dim|v_head_dim|swa_head_dim", 8),
    (r"q_lora_rank|kv_lora_rank|o_lora_rank|.*_rank", 16),
    (r"num_(local_)?experts|n_routed_experts|moe_num_experts|num_routed_experts", 4),
    (r"num_experts_per_tok(en)?|moe_topk|moe_k|top_k|num_experts_per_token", 2),
    (r"n_shared_experts|num_shared_experts|moe_num_shared_experts|n_group|topk_group|num_expert_group", 1),
    (r"first_k_dense_replace|num_dense_layers", 1),
    (r"rotary_dim", 8),
    (r"state_size|ssm_state_size|mamba_d_state|.*conv_kernel.*|mamba_d_conv|conv_L_cache|conv1d_width", 4),
    (r"max_position_embeddings|n_positions|n_ctx|max_seq_len|max_target_positions|model_max_length", LENGTH),
    (
        r"(attention_)?(sliding_)?window(_size)?|sliding_window_size|local_attention|attention_chunk_size",
        WINDOW,
    ),
    (r"keep_window_size|index_topk|rel_extent|local_attention_window_len|attention_window_size", WINDOW),
]
"""What a key of a configuration is called, and what its integer becomes."""

TRAINED = {"original_max_position_embeddings": 64, "max_position_embeddings": LENGTH}
MAMBA = {"hidden_size": 32, "intermediate_size": 64, "mamba_expand": 2, "mamba_n_heads": 8, "mamba_d_head": 8}
PATCHES: dict[str, dict[str, Any]] = {
    "bamba": MAMBA,
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}
    },
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": MAMBA,
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {
        "head_dim": 8,
        "qk_head_dim": 16,
        "ffn_hidden_size": 48,
        "expert_ffn_hidden_size": 48,
        "zero_expert_num": 2,
    },
    "mamba": {"intermediate_size": 64, "time_step_rank": 4},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "nemotron_h": {"mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 2},
    "reformer": {"axial_pos_shape": [16, 16], "axial_pos_embds_dim": [16, 16]},
    "roc_bert": {"pronunciation_vocab_size": 20, "shape_vocab_size": 20, "pronunciation_embed_dim": 8}
    | {"shape_embed_dim": 8},
    "zamba": {"attention_head_dim": 16, "attention_hidden_size": 64, "mamba_dt_rank": 4},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "num_hidden_layers": 4},
    "xmod": {"default_language": "en_XX"},
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid"] * 2,
        "num_mem_blocks": 1,
        "attention_head_dim": 16,
        "attention_hidden_size": 64,
        "mamba_headdim": 8,
        "n_mamba_heads": 8,
    },
}
"""What a family needs beside."""


def families() -> list[str]:
    """Every model type that transformers makes a causal language model of."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def shrunk(settings: dict[str, Any]) -> dict[str, Any]:
    """The integers of a configuration that SIZES knows, made small."""
    small: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, bool) or key.startswith("_"):
            continue
        size = next((n for pattern, n in SIZES if re.fullmatch(pattern, key)), None)
        if size is not None and isinstance(value, int):
            small[key] = min(value, size) if value > 0 else value
        elif isinstance(value, int) and key.endswith("_token_id"):
            small[key] = {"eos_token_id": EOS, "pad_token_id": 0}.get(key, 2)
    return small


def _settable(config: Any, key: str) -> bool:
    """Is it not worked out from other keys?"""
    made = getattr(type(config), type(config).attribute_map.get(key, key), None)
    return not isinstance(made, property) or made.fset is not None


def _retrained(rope: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings with the lengths of a tiny model, where they have any."""
    return rope | {k: v for k, v in TRAINED.items() if k in rope}


def tiny_config(family: str) -> Any:
    """The configuration of a tiny model. Raises what transformers raises where there is none."""
    default = CONFIG_MAPPING[family]()
    if default.get_text_config() is not default:
        raise ValueError("multimodal: its text model is a family of its own")
    settings = shrunk(
        {k: v for k, v in {**vars(default), **default.to_dict()}.items() if _settable(default, k)}
    )
    if getattr(default, "sliding_window", 0) is None:
        settings["sliding_window"] = WINDOW
    if getattr(default, "use_sliding_window", None) is False:
        settings["use_sliding_window"] = True
    kinds = list(dict.fromkeys(getattr(default, "layer_types", None) or ()))
    if not _settable(default, "layer_types"):
        pass
    elif len(kinds) > 1:
        settings["num_hidden_layers"] = 2 * len(kinds)
        settings["layer_types"] = kinds * 2
    elif kinds:
        settings["layer_types"] = kinds * 4
    if "kv_lora_rank" in settings:
        settings["num_key_value_heads"] = settings["num_attention_heads"]
    rope = getattr(default, "rope_parameters", None)
    if isinstance(rope, dict):
        groups = {k: _retrained(v) if isinstance(v, dict) else v for k, v in rope.items()}
        settings["rope_parameters"] = _retrained(groups)
    settings.update(PATCHES.get(family, {}))
    return CONFIG_MAPPING[family](**settings)


def tiny_model(family: str, seed: int = 0) -> Any:
    """A causal language model in fp32 with eager attention, every weight drawn anew."""
    config = tiny_config(family)
    if hasattr(config, "is_decoder"):
        config.is_decoder = True
    with torch.device("meta"):
        weights = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if weights > MOST_WEIGHTS:
        raise ValueError(f"a tiny configuration still has {weights:,} weights")
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    redraw(network, seed)
    return network
