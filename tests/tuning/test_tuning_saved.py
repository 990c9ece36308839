"""Tunings taken over from a folder: icl's own, and adapters that peft has saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.errors import DataError, IclError, ModelError
from icl.protocols import tuners
from icl.training import Network, Root, TrainingRow
from icl.tuning.shared.folder import read_about, save_tuned
from icl.tuning.shared.forward import token_logprobs
from icl.tuning.shared.tokens import TokenRow
from tests.engine.tiny import ragged, tiny_network
from tests.tuning.planted import fresh, planted, resources

peft = pytest.importorskip("peft")

ROWS = [TokenRow(ids, len(ids) - 3, TrainingRow(str(at), "", "", "")) for at, ids in enumerate(ragged(3))]
ALL = "all-linear"
MERGED: dict[str, Any] = {
    "lora": lambda: peft.LoraConfig(r=4, target_modules=ALL),
    "dora": lambda: peft.LoraConfig(r=4, target_modules=ALL, use_dora=True),
    "rslora": lambda: peft.LoraConfig(
        r=4, target_modules=["q_proj"], use_rslora=True, rank_pattern={"0.*": 2}
    ),
    "head": lambda: peft.LoraConfig(r=4, target_modules=["v_proj"], modules_to_save=["lm_head"]),
    "adalora": lambda: peft.AdaLoraConfig(init_r=4, target_r=2, target_modules=ALL, total_step=10),
    "fourierft": lambda: peft.FourierFTConfig(n_frequency=40, target_modules=["q_proj", "v_proj"]),
    "ia3": lambda: peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
}  # fmt: skip
ROOTS: dict[str, Any] = {
    "prompt_tuning": lambda: peft.PromptTuningConfig(num_virtual_tokens=4),
    "p_tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=16),
    "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4),
    "prefix_mlp": lambda: peft.PrefixTuningConfig(
        num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=8
    ),
}
MODULES: dict[str, Any] = {
    "adaption": lambda: peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=2),
}
KINDS = MERGED | ROOTS | MODULES


def saved_by_peft(kind: str, folder: Path, network: Network | None = None) -> Any:
    """An adapter of random weights, as peft saves it, and peft's model."""
    torch.manual_seed(0)
    config = KINDS[kind]()
    config.task_type = "CAUSAL_LM"
    model = peft.get_peft_model(network or fresh(), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(str(folder))
    return model.eval()


def logprobs(network: Network, root: Root | None = None) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(token_logprobs(network, ROWS, root, "padded"))


def by_peft(model: Any) -> torch.Tensor:
    found = []
    with torch.no_grad():
        for row in ROWS:
            scores = model(input_ids=torch.tensor([row.ids])).logits[0, -len(row.ids) :].log_softmax(-1)
            at = torch.arange(row.start, len(row.ids))
            found.append(scores[at - 1, torch.tensor(row.ids[row.start :])])
    return torch.cat(found)


def take(folder: Path, **more: Any) -> Any:
    return tuners.create("saved", {"folder": str(folder)}).fit([], resources(**more))


@pytest.mark.parametrize("kind", KINDS)
def test_what_peft_saved_is_asked_as_peft_asks_it(kind: str, tmp_path: Path) -> None:
    expected = by_peft(saved_by_peft(kind, tmp_path / "adapter"))
    tuned = take(tmp_path / "adapter")
    assert torch.allclose(logprobs(tuned.network, tuned.root), expected, atol=1e-4)
    assert (logprobs(fresh()) - expected).abs().max() > 1e-2
    assert (tuned.root is not None) == (kind in ROOTS)
    own = {name for name, _ in fresh().named_parameters()}
    assert ({name for name, _ in tuned.network.named_parameters()} == own) == (kind not in MODULES)
    assert not any(p.requires_grad for p in tuned.network.parameters())
    assert tuned.cost.trainable > 0
    assert tuned.cost.steps == 0

    save_tuned(tuned, tmp_path / "kept", {})  # as a run keeps it: the first folder may go
    shutil.rmtree(tmp_path / "adapter")
    about = read_about(tmp_path / "kept")
    again = tuners.create(about["tuner"], about["parameters"]).restore(tuned.state, fresh())
    assert torch.equal(logprobs(again.network, again.root), logprobs(tuned.network, tuned.root))


@pytest.mark.parametrize(
    ("method", "settings"),
    [("lora", {"rank": 2}), ("prefix", {"length": 4}), ("adapter_serial", {"size": 4}), ("full", {})],
)
def test_what_icl_saved_is_taken_over_with_its_cost(method: str, settings: Any, tmp_path: Path) -> None:
    trained = tuners.create(method, {"steps": 3, **settings}).fit(planted(8), resources())
    save_tuned(trained, tmp_path, {"of": {"base": "weights-tokens"}})
    tuned = take(tmp_path, fingerprint="weights-tokens-float32")
    assert torch.allclose(
        logprobs(tuned.network, tuned.root), logprobs(trained.network, trained.root), atol=1e-6
    )
    assert tuned.cost == trained.cost
    assert tuned.config["tuner"] == method
    assert tuned.notes["losses"] == trained.notes["losses"]
    with pytest.raises(
        ModelError, match=r"was trained on another base.* weights-tokens; here they are others"
    ):
        take(tmp_path, fingerprint="others-tokens-float32")


DEEPER, WIDER = {"num_hidden_layers": 3}, {"hidden_size": 64}
UNFIT = [(kind, DEEPER) for kind in ("lora", "dora", "fourierft", "prefix")]
UNFIT += [(kind, WIDER) for kind in ("lora", "dora", "prompt_tuning", "prefix", "adaption")]


@pytest.mark.parametrize(("kind", "other"), UNFIT)
def test_an_adapter_of_another_base_is_refused(kind: str, other: dict[str, Any], tmp_path: Path) -> None:
    """peft itself reads that of a deeper model without a word."""
    saved_by_peft(kind, tmp_path, tiny_network("llama", **other))
    with pytest.raises(
        ModelError, match=r"the adapter \(\w+\) does not fit this model.*: .*(here|model|shape)"
    ):
        take(tmp_path)


def change(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    saved_by_peft("lora", tmp_path)
    for fields, said in [
        ({"peft_type": "MAGIC"}, "peft_type is 'MAGIC', which this peft does not know"),
        ({"peft_type": "XLORA"}, "XLORA is more than a change of the layers"),
        ({"alora_invocation_tokens": [5]}, "activated LoRA is more than a change"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'; allowed: CAUSAL_LM"),
        ({"peft_type": None}, "is no configuration of an adapter"),
    ]:
        before = (tmp_path / "adapter_config.json").read_text()
        change(tmp_path, **fields)
        with pytest.raises(DataError, match=said):
            take(tmp_path)
        (tmp_path / "adapter_config.json").write_text(before)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(DataError, match=r"adapter_model\.bin is a pickle, which is not read"):
        take(tmp_path)
    with pytest.raises(DataError, match="no tuned model was saved in this folder"):
        take(tmp_path / "nowhere")
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(DataError, match=r"adapter_config\.json: cannot be read"):
        take(tmp_path)
    with pytest.raises(IclError, match="folder is ''; allowed: the path of a folder"):
        tuners.create("saved", {"folder": ""})
