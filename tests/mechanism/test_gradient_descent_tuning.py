"""Fine-tuning of keys and values alone, and that nothing of it is left."""

from __future__ import annotations

import pytest
import torch

from icl.errors import ModelError
from icl.mechanism.shared.gradient_descent.tuning import finetuned, key_value_parts
from icl.training import Network, TrainingRow
from icl.tuning.shared.forward import token_logprobs
from icl.tuning.shared.tokens import TokenRow
from tests.engine.tiny import tiny_network

ROWS = [TokenRow((2, *range(20, 28), at), 8, TrainingRow("", "", "", "")) for at in (40, 41)]
FAMILIES = ["llama", "qwen2", "opt", "gpt2", "gpt-neox", "bloom", "phi3"]


def snapshot(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def loss(network: Network) -> float:
    return -sum(float(p.detach().mean()) for p in token_logprobs(network, ROWS, layout="padded"))


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_and_values_alone_are_trained_and_all_is_taken_back(family: str) -> None:
    network = tiny_network(family)
    before, first = snapshot(network), loss(network)
    with finetuned(network, key_value_parts(network), ROWS, 0.01, epochs=3):
        after = snapshot(network)
        assert loss(network) < first
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(
        any(word in name for word in ("k_proj", "v_proj", "c_attn", "qkv", "query_key")) for name in moved
    )
    assert all(parameter.grad is None for parameter in network.parameters())


def test_queries_stay_as_they_are_where_one_matrix_holds_all_three() -> None:
    gpt2, neox, phi3 = (tiny_network(family) for family in ("gpt2", "gpt-neox", "phi3"))
    for network, name, queries in (
        (gpt2, "transformer.h.0.attn.c_attn.weight", lambda w: w[:, :32]),
        (neox, "gpt_neox.layers.0.attention.query_key_value.weight", lambda w: w.view(4, 3, 8, -1)[:, 0]),
        (phi3, "model.layers.0.self_attn.qkv_proj.weight", lambda w: w[:32]),
    ):
        before = snapshot(network)[name]
        with finetuned(network, key_value_parts(network), ROWS, 0.01):
            after = snapshot(network)[name]
        assert torch.equal(queries(before), queries(after)), name
        assert float((before != after).float().mean()) > 0.4, name


def test_a_step_goes_down_the_gradient_of_one_row() -> None:
    network = tiny_network("llama")
    weight = network.model.layers[1].self_attn.v_proj.weight
    slope = torch.autograd.grad(-token_logprobs(network, ROWS[:1], layout="padded")[0].mean(), weight)[0]
    before = weight.detach().clone()
    with finetuned(network, key_value_parts(network), ROWS[:1], 0.01):
        assert torch.allclose(weight, before - 0.01 * slope, atol=1e-7)


def test_all_is_taken_back_after_an_error_too() -> None:
    network = tiny_network("llama")
    network.model.embed_tokens.weight.requires_grad_(False)
    before = snapshot(network)
    with pytest.raises(KeyError), finetuned(network, key_value_parts(network), ROWS, 0.01):
        raise KeyError
    too_much = finetuned(network, key_value_parts(network), ROWS * 4, 1e39)
    with pytest.raises(ModelError, match="no longer a number with learning rate 1e"), too_much:
        pass
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.model.embed_tokens.weight.requires_grad
    assert network.model.norm.weight.requires_grad


def test_a_decoder_of_another_form_is_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match="of FalconForCausalLM are not found in its FalconAttention") as e:
        key_value_parts(tiny_network("falcon"))
    assert "\n" not in str(e.value)
