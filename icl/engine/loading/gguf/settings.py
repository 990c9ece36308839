"""What a GGUF file states about its model, in transformers' configuration; else it is refused.

transformers reads some ten keys of each architecture and takes its own defaults for the rest, which are those
of one published model. Every key of the file is looked at here: set, known to be without effect, or refused.
"""

from __future__ import annotations

import math
from typing import Any

from icl.engine.loading.gguf.file import GGUFFile
from icl.engine.loading.gguf.rope import set_rope
from icl.errors import ModelError

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "feed_forward_length": ("n_inner", "ffn_hidden_size"),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.layer_norm_epsilon": ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "expert_feed_forward_length": ("moe_intermediate_size", "intermediate_size"),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_weights_norm": ("norm_topk_prob",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "use_parallel_residual": ("use_parallel_residual",),
}
"""Key -> the configuration's name for it, the first that the model's configuration has."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "router_logit_softcapping": (0.0,),
    "logit_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "attention.clamp_kqv": (0.0,),
    "attention.output_scale": (0.0, 1.0),
    "attention.temperature_length": (0,),
    "attention.temperature_scale": (0.0,),
    "attention.causal": (True,),
    "attention.shared_kv_layers": (0,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "expert_weights_norm": (False,),
    "expert_weights_scale": (0.0, 1.0),
    "expert_group_count": (0, 1),
    "expert_group_used_count": (0, 1),
    "expert_shared_count": (0,),
    "leading_dense_block_count": (0,),
    "interleave_moe_layer_step": (0, 1),
    "moe_every_n_layers": (0, 1),
    "use_parallel_residual": (False,),
    "swin_norm": (False,),
}
"""Key -> the values that leave a model as it is without the key. Others are refused if they have no place."""

WITHOUT_EFFECT = frozenset(
    [
        "vocab_size",
        "block_count",
        "embedding_length",
        "attention.head_count",
        "tensor_data_layout",
        "pooling_type",
        "nextn_predict_layers",
        "rope.scaling.finetuned",
        "attention.key_length",
        "attention.value_length",
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "attention.scale",
        "attention.max_alibi_bias",
        "rope.dimension_count",
        "rope.freq_base",
        "rope.freq_base_swa",
        "rope.scale_linear",
        "rope.scaling.type",
        "rope.scaling.factor",
        "rope.scaling.attn_factor",
        "rope.scaling.original_context_length",
        "rope.scaling.yarn_log_multiplier",
        "rope.scaling.yarn_ext_factor",
        "rope.scaling.yarn_attn_factor",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
        "ssm.conv_kernel",
        "ssm.inner_size",
        "ssm.state_size",
        "ssm.time_step_rank",
        "ssm.group_count",
        "ssm.dt_b_c_rms",
        "shortconv.l_cache",
        "rope.dimension_sections",
        "full_attention_interval",
        "attention.key_length_swa",
        "attention.value_length_swa",
        "rope.dimension_count_swa",
        "expert_gating_func",
    ]
)
"""Read by transformers, below, or in `rope`; or of no effect on a forward."""
OWN_READER = frozenset({"qwen35", "qwen35moe", "lfm2", "gemma4", "mamba", "t5", "bloom"})
"""Architectures that are left as transformers reads them: whole in its newer reader, or without rotation."""
SCALED_BY_WIDTH = {("gemma2", 46), ("gemma3", 62)}
"""Models of 27B, whose queries are scaled by hidden size over heads; no key says so, only their layers."""


def apply_settings(file: GGUFFile, config: Any) -> list[str]:
    """Sets what the file states in a transformers configuration, in place; returns what must be said.

    Raises ModelError naming the key, its value and the model for what transformers cannot express.
    """
    unknown = []
    for key, value in file.settings.items():
        if key in ATTRIBUTES:
            _set(file, config, key, value)
        elif key in NEUTRAL:
            _refuse_unless_neutral(file, config, key, value)
        elif key not in WITHOUT_EFFECT:
            unknown.append(key)
    said = [f"nothing is known of these keys of the file: {', '.join(sorted(unknown))}"] if unknown else []
    config.vocab_size = file.shapes["token_embd.weight"][0]
    if file.architecture in OWN_READER:
        return said
    _set_heads(file, config)
    _set_window(file, config)
    _set_scale(file, config)
    config.tie_word_embeddings = "output.weight" not in file.shapes
    for key, attribute in (("attn_q", "attention_bias"), ("ffn_up", "mlp_bias")):
        if hasattr(config, attribute):
            setattr(config, attribute, f"blk.0.{key}.bias" in file.shapes)
    set_rope(file, config)
    return said


def _set(file: GGUFFile, config: Any, key: str, value: Any) -> None:
    names = [name for name in ATTRIBUTES[key] if hasattr(config, name)]
    if isinstance(value, list):
        if len(set(value)) > 1 and file.architecture not in OWN_READER:
            raise _no_place(file, config, key, value)
        return
    if not names:
        if key in NEUTRAL:
            _refuse_unless_neutral(file, config, key, value)
        return
    old = getattr(config, names[0])
    if key.endswith("_softcapping") and not value:
        value = None
    if value != old and not (
        isinstance(value, float) and isinstance(old, float) and math.isclose(value, old)
    ):
        setattr(config, names[0], value)


def _refuse_unless_neutral(file: GGUFFile, config: Any, key: str, value: Any) -> None:
    if value not in NEUTRAL[key]:
        raise _no_place(file, config, key, value)


def _no_place(file: GGUFFile, config: Any, key: str, value: Any) -> ModelError:
    return ModelError(
        f"{file.path.name}: {file.architecture}.{key} = {value} changes the model and has no place in "
        f"transformers' {config.model_type}; load the original model (a folder or a hub id) instead"
    )


def _set_heads(file: GGUFFile, config: Any) -> None:
    """The width of a head, which need not be the hidden size over the heads."""
    heads = getattr(config, "num_attention_heads", None)
    if not heads:
        return
    usual = config.hidden_size // heads
    key = int(file.settings.get("attention.key_length", usual))
    if int(file.settings.get("attention.value_length", key)) != key:
        raise _no_place(file, config, "attention.value_length", file.settings["attention.value_length"])
    if getattr(config, "head_dim", usual) == key:
        return
    if not hasattr(config, "head_dim") or isinstance(getattr(type(config), "head_dim", None), property):
        raise _no_place(file, config, "attention.key_length", key)
    config.head_dim = key


def _set_window(file: GGUFFile, config: Any) -> None:
    window = int(file.settings.get("attention.sliding_window", 0))
    length = int(file.settings.get("context_length", 0))
    if hasattr(config, "sliding_window") and "attention.sliding_window" in file.settings:
        config.sliding_window = window or None
    elif 0 < window < length and not hasattr(config, "sliding_window"):
        raise _no_place(file, config, "attention.sliding_window", window)
    pattern = file.settings.get("attention.sliding_window_pattern")
    if isinstance(pattern, list) and hasattr(config, "layer_types"):
        config.layer_types = ["sliding_attention" if near else "full_attention" for near in pattern]
    elif isinstance(pattern, int) and pattern > 1 and hasattr(config, "layer_types"):
        config.layer_types = [
            "full_attention" if (i + 1) % pattern == 0 else "sliding_attention"
            for i in range(config.num_hidden_layers)
        ]


def _set_scale(file: GGUFFile, config: Any) -> None:
    """By what queries are scaled: one over the square root of a head's width, but for some."""
    heads = getattr(config, "num_attention_heads", 0) or 1
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    scale = float(file.settings.get("attention.scale", 0.0))
    if hasattr(config, "query_pre_attn_scalar"):
        wide = (file.architecture, config.num_hidden_layers) in SCALED_BY_WIDTH
        config.query_pre_attn_scalar = (
            1 / scale**2 if scale else config.hidden_size // heads if wide else head
        )
    elif scale and not math.isclose(scale, head**-0.5, rel_tol=1e-5):
        raise _no_place(file, config, "attention.scale", scale)
