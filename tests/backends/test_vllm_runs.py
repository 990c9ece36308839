"""Experiments on the vllm backend, with the stand-in: the same YAML, the same predictions, and the plan."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import icl
from icl.backends.vllm.model import VllmModel
from icl.cli import main
from icl.experiments.asking.models import TokenizerOnly
from icl.experiments.plan import RehearsalModel
from icl.types import GenerateRequest, ScoreRequest
from tests.backends import standin_vllm
from tests.byte_folder import write_folder
from tests.engine.tiny import redraw


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a tokenizer of its own."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("model")
    config = write_folder(
        folder,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
    )
    network = AutoModelForCausalLM.from_config(config).float()
    redraw(network)
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def standing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", standin_vllm.module())


def experiment(model: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "model": model,
        "task": "questions",
        "pool": 20,
        "test": 4,
        "seeds": [0],
        "grid": {"selector": ["random"], "shots": [2], "method": ["direct"]},
        "leaderboard": {},
        **more,
    }


def test_the_same_predictions_as_by_icls_own_engine(weights: Path, standing_in: None, tmp_path: Path) -> None:
    own = icl.run(experiment(str(weights), dtype="float32"), output=tmp_path / "own")
    other = icl.run(
        experiment({"vllm": {"model": str(weights), "dtype": "float32"}}), output=tmp_path / "vllm"
    )
    pairs = [
        (p, q)
        for one, two in zip(own.results, other.results, strict=True)
        for p, q in zip(one.predictions, two.predictions, strict=True)
    ]
    assert len(pairs) >= 8
    for p, q in pairs:
        assert (p.query_id, p.answer) == (q.query_id, q.answer)
        assert q.label_scores == pytest.approx(p.label_scores, abs=1e-4)
    session = other.folder.manifest()["sessions"][-1]
    assert session["engine"] == "vllm 0.32.0"


def test_the_plan_says_what_is_forwarded_again(
    weights: Path, standing_in: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import yaml

    file = tmp_path / "e.yaml"
    file.write_text(
        yaml.safe_dump(experiment({"vllm": {"model": str(weights), "block": 32}})), encoding="utf-8"
    )
    with pytest.raises(SystemExit) as end:
        main(["plan", str(file), "-o", str(tmp_path / "runs")])
    said = capfd.readouterr().out
    assert end.value.code == 0
    assert "Forwarded besides: " in said
    assert "vllm's prefix cache holds whole blocks of 32 tokens" in said


def test_a_plan_counts_what_the_run_forwards(weights: Path, standing_in: None) -> None:
    model = VllmModel(model=str(weights), block=8)
    prompts = [f"The same beginning, then {end}" for end in ("one", "two", "twelve", "one more")]
    scored = [ScoreRequest(p, (" yes", " no", " neither")) for p in prompts]
    written = [GenerateRequest(p, max_tokens=3, ignore_eos=True) for p in prompts]
    known = TokenizerOnly(model.name, model.tokenizer, lambda: model.context_length, recomputing=model)
    rehearsal = RehearsalModel(known)
    rehearsal.score(scored)
    found = sum(s.usage.tokens_unique for s in model.score(scored))
    assert rehearsal.total.tokens_unique + rehearsal.recomputed == found
    assert rehearsal.recomputed > 0
    again = rehearsal.recomputed
    rehearsal.generate(written)
    plain = VllmModel(model=str(weights), block=8)
    read = sum(g.usage.tokens_unique for g in plain.generate(written)) - 4 * 2
    shared = len(
        set().union(
            *({ids[:n] for n in range(1, len(ids) + 1)} for ids in map(plain.tokenizer.encode, prompts))
        )
    )
    assert rehearsal.recomputed - again == read - shared


def test_a_model_without_vllm_is_one_line(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import yaml

    monkeypatch.setitem(sys.modules, "vllm", None)
    file = tmp_path / "e.yaml"
    file.write_text(yaml.safe_dump(experiment({"vllm": {"model": str(weights)}})), encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["plan", str(file)])
    said = capfd.readouterr().err
    assert end.value.code == 2
    assert "pip install vllm" in said
    assert "Traceback" not in said
