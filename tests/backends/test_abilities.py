"""What a model gives is measured by asking it."""

from __future__ import annotations

import pytest
import yaml

from icl.backends.abilities import measure
from icl.cli import main
from icl.engine.fake import FakeModel
from tests.backends.conftest import opened
from tests.backends.server import NAME


def test_an_honest_server_and_one_that_is_none(started):
    found = measure(opened(started(), scoring="echo"))
    assert found.scoring == "exact, longer texts too"
    assert found.logprobs == "yes, as scored"
    assert found.generation == "yes, 4 of 4 samples differ"
    assert found.determinism == "scores equal, greedy equal, seeds heeded"
    poor = measure(opened(started(top=0, choice="", seed="ignored")))
    assert poor.scoring.startswith("no: ")
    assert "labels cannot be scored there" in poor.scoring
    assert poor.logprobs == "of texts: not said"
    bounds = measure(opened(started(), scoring="top_k"))
    assert bounds.scoring.startswith("bounds for ")


def test_shared_prefixes_are_counted():
    assert measure(FakeModel()).sharing == "1.0x"
    assert measure(FakeModel()).logprobs.endswith("nats from what is scored")


def test_the_command_says_it_of_the_models_of_a_file(started, tmp_path, capsys, monkeypatch):
    server = started()
    model = {"openai": {"model": NAME, "base_url": server.url, "tokenizer": "fake"}}
    grid = {"selector": ["zero_shot"], "shots": [0]}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "model": model, "task": "questions", "grid": grid}))
    monkeypatch.setattr("sys.argv", ["icl", "models", str(path), "--backends"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out
    assert ended.value.code in (0, None), said
    assert "openai\tAny OpenAI-compatible server, through the official client." in said
    row = next(line for line in said.splitlines() if line.startswith(f"openai:{NAME}\t"))
    assert "exact, longer texts too" in row
    assert "scoring token_ids" in row
