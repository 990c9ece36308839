"""Families on packed weights: every setting that changes a layer, in fp32 and bf16, and what is refused.

The common settings of each are in test_family_details; here are the others.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.plain import plain_logits
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import fused, packed
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.fused.blocks import Experts, Feed
from icl.engine.trunks.fused.feeding import filled, mixed, routed
from icl.engine.trunks.fused.reading import ACTIVATIONS, pack
from icl.engine.trunks.hooked import HookedTrunk
from icl.engine.trunks.packed import PackedLinear
from icl.types import GenerateRequest, ScoreRequest

from .tiny import CONTEXT, FAMILIES, WINDOW, IntegerTokenizer, largest_difference, ragged, tiny_network

HALF = torch.bfloat16
pytestmark = pytest.mark.skipif(not packed.available(torch.float32), reason="no packed weights in this torch")

TEXTS = ragged(seed=3, length=3 * WINDOW)
ASKED = [ScoreRequest(text, ((5, 6, 7), (8,))) for text in TEXTS]
COMMON: dict[str, Any] = {"name": "m", "context_length": CONTEXT, "fingerprint": "f"}

ODD = {"hidden_size": 48, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 16}
BIASES = {"attention_bias": True, "mlp_bias": True}
SLIDING = {"use_sliding_window": True, "sliding_window": WINDOW}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
PARTLY = {"rope_parameters": ROPE | {"partial_rotary_factor": 0.5}}
HALF_TURNED = {"rope_parameters": ROPE | {"partial_rotary_factor": 0.25}, "hidden_size": 48}

VARIATIONS: list[tuple[str, dict[str, Any]]] = [
    ("llama", ODD | BIASES),
    ("llama", {"rope_parameters": ROPE | {"rope_type": "linear", "factor": 2.0}}),
    ("qwen2", SLIDING | {"max_window_layers": 1}),
    ("qwen3", {"attention_bias": True, "tie_word_embeddings": True}),
    ("phi3", PARTLY | {"sliding_window": WINDOW, "num_key_value_heads": 1}),
    ("smollm3", SLIDING | BIASES | {"no_rope_layers": [1, 0, 1, 0], "tie_word_embeddings": False}),
    ("smollm3", {"layer_types": ["sliding_attention", "full_attention"] * 2} | SLIDING),
    ("gemma2", ODD | {"attention_bias": True, "query_pre_attn_scalar": 5}),
    (
        "gemma2",
        {"attn_logit_softcapping": None, "final_logit_softcapping": None, "tie_word_embeddings": False},
    ),
    ("gemma2", {"hidden_activation": "relu"}),
    ("gemma3", ODD | {"final_logit_softcapping": 2.0, "tie_word_embeddings": False}),
    ("gemma3", {"attention_bias": True, "layer_types": ["full_attention"] * 3}),
    ("olmo2", ODD | {"attention_bias": True}),
    ("gpt-neox", {"use_parallel_residual": False, "hidden_act": "gelu_new"}),
    ("gpt-neox", HALF_TURNED | {"attention_bias": False, "tie_word_embeddings": True}),
    ("gpt-neox", {"num_attention_heads": 2, "hidden_act": "relu"}),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True, "activation_function": "gelu", "n_inner": 40}),
    ("gpt2", {"scale_attn_weights": False, "tie_word_embeddings": False, "activation_function": "relu"}),
    ("opt", {"enable_bias": False, "layer_norm_elementwise_affine": False}),
    ("opt", {"_remove_final_layer_norm": True, "activation_function": "gelu"}),
    ("qwen2-moe", {"norm_topk_prob": True, "qkv_bias": False, "mlp_only_layers": [0]}),
    (
        "qwen2-moe",
        SLIDING | {"layer_types": ["sliding_attention", "full_attention"], "num_experts_per_tok": 1},
    ),
    ("qwen3-moe", SLIDING | {"norm_topk_prob": False, "attention_bias": True}),
    ("qwen3-moe", {"decoder_sparse_step": 2, "num_experts_per_tok": 6}),
]
"""(family, what is not as usual)."""


def named(one: tuple[str, dict[str, Any]]) -> str:
    return "-".join([one[0], *one[1]])


@pytest.mark.parametrize("one", VARIATIONS, ids=named)
def test_a_variation_is_as_its_plain_forwards(one: tuple[str, dict[str, Any]]) -> None:
    """Whatever a setting changes, the ladder takes packed weights, and they give what the model gives."""
    network = tiny_network(one[0], **one[1])
    assert fused.against(network) == ""
    model = choose_engine(network, IntegerTokenizer(), chunk_rows=11, **COMMON)
    assert isinstance(model, TrieModel)
    assert isinstance(model.trunk, FusedTrunk)
    naive = NaiveModel(network, IntegerTokenizer(), **COMMON)
    assert largest_difference(model.score(ASKED), naive.score(ASKED)) < 1e-4
    writing = [GenerateRequest(text, n=2, max_tokens=5, temperature=1.0, seed=2) for text in TEXTS[:3]]
    for found, expected in zip(model.generate(writing), naive.generate(writing), strict=True):
        for a, b in zip(found.samples, expected.samples, strict=True):
            assert a.token_ids == b.token_ids
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


@pytest.mark.parametrize("one", VARIATIONS, ids=named)
def test_a_variation_changes_what_the_model_says(one: tuple[str, dict[str, Any]]) -> None:
    """Else the test above would not see it left out. (Biases and untied heads are other weights.)"""
    usual = NaiveModel(tiny_network(one[0]), IntegerTokenizer(), **COMMON)
    varied = NaiveModel(tiny_network(one[0], **one[1]), IntegerTokenizer(), **COMMON)
    assert largest_difference(usual.score(ASKED[:2]), varied.score(ASKED[:2])) > 1e-3


def logits_of(trunk: Any, text: tuple[int, ...]) -> Tensor:
    """[T, V] of one text alone, by the trie engine's own attention."""
    caught: list[Tensor] = []
    engine = TrieModel(trunk.model, IntegerTokenizer(), trunk=trunk, **COMMON)
    forward = engine.runner.trunk.forward
    engine.runner.trunk.forward = lambda *given: caught.append(forward(*given)) or caught[-1]  # type: ignore[method-assign,func-returns-value]
    engine.score([ScoreRequest(text, ((5,),))])
    return trunk.logits(torch.cat(caught))


@pytest.mark.skipif(not packed.available(HALF), reason="no packed bfloat16 in this build of torch")
@pytest.mark.parametrize("family", [name for name, (kind, _) in FAMILIES.items() if kind in fused.FAMILIES])
def test_half_precision_is_no_further_from_fp32_than_the_model_itself(family: str) -> None:
    """Of the same rounded weights; the mean square over all logits of a few texts. Where rows go to experts,
    less the two worst of either: at a near tie rounding sends a row elsewhere, in plain forwards too."""
    network = tiny_network(family).to(HALF)
    exact = tiny_network(family).to(HALF).float()
    trunk = FusedTrunk(network)
    ours, own = [], []
    for text in TEXTS[:4]:
        with torch.inference_mode():
            wanted = plain_logits(exact, text)
            own.append(plain_logits(network, text) - wanted)
            ours.append(logits_of(trunk, text)[: len(text)] - wanted)
    left_out = 2 if fused.FAMILIES[network.config.model_type].grouped else 0
    errors = [torch.cat(some).square().mean(-1).sort().values for some in (ours, own)]
    mean_ours, mean_own = (float(rows[: len(rows) - left_out].mean()) for rows in errors)
    assert mean_ours <= 1.1 * mean_own


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("opt", {"do_layer_norm_before": False}, "its configuration has do_layer_norm_before=False"),
    ("opt", {"word_embed_proj_dim": 16}, "its configuration has word_embed_proj_dim=16"),
    ("gpt2", {"activation_function": "quick_gelu"}, "its activation 'quick_gelu' is none of silu, "),
    ("gpt2", {"add_cross_attention": True}, "it has a weight h.0.crossattention.c_attn.weight"),
    (
        "gemma2",
        {"use_bidirectional_attention": True},
        "its configuration has use_bidirectional_attention=True",
    ),
    (
        "gemma3",
        {"attn_logit_softcapping": 2.0},
        "its configuration has attn_logit_softcapping=2.0, which the reader of its family does not know",
    ),
    ("falcon", {}, "no reader for its family, falcon; there are gemma2, gemma3_text, gpt2, "),
]


@pytest.mark.parametrize(("family", "changes", "reason"), REFUSED, ids=[f"{f}-{[*c]}" for f, c, _ in REFUSED])
def test_what_a_reader_does_not_know_is_refused_with_its_reason(
    family: str, changes: dict[str, Any], reason: str
) -> None:
    assert fused.against(tiny_network(family, **changes)).startswith(reason)


def test_a_refused_setting_is_a_step_down_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="icl")
    network = tiny_network("opt", do_layer_norm_before=False)
    model = choose_engine(network, IntegerTokenizer(), **COMMON)
    assert isinstance(model, TrieModel)
    assert isinstance(model.trunk, HookedTrunk)
    assert "on the fused trie engine: its configuration has do_layer_norm_before=False, and " in caplog.text
    naive = NaiveModel(network, IntegerTokenizer(), **COMMON)
    assert largest_difference(model.score(ASKED), naive.score(ASKED)) < 1e-4


def another_weight(network: Any) -> str:
    network.model.layers[1].mlp.scale = nn.Parameter(torch.ones(3))
    return "it has a weight layers.1.mlp.scale, which the reader of its family does not know"


def another_norm(network: Any) -> str:
    network.model.norm = nn.RMSNorm(32)
    return "norm is a torch.nn.modules.normalization.RMSNorm, and no norm that its reader knows"


def another_layer(network: Any) -> str:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    network.model.layers[0].self_attn.k_proj = Doubled(32, 16, bias=False)
    return "layers.0.self_attn.k_proj is a tests.engine.test_fused_families."


def another_forward(network: Any) -> str:
    attention = network.model.layers[0].self_attn
    attention.forward = lambda *given, **named: type(attention).forward(attention, *given, **named)
    return "layers.0.self_attn has a hook"


def another_embedding(network: Any) -> str:
    network.model.embed_tokens = nn.EmbeddingBag(113, 32)
    return "embed_tokens is a torch.nn.modules.sparse.EmbeddingBag, and no embedding that its reader knows"


@pytest.mark.parametrize(
    "change", [another_weight, another_norm, another_layer, another_forward, another_embedding]
)
def test_what_is_put_into_the_layers_is_refused(change: Any) -> None:
    network = tiny_network("llama")
    assert fused.against(network) == ""
    expected = change(network)
    assert fused.against(network).startswith(expected)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_that_of_transformers(name: str) -> None:
    """As it is fused into a product; the forms of GELU differ by up to 5e-4."""
    x = torch.linspace(-5, 5, 401)[:, None].contiguous()
    found = PackedLinear(torch.ones(1, 1)).activated(x, ACTIVATIONS[name])
    assert torch.allclose(found, ACT2FN[name](x), rtol=1e-5, atol=1e-5)


def test_finding_out_packs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.engine.trunks.fused.reading.PackedLinear", None)
    assert fused.against(tiny_network("qwen2-moe")) == ""


def test_a_mixture_is_not_taken_where_results_may_not_depend_on_the_batch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="icl")
    choose_engine(tiny_network("qwen3-moe"), IntegerTokenizer(), batch_invariant=True, **COMMON)
    assert "fused trie engine: how many rows meet an expert depends on the others" in caplog.text


def some_experts(count: int, chosen: int, renormalised: bool) -> Experts:
    torch.manual_seed(5)
    feeds = tuple(
        Feed("silu", *(pack([torch.randn(*shape)], None) for shape in ((24, 16), (16, 24), (24, 16))))
        for _ in range(count)
    )
    return Experts(torch.randn(count, 16), chosen, renormalised, feeds)


@pytest.mark.parametrize("renormalised", [False, True])
def test_a_mixture_is_the_weighted_sum_of_its_experts(renormalised: bool) -> None:
    """Row by row, with the softmax over all experts written out; one expert has no rows at all."""
    experts = some_experts(5, 2, renormalised)
    experts.router[3] = -100 * torch.ones(16)
    x = torch.rand(9, 16)
    weights, chosen = routed(experts, x)
    found = mixed(experts, x)
    assert not bool((chosen == 3).any())
    for row in range(9):
        probability = torch.softmax(experts.router @ x[row], dim=0)
        best = probability.argsort(descending=True)[:2]
        share = probability[best] / (probability[best].sum() if renormalised else 1.0)
        assert torch.allclose(weights[row], share, atol=1e-6)
        expected = torch.zeros(16)
        for expert, part in zip(best.tolist(), share, strict=True):
            feed = experts.experts[expert]
            gate = feed.gate
            assert gate is not None
            expected += (
                part * feed.down(nn.functional.silu(gate(x[row : row + 1])) * feed.up(x[row : row + 1]))[0]
            )
        assert torch.allclose(found[row], expected, rtol=1e-4, atol=1e-4)


def test_counts_of_rows_are_few_and_near() -> None:
    counts = range(1, 2049)
    assert [filled(n) for n in (1, 2, 3, 5, 33, 64, 65, 80, 81, 129, 2000)] == [
        1, 2, 4, 8, 64, 64, 80, 80, 96, 160, 2048
    ]  # fmt: skip
    assert all(n <= filled(n) < 2 * n for n in counts)
    assert all(filled(n) <= 1.25 * n for n in counts if n > 64)
    assert len({filled(n) for n in counts}) == 7 + 4 * 5


def test_a_row_of_a_mixture_does_not_depend_on_the_others() -> None:
    experts = some_experts(6, 3, True)
    x = torch.randn(40, 16)
    together = mixed(experts, x)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(mixed(experts, x[order]), together[order], rtol=1e-5, atol=1e-5)
    assert torch.allclose(mixed(experts, x[:1]), together[:1], rtol=1e-5, atol=1e-5)
