"""Networks that change after loading, and networks that peft has wrapped."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import packed
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.hooked import HookedTrunk
from icl.engine.trunks.watch import Watch
from icl.types import GenerateRequest, ScoreRequest

from .tiny import CONTEXT, IntegerTokenizer, largest_difference, ragged, tiny_network

peft = pytest.importorskip("peft")

TEXTS = ragged(1)
ASKED = [ScoreRequest(text, ((5, 6, 7), (8,))) for text in TEXTS]
COMMON: dict[str, Any] = {"name": "m", "context_length": CONTEXT, "fingerprint": "f"}

needs_packing = pytest.mark.skipif(
    not packed.available(torch.float32), reason="no packed weights in this build of torch"
)


def chosen(network: Any) -> Any:
    return choose_engine(network, IntegerTokenizer(), **COMMON)


def off(network: Any, model: Any) -> float:
    """Largest difference to plain forwards of the network as it is now."""
    naive = NaiveModel(network, IntegerTokenizer(), **COMMON)
    return largest_difference(model.score(ASKED), naive.score(ASKED))


def scale_in_place(network: Any) -> None:
    with torch.no_grad():
        network.model.layers[1].mlp.up_proj.weight.mul_(1.5)


def scale_data(network: Any) -> None:
    network.model.layers[0].self_attn.o_proj.weight.data.mul_(1.5)


def other_tensor(network: Any) -> None:
    weight = network.lm_head.weight
    weight.data = weight.data * 1.5


def hook(network: Any) -> None:
    network.model.layers[0].register_forward_hook(lambda module, given, out: out * 1.2)


def put_adapter(network: Any) -> None:
    settings = peft.LoraConfig(target_modules=["q_proj", "down_proj"], r=2, init_lora_weights=False)
    peft.get_peft_model(network, settings)


@needs_packing
@pytest.mark.parametrize("change", [scale_in_place, scale_data, other_tensor, hook, put_adapter])
def test_packed_weights_follow_the_network(change: Any, caplog: pytest.LogCaptureFixture) -> None:
    network = tiny_network("llama")
    model = chosen(network)
    assert isinstance(model.trunk, FusedTrunk)
    before = model.score(ASKED)
    change(network)
    caplog.set_level(logging.WARNING, logger="icl")
    assert off(network, model) < 1e-4
    assert largest_difference(model.score(ASKED), before) > 1e-2
    assert model.fingerprint != "f"
    assert sum("have changed since it was loaded" in r.getMessage() for r in caplog.records) == 1
    if change in (hook, put_adapter):
        assert isinstance(model.trunk, HookedTrunk)
        assert "packed weights would leave out" in caplog.text


def test_an_adapter_that_does_nothing_yet_is_not_packed(caplog: pytest.LogCaptureFixture) -> None:
    """A fresh LoRA adds 0 and passes any comparison; it is refused for what it may become."""
    caplog.set_level(logging.INFO, logger="icl")
    network = peft.get_peft_model(tiny_network("llama"), peft.LoraConfig(target_modules=["v_proj"], r=2))
    model = chosen(network)
    assert isinstance(model, TrieModel)
    assert isinstance(model.trunk, HookedTrunk)
    if packed.available(torch.float32):
        assert "v_proj is a peft.tuners.lora.layer.Linear" in caplog.text
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    assert off(network, model) < 1e-4
    with network.disable_adapter():
        assert off(network, model) < 1e-4
    assert off(network, model) < 1e-4


def test_the_fingerprint_comes_back_with_the_weights() -> None:
    network = tiny_network("gpt2")
    model = chosen(network)
    weight = network.transformer.h[0].mlp.c_fc.weight
    held = weight.detach().clone()
    prints = [model.fingerprint]
    for factor in (2.0, 3.0, 2.0):
        weight.data.copy_(held * factor)
        prints.append(model.fingerprint)
    assert prints[1] == prints[3]
    assert len(set(prints)) == 3


def test_a_watch_is_quiet_while_nothing_changes() -> None:
    network = tiny_network("llama")
    watch = Watch(network)
    network(input_ids=torch.tensor([[3, 4]]))
    network.set_attn_implementation("sdpa")
    assert not watch.changed()
    network.model.norm.weight.data[0] = float("nan")
    assert watch.changed()
    assert not watch.changed()


@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_virtual_tokens_before_every_text(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Scores are those of the rows after them, and texts are what peft's own `generate` writes."""
    settings = getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=5)
    network = peft.get_peft_model(tiny_network("llama"), settings).eval()
    caplog.set_level(logging.WARNING, logger="icl")
    model = chosen(network)
    assert isinstance(model, NaiveModel)
    assert model.context_length == CONTEXT - 5
    assert "puts 5 virtual tokens before every text" in caplog.text
    prompt = TEXTS[0]
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        logits = network(input_ids=ids, use_cache=False).logits[0, -1]
    [scores] = model.score([ScoreRequest(prompt, ((8,),))])
    assert scores.token_logprobs[0][0] == pytest.approx(float(torch.log_softmax(logits, -1)[8]), abs=1e-4)
    [generation] = model.generate([GenerateRequest(prompt, max_tokens=5, ignore_eos=True)])
    own = network.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False,
        eos_token_id=None,
    )  # fmt: skip
    assert generation.samples[0].token_ids == tuple(own[0, len(prompt) :].tolist())
