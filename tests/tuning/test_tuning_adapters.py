"""Networks with modules in them: serial and parallel adapters, LLaMA-Adapter."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.trunks.hooked import HookedTrunk
from icl.errors import ConfigError
from icl.protocols import tuners
from icl.training import Network
from icl.tuning.shared import checkpoint
from icl.tuning.shared.folder import read_about, read_state, save_tuned
from icl.tuning.shared.sublayers import sublayers
from icl.types import GenerateRequest, ScoreRequest
from tests.engine.tiny import CONTEXT, IntegerTokenizer, largest_difference, ragged, tiny_network
from tests.tuning.planted import Killed, accuracy, fresh, planted, resources, stop_at

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "houlsby": ("adapter_serial", {"size": 8, "learning_rate": 0.03}),
    "pfeiffer": ("adapter_serial", {"size": 8, "placement": "pfeiffer", "activation": "gelu"}),
    "parallel": ("adapter_parallel", {"size": 8, "learning_rate": 0.01}),
    "parallel-both": ("adapter_parallel", {"size": 48, "placement": "both", "activation": "silu"}),
    "llama": ("llama_adapter", {"layers": 2, "learning_rate": 0.1}),
}
ASKED = [ScoreRequest(text, ((5, 6, 7), (8,))) for text in ragged(1)]
WRITE = [GenerateRequest(text, n=2, max_tokens=5, temperature=1.0) for text in ragged(1)[:3]]
IDS = torch.tensor([ragged(2)[0]])


def made(which: str, **changes: Any) -> Any:
    name, settings = METHODS[which]
    return tuners.create(name, {"batch_size": 16, "steps": 60, **settings, **changes})


def moved(which: str, network: Network) -> Network:
    """With the adapters away from their start."""
    attached = made(which).attach(network, resources(network=network))
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in attached.parameters().values():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draw)
    return attached.finish()[0]


def logits(network: Network) -> torch.Tensor:
    with torch.no_grad():
        return network(IDS).logits


def texts(model: Any) -> list[tuple[str, ...]]:
    return [tuple(sample.text for sample in g.samples) for g in model.generate(WRITE)]


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt-neox", "gemma2"])
@pytest.mark.parametrize("which", METHODS)
def test_starts_at_the_base_to_the_bit(which: str, family: str) -> None:
    base, network = tiny_network(family), tiny_network(family)
    if which == "llama" and family != "llama":
        with pytest.raises(ConfigError, match=r"does not fit .*allowed: llama, mistral"):
            made(which).attach(network, resources())
        return
    attached = made(which).attach(network, resources())
    assert torch.equal(logits(attached.network.eval()), logits(base))
    assert (logits(moved(which, tiny_network(family))) - logits(base)).abs().max() > 1e-2


def test_an_adapter_is_what_its_formula_says() -> None:
    """By hand, on one block: behind the sub-layer, beside it, in both placements."""
    for which, parts in {"houlsby": 2, "pfeiffer": 1, "parallel": 1, "parallel-both": 2}.items():
        base, network = tiny_network("llama"), moved(which, tiny_network("llama"))
        block, plain = network.model.layers[1], base.model.layers[1]
        names = [n for n, _ in block.named_children() if n.startswith("adapter_")]
        assert len(names) == parts
        x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
        adapter = block.adapter_mlp
        with torch.no_grad():
            h = plain.mlp(x)
            inner = adapter.down(x if "parallel" in which else h)
            f = {"gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu}.get(
                made(which).activation, torch.relu
            )
            wanted = h + (4.0 if "parallel" in which else 1.0) * adapter.up(f(inner))
            assert torch.allclose(block.mlp(x), wanted, atol=1e-6)
            assert (block.mlp(x) - h).abs().max() > 0.05


def test_a_copy_has_adapters_of_its_own() -> None:
    network = moved("parallel", fresh())
    other = copy.deepcopy(network)
    before = logits(network)
    with torch.no_grad():
        other.model.layers[0].adapter_mlp.up.weight.zero_()
    assert torch.equal(logits(network), before)
    assert (logits(other) - before).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("which", METHODS)
def test_runs_on_the_hooked_engine_exactly(which: str, family: str) -> None:
    if which == "llama" and family != "llama":
        return
    network = moved(which, tiny_network(family))
    common: dict[str, Any] = {"name": "m", "context_length": CONTEXT, "fingerprint": "f"}
    model = choose_engine(network, IntegerTokenizer(), **common)
    naive = NaiveModel(network, IntegerTokenizer(), **common)
    assert isinstance(model.trunk, HookedTrunk)  # type: ignore[attr-defined]
    assert largest_difference(model.score(ASKED), naive.score(ASKED)) < 1e-4
    assert texts(model) == texts(naive)


@pytest.mark.parametrize("which", ["houlsby", "parallel", "llama"])
def test_learns_the_rule_and_reads_it_back(which: str, tmp_path: Path) -> None:
    tuned = made(which).fit(planted(48, length=1), resources())
    assert tuned.root is None
    assert tuned.notes["layout"] == "trie"
    assert tuned.notes["losses"][-1] < 0.8 * tuned.notes["losses"][0]
    test = planted(24, seed=9, length=1, prefix="t")
    assert accuracy(tuned.network, test) > 0.9 > accuracy(fresh(), test)
    assert not any(p.requires_grad for p in tuned.network.parameters())
    save_tuned(tuned, tmp_path, {})
    about = read_about(tmp_path)
    again = tuners.create(about["tuner"], about["parameters"]).restore(read_state(tmp_path), fresh())
    assert torch.equal(logits(again.network), logits(tuned.network))
    assert sum(t.numel() for t in tuned.state.values()) == tuned.cost.trainable


def test_peft_reads_a_llama_adapter(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    tuned = made("llama", steps=8).fit(planted(12), resources())
    save_tuned(tuned, tmp_path, {})
    model = peft.PeftModel.from_pretrained(fresh(), str(tmp_path)).eval()
    assert torch.allclose(logits(model), logits(tuned.network), atol=1e-5)
    assert (logits(fresh()) - logits(model)).abs().max() > 1e-3


@pytest.mark.parametrize("which", ["houlsby", "parallel", "llama"])
def test_killed_and_gone_on_with(which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    pool, tuner = planted(12), made(which, steps=5)
    whole = tuner.fit(pool, resources())
    with pytest.raises(Killed):
        tuner.fit(pool, resources(folder=tmp_path, report=stop_at(3)))
    again = tuner.fit(pool, resources(folder=tmp_path))
    assert all(torch.equal(again.state[name], whole.state[name]) for name in whole.state)


@pytest.mark.parametrize(("family", "part", "ends"), [
    ("llama", "mlp", "mlp"), ("gpt2", "attention", "attn"), ("opt", "mlp", "fc2"),
    ("opt", "attention", "self_attn"), ("gpt-neox", "mlp", "mlp"), ("falcon", "mlp", "mlp"),
    ("bloom", "attention", "self_attention"),
    ("gpt-oss", "mlp", "mlp"), ("gptj", "attention", "attn"),
])  # fmt: skip
def test_sublayers_are_found_by_how_a_block_is_built(family: str, part: Any, ends: str) -> None:
    found = sublayers(tiny_network(family), part, "adapter_serial")
    assert len(found) == tiny_network(family).config.num_hidden_layers
    assert all(sub.last is dict(sub.block.named_children())[ends] for sub in found)


def test_what_does_not_fit_is_said() -> None:
    network = fresh()
    del network.model.layers[1].mlp
    with pytest.raises(ConfigError, match="0 parts of a LlamaDecoderLayer look like its feed-forward layer"):
        made("pfeiffer").attach(network, resources())
    with pytest.raises(ConfigError, match=r"layers is 3, and LlamaForCausalLM has 2; allowed: 0 to 2"):
        made("llama", layers=3).attach(fresh(), resources())
    with pytest.raises(ConfigError, match="its 4 heads of 16 do not make up the hidden size"):
        made("llama").attach(tiny_network("llama", head_dim=16), resources())
    with pytest.raises(ConfigError, match="placement is 'ffn'; allowed: mlp, attention, both"):
        made("parallel", placement="ffn")
