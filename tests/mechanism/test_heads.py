"""Heads are read as transformers' own eager attention has them, and taken away whole."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from icl.engine.rungs.plain import plain_logits
from icl.engine.rungs.trie_model import TrieModel
from icl.errors import ConfigError, ModelError
from icl.mechanism.shared import heads as heads_module
from icl.mechanism.shared.heads import Head, HeadReader, Seen
from icl.types import ScoreRequest
from tests.engine.tiny import CONTEXT, VOCAB, IntegerTokenizer, tiny_network

READ = ("llama", "gpt2", "gpt-neox", "gemma2", "gemma3", "qwen3", "opt", "mistral", "phi3", "gpt-oss")


def texts(count: int = 3, length: int = 21) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(3, VOCAB, (count, length), generator=draw)


@pytest.mark.parametrize("family", READ)
def test_weights_are_those_of_eager_attention(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network(family)
    tokens = texts()
    with torch.inference_mode():
        own = network(tokens, output_attentions=True, output_hidden_states=True, use_cache=False)
    monkeypatch.setattr(heads_module, "MOST_WEIGHTS", 3 * 4 * 21 * 8)  # blocks of 8 rows
    reader = HeadReader(network)
    positions = [-1, 4, 17, 0]
    found = reader.rows(tokens, positions)
    assert found.shape == (reader.layers, 3, 4, 4, 21)
    expected = torch.stack(own.attentions)[:, :, :, positions]
    assert torch.allclose(found, expected, atol=1e-5)
    hidden = reader.forward(tokens, lambda seen: None)
    assert torch.allclose(reader.logits(hidden), own.logits.float(), atol=1e-3)
    assert network.config._attn_implementation == "eager"


@pytest.mark.parametrize("family", READ)
def test_outputs_are_what_the_projection_is_given(family: str) -> None:
    network = tiny_network(family)
    tokens = texts()
    reader = HeadReader(network)
    found = reader.outputs(tokens, range(21))
    given: list[torch.Tensor] = []
    hooks = [p.register_forward_pre_hook(lambda m, x: given.append(x[0])) for p in reader.projections]
    with torch.inference_mode():
        network(tokens, use_cache=False)
    for hook in hooks:
        hook.remove()
    expected = torch.stack(given).unflatten(-1, (4, -1)).transpose(2, 3)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_head_taken_away_is_a_head_whose_projection_is_zero() -> None:
    network = tiny_network("llama")
    ids = texts()[0].tolist()
    whole = plain_logits(network, ids)
    reader = HeadReader(network)
    with torch.inference_mode(), reader.without([Head(1, 2), Head(0, 3)]):
        without = plain_logits(network, ids)
    assert torch.equal(plain_logits(network, ids), whole)
    size = reader.head_size
    with torch.no_grad():
        reader.projections[1].weight[:, 2 * size : 3 * size] = 0
        reader.projections[0].weight[:, 3 * size :] = 0
    assert torch.allclose(plain_logits(network, ids), without, atol=1e-5)
    assert (without - whole).abs().max() > 0.1


def test_the_engine_sees_heads_that_are_taken_away() -> None:
    network = tiny_network("qwen3")
    engine = TrieModel(network, IntegerTokenizer(), name="tiny", context_length=CONTEXT, fingerprint="tiny")
    request = ScoreRequest("5 6 7 8 5 6", (" 7", " 8"))
    before = engine.score([request])[0].logprobs
    reader = HeadReader(network)
    with reader.without([Head(0, 0), Head(1, 1)]):
        taken = engine.score([request])[0].logprobs
        with torch.inference_mode():
            plain = plain_logits(network, [5, 6, 7, 8, 5, 6])[-1].log_softmax(-1)
    assert taken == pytest.approx([float(plain[7]), float(plain[8])], abs=1e-4)
    assert abs(taken[0] - before[0]) > 0.01
    assert engine.score([request])[0].logprobs == pytest.approx(before, abs=1e-6)


def test_the_mean_in_the_place_of_a_head() -> None:
    network = tiny_network("gpt2")
    reader = HeadReader(network)
    tokens = texts()
    means = reader.means([tokens[:1], tokens[1:]])
    outputs = reader.outputs(tokens, range(1, 21))
    for head, mean in means.items():
        assert torch.allclose(mean, outputs[head.layer, :, head.head].mean(dim=(0, 1)), atol=1e-5)
    taken = Head(1, 0)
    with reader.without([taken], means):
        given: list[torch.Tensor] = []
        hook = reader.projections[1].register_forward_pre_hook(lambda m, x: given.append(x[0]))
        with torch.inference_mode():
            network(tokens, use_cache=False)
        hook.remove()
    parts = given[0].unflatten(-1, (4, -1))
    assert torch.allclose(parts[:, :, 0], means[taken].expand(3, 21, -1))
    assert not torch.allclose(parts[:, :, 1], means[Head(1, 1)].expand(3, 21, -1), atol=1e-2)


def test_gradients_go_through_the_weights() -> None:
    network = tiny_network("llama")
    reader = HeadReader(network)
    tokens = texts(1)
    seen: list[Seen] = []

    def look(part: Seen) -> None:
        part.weights.retain_grad()
        seen.append(part)

    hidden = reader.differentiable(tokens, look)
    reader.logits(hidden)[0, -1].log_softmax(-1)[7].backward()
    gradient = torch.stack([part.weights.grad for part in seen if part.weights.grad is not None])
    assert gradient.shape == (2, 1, 4, 21, 21)
    assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("family", ["mamba", "rwkv", "bloom"])
def test_a_network_without_heads_to_be_read_is_refused_in_one_line(family: str) -> None:
    sizes = {
        "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
        "rwkv": {"hidden_size": 16, "num_hidden_layers": 2, "attention_hidden_size": 16},
        "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    }
    network = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](vocab_size=VOCAB, **sizes[family]))
    with pytest.raises(
        ModelError, match=r"heads of \w+ cannot be read: .*; read are decoders.*gpt2"
    ) as error:
        HeadReader(network)
    assert "\n" not in str(error.value)


def test_a_text_longer_than_the_context_is_refused() -> None:
    reader = HeadReader(tiny_network("llama"))
    with pytest.raises(ConfigError, match=f"{CONTEXT + 1} tokens are longer than the context .* {CONTEXT}"):
        reader.rows(torch.full((1, CONTEXT + 1), 5), [-1])
