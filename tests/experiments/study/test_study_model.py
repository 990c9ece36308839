"""A study that looks at a decoder: opened when a step is left, known by its fingerprint before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from transformers import LlamaForCausalLM

import icl
from icl.errors import ConfigError, ModelError
from icl.experiments.study import running
from icl.mechanism.contract import Decoder, Found, Report, Step, Work, studies
from icl.tasks import TaskData
from icl.types import ScoreRequest
from tests.byte_folder import write_folder

PROMPT, CONTINUATION = "abcabca", "b"


class Sees:
    """Scores of the engine before and after the network is changed in place."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}, "paper": {}}
    needs_model: ClassVar[bool] = True

    def __init__(self, *, longest: int = 4) -> None:
        self.longest = longest

    def tasks(self) -> tuple[str, ...]:
        return ()

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        if model is not None and model.context_length is not None and self.longest > model.context_length:
            raise ConfigError(f"longest is {self.longest}; {model.name} takes {model.context_length} tokens")

    def steps(self) -> tuple[Step, ...]:
        return (Step("scores", 2, "scores", after=()), Step("after", 1, "scores"))

    def pace(self, step: Step, work: Work) -> float:
        return 1.0

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        assert work.model is not None
        engine, found = work.model.engine(), []
        if step.name == "scores":
            found.append(self._score(engine))
        layer = work.model.network.model.layers[0].mlp
        handle = layer.register_forward_hook(lambda module, given, out: torch.zeros_like(out))
        try:
            found.append(self._score(engine))
        finally:
            handle.remove()
        assert work.model.engine() is engine
        return {"scores": found, "context": work.model.context_length}

    def _score(self, engine: Any) -> float:
        (scores,) = engine.score([ScoreRequest(PROMPT, (CONTINUATION,))])
        return float(scores.logprobs[0])

    def report(self, found: Mapping[str, Found]) -> Report:
        return Report(())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny random Llama with its weights."""
    path = tmp_path / "tiny"
    path.mkdir()
    config = write_folder(
        path, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(path)
    list(studies)
    studies.register("sees")(Sees)
    yield path
    del studies._entries["sees"]


def given(folder: Path, **parameters: Any) -> dict[str, Any]:
    return {"name": "seen", "study": {"sees": parameters}, "model": str(folder)}


def test_the_engine_sees_what_hooks_do_and_the_manifest_says_whose_weights(folder, tmp_path: Path) -> None:
    made = icl.study(given(folder), output=tmp_path)
    kept = running.StudyFolder(made.path).step("scores")
    assert kept is not None
    plain, hooked = kept["found"]["scores"]
    assert abs(plain - hooked) > 1e-4
    assert kept["found"]["context"] == 400
    engine = icl.load_model(str(folder))
    (scores,) = engine.score([ScoreRequest(PROMPT, (CONTINUATION,))])
    assert plain == pytest.approx(scores.logprobs[0], abs=1e-4)
    assert running.StudyFolder(made.path).manifest["identity"]["model"] == engine.fingerprint


def test_weights_are_not_read_where_nothing_is_left_and_other_weights_are_refused(
    folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = icl.study(given(folder), output=tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(running, "open_decoder", refuse)
    assert icl.study(given(folder), output=tmp_path).report == first.report
    weights = folder / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(ConfigError, match="a model with other weights, tokenizer or precision"):
        icl.study(given(folder), output=tmp_path)


def test_what_only_the_open_model_shows_is_said_with_its_place(folder, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"name: seen\nmodel: {folder}\nstudy:\n  sees: {{longest: 401}}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        icl.study(path, output=tmp_path)
    assert str(caught.value).startswith(f"{path}:4: study.sees: longest is 401; ")
    assert str(caught.value).endswith("takes 400 tokens")


def test_a_damaged_model_is_one_line(folder, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError) as caught:
        icl.study(given(folder), output=tmp_path)
    assert "\n" not in str(caught.value)
