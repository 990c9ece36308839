"""Which families are read, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from icl.engine.trunks.fused.blocks import Decoder
from icl.engine.trunks.fused.readers.gemma import gemma2, gemma3
from icl.engine.trunks.fused.readers.gpt import gpt2, gpt_neox, opt
from icl.engine.trunks.fused.readers.llama import llama, mixture, phi3
from icl.engine.trunks.fused.readers.olmo2 import olmo2
from icl.engine.trunks.fused.reading import Pack, Parts


@dataclass(frozen=True, slots=True)
class Family:
    """`reader`: takes a model of it apart; `heeded`: keys of its configuration that the reader knows, beside
    those shared by all."""

    reader: Callable[[Parts], Decoder]
    heeded: frozenset[str] = frozenset()
    grouped: bool = False
    """Rows are grouped by what they are, so that which others there are may change how a product is made."""


def _heeds(*keys: str) -> frozenset[str]:
    return frozenset(keys)


GEMMA = _heeds(
    "hidden_activation", "query_pre_attn_scalar", "final_logit_softcapping", "use_bidirectional_attention"
)
DROPOUT = _heeds("resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "layerdrop", "init_std")
MIXTURE = _heeds(
    *("decoder_sparse_step", "mlp_only_layers", "num_experts", "num_experts_per_tok", "norm_topk_prob"),
    *("moe_intermediate_size", "shared_expert_intermediate_size", "qkv_bias"),
    *("output_router_logits", "router_aux_loss_coef"),  # of training
)

FAMILIES: dict[str, Family] = {
    "gemma2": Family(gemma2, GEMMA | {"attn_logit_softcapping"}),
    "gemma3_text": Family(gemma3, GEMMA),
    "gpt2": Family(
        gpt2,
        DROPOUT
        | _heeds(
            "n_positions",
            "n_embd",
            "n_layer",
            "n_head",
            "n_inner",
            "activation_function",
            "layer_norm_epsilon",
        )
        | _heeds("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn")
        | _heeds(
            "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels"
        )  # no layer of it
        | _heeds("summary_first_dropout", "add_cross_attention"),  # whose weights would be left over
    ),
    "gpt_neox": Family(gpt_neox, _heeds("use_parallel_residual", "is_decoder")),
    "llama": Family(llama, _heeds("pretraining_tp")),
    "mistral": Family(partial(llama, window=Parts.window_of_all)),
    "olmo2": Family(olmo2),
    "opt": Family(
        opt,
        DROPOUT
        | _heeds("ffn_dim", "do_layer_norm_before", "_remove_final_layer_norm", "word_embed_proj_dim")
        | _heeds("activation_function", "enable_bias", "layer_norm_elementwise_affine"),
    ),
    "phi3": Family(phi3, DROPOUT | {"original_max_position_embeddings"}),
    "qwen2": Family(partial(llama, window=Parts.window_of_kind)),
    "qwen2_moe": Family(partial(mixture, window=Parts.window_of_kind), MIXTURE, grouped=True),
    "qwen3": Family(partial(llama, window=Parts.window_of_kind)),
    "qwen3_moe": Family(partial(mixture, window=Parts.window_of_all), MIXTURE, grouped=True),
    "smollm3": Family(
        partial(llama, window=Parts.window_of_kind), _heeds("no_rope_layers", "no_rope_layer_interval")
    ),
}
"""By the `model_type` of the configuration."""


def read(model: Any, pack: Pack) -> Decoder:
    """A model of one of FAMILIES in blocks. Raises Unread for what its reader does not know."""
    parts = Parts(model, pack)
    family = FAMILIES[parts.config.model_type]
    parts.check_settings(family.heeded)
    decoder = family.reader(parts)
    parts.check_all_taken()
    return decoder
