"""The attention at the last token against transformers' own."""

from __future__ import annotations

import pytest
import torch

from icl.mechanism.shared.gradient_descent.looking import last_token
from icl.mechanism.shared.heads import HeadReader
from tests.engine.tiny import tiny_network

IDS = (2, 20, 31, 42, 53, 64, 75)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt-neox", "qwen3"])
def test_scores_and_outputs_are_those_of_the_network(family: str) -> None:
    network = tiny_network(family)
    seen = last_token(HeadReader(network), IDS)
    own = network(input_ids=torch.tensor([IDS]), output_attentions=True).attentions  # eager
    weights = torch.softmax(torch.from_numpy(seen.scores), dim=-1)
    for layer, wanted in enumerate(own):
        assert torch.allclose(weights[layer].float(), wanted[0, :, -1], atol=1e-5)
    assert seen.outputs.shape == (2, 32)


def test_outputs_are_what_is_added_to_the_residual_stream() -> None:
    network = tiny_network("llama")
    added = []
    hooks = [
        layer.self_attn.register_forward_hook(lambda m, given, out: added.append(out[0][0, -1].detach()))
        for layer in network.model.layers
    ]
    network(input_ids=torch.tensor([IDS]))
    for hook in hooks:
        hook.remove()
    seen = last_token(HeadReader(network), IDS)
    assert torch.allclose(torch.from_numpy(seen.outputs).float(), torch.stack(added), atol=1e-5)
