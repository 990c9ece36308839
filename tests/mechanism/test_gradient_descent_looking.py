"""The attention at the last token, and the labels behind it, against transformers' own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from icl.mechanism.shared.gradient_descent.looking import LastToken, last_tokens
from icl.mechanism.shared.heads import HeadReader
from icl.training import Network, TrainingRow
from icl.tuning.shared.tokens import TokenRow
from tests.engine.tiny import WINDOW, tiny_network

SHARED = tuple(range(20, 20 + WINDOW))
PROMPTS = [(2, *SHARED, 31, 42), (2, *SHARED, 53, 64, 75), (2, 20, 31)]
LABELS = [(80,), (81, 90)]


def rows(prompt: Sequence[int]) -> list[TokenRow]:
    return [TokenRow((*prompt, *label), len(prompt), TrainingRow("", "", "", "")) for label in LABELS]


def plain(network: Network, prompt: tuple[int, ...]) -> LastToken:
    """By forwards of the network itself, eager, one text each."""
    added: list[torch.Tensor] = []
    hooks = [
        layer.self_attn.o_proj.register_forward_hook(lambda m, given, out: added.append(out[0, -1].detach()))
        for layer in network.model.layers
    ]
    weights = network(input_ids=torch.tensor([prompt]), output_attentions=True).attentions
    for hook in hooks:
        hook.remove()
    chances = []
    for label in LABELS:
        logits = network(input_ids=torch.tensor([prompt + label])).logits[0].log_softmax(-1)
        learned = range(len(prompt), len(prompt) + len(label))
        chances.append(float(sum(logits[at - 1, (prompt + label)[at]] for at in learned)))
    attention = torch.stack([w[0, :, -1] for w in weights]).detach().numpy()
    return LastToken(torch.stack(added).numpy(), attention, tuple(chances))


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "mistral"])
@torch.no_grad()
def test_prompts_in_one_forward_are_seen_as_each_alone(family: str) -> None:
    """gemma2 and mistral have windows that end before the longest prompt does, and gemma2 caps."""
    network = tiny_network(family)
    for seen, prompt in zip(
        last_tokens(HeadReader(network), [rows(p) for p in PROMPTS]), PROMPTS, strict=True
    ):
        wanted = plain(network, prompt)
        assert seen.outputs == pytest.approx(wanted.outputs, abs=1e-4)
        assert seen.labels == pytest.approx(wanted.labels, abs=1e-4)
        exact = torch.from_numpy(seen.scores)
        exact = exact.masked_fill(torch.from_numpy(wanted.scores == 0), -torch.inf)
        assert torch.softmax(exact, -1).numpy() == pytest.approx(wanted.scores, abs=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "gpt-neox", "opt"])
def test_families_with_other_positions_too(family: str) -> None:
    network = tiny_network(family)
    reader = HeadReader(network)
    together = last_tokens(reader, [rows(p) for p in PROMPTS])
    for seen, prompt in zip(together, PROMPTS, strict=True):
        own = network(input_ids=torch.tensor([prompt]), output_attentions=True).attentions
        wanted = torch.stack([w[0, :, -1] for w in own]).detach()
        assert torch.allclose(torch.softmax(torch.from_numpy(seen.scores), -1).float(), wanted, atol=1e-5)
