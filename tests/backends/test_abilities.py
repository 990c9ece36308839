"""What a model gives is measured by asking it; models with a fault of one kind are found out."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from itertools import count

import pytest
import yaml

from icl.backends.abilities import measure
from icl.cli import abilities as command
from icl.cli import main
from icl.engine.fake import FakeModel
from icl.types import Usage
from tests.backends.conftest import opened
from tests.backends.server import NAME


class Faulty(FakeModel):
    """A fake model whose requests, or results, are others than they should be."""

    def __init__(self, ask=lambda request: request, tell=lambda result: result) -> None:
        super().__init__()
        self._ask, self._tell = ask, tell

    def generate(self, requests, on_result=None):
        found = super().generate([self._ask(request) for request in requests], on_result)
        return [self._tell(result) for result in found]


def test_an_honest_server_and_one_that_is_none(started):
    found = measure(opened(started(), scoring="echo"))
    assert found.scoring.said == "exact, longer texts too"
    assert found.logprobs.said == "yes, as scored"
    assert found.generation.said == "yes, 4 of 4 samples differ"
    assert found.determinism.said == "scores equal, greedy equal, seeds heeded"
    poor = measure(opened(started(top=0, choice="", seed="ignored")))
    assert poor.scoring.said.startswith("no: ")
    assert "labels cannot be scored there" in poor.scoring.said
    assert poor.logprobs.said == "of texts: not said"
    bounds = measure(opened(started(), scoring="top_k"))
    assert bounds.scoring.said.startswith("bounds for ")


numbers = count()


@pytest.mark.parametrize(
    ("fault", "field", "said"),
    [
        ({}, "generation", "yes, 4 of 4 samples differ"),
        ({}, "determinism", "scores equal, greedy equal, seeds heeded"),
        ({"ask": lambda r: replace(r, stop=())}, "generation", "stop not heeded"),
        ({"ask": lambda r: replace(r, max_tokens=99)}, "generation", "longer than asked"),
        ({"ask": lambda r: replace(r, temperature=0.0)}, "generation", "yes, 1 of 4 samples differ"),
        (
            {"tell": lambda g: replace(g, samples=g.samples[:2])},
            "generation",
            "yes, 2 of 2 samples differ, 2 samples for 4",
        ),
        ({"ask": lambda r: replace(r, seed=next(numbers))}, "determinism", "seeds not heeded"),
        ({"ask": lambda r: replace(r, first_sample=0)}, "determinism", "samples depend on how many"),
    ],
)
def test_a_fault_is_found(fault, field, said):
    assert said in getattr(measure(Faulty(**fault)), field).said


def test_scores_that_are_no_probabilities_and_ones_that_depend_on_the_rest():
    assert "add up to 2.00" in measure(FakeModel(lambda prompt, text: 0.0)).scoring.said

    class Drifting(FakeModel):
        def score(self, requests, on_result=None):
            found = super().score(requests, on_result)
            shift = 0.001 * (len(requests) - 1)
            rows = [tuple(tuple(v - shift for v in row) for row in one.token_logprobs) for one in found]
            return [replace(one, token_logprobs=row) for one, row in zip(found, rows, strict=True)]

    found = measure(Drifting()).determinism
    assert "scores equal, among others within " in found.said
    assert found.figures["among"] == pytest.approx(0.005 * len(" good"), rel=0.3)


def test_shared_prefixes_by_tokens_and_by_the_clock():
    """A model that takes a tenth of a second a byte it has not seen the prefix of, and one that says so."""
    assert measure(FakeModel(), clock=lambda: 0.0).sharing.said == "none seen"
    assert measure(FakeModel()).logprobs.said.endswith("nats from what is scored")
    seconds = [0.0]

    class Caching(FakeModel):
        says = False

        def __init__(self):
            super().__init__()
            self.seen = set()

        def score(self, requests, on_result=None):
            results = super().score(requests, on_result)
            for at, request in enumerate(requests):
                ends = range(1, len(request.prompt) + 1)
                new = [request.prompt[:end] for end in ends if request.prompt[:end] not in self.seen]
                self.seen.update(new)
                seconds[0] += 0.1 * len(new)
                if self.says:
                    flat = len(request.prompt)
                    results[at] = replace(results[at], usage=Usage(flat, len(new)))
            return results

    silent = measure(Caching(), clock=lambda: seconds[0]).sharing
    assert silent.figures["tokens"] == 1.0
    assert silent.figures["seconds"] > 4
    assert silent.said == f"{silent.figures['seconds']:.1f}x faster"
    saying = Caching()
    saying.says = True
    found = measure(saying, clock=lambda: 0.0).sharing
    assert found.figures["tokens"] > 4
    assert found.said == f"{found.figures['tokens']:.1f}x fewer tokens"


@pytest.fixture
def icl(capsys):
    """The command in this process: exit code, output, errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return call


def test_the_command_says_it_of_the_models_of_a_file(started, tmp_path, icl):
    server = started()
    model = {"openai": {"model": NAME, "base_url": server.url, "tokenizer": "fake"}}
    grid = {"selector": ["zero_shot"], "shots": [0]}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "model": model, "task": "questions", "grid": grid}))
    code, said, _ = icl("models", path, "--backends")
    assert code == 0, said
    assert "openai\tAny OpenAI-compatible server, through the official client." in said
    row = next(line for line in said.splitlines() if line.startswith(f"openai:{NAME}\t"))
    assert "exact, longer texts too" in row
    assert "scoring token_ids" in row
    code, said, _ = icl("models", path, "--backends", "--json")
    (found,) = json.loads(said)["models"]
    assert found["model"] == f"openai:{NAME}"
    assert found["scoring"]["said"] == "exact, longer texts too"
    assert 0 < found["scoring"]["figures"]["probability"] <= 1


def test_what_is_at_hand(started, icl, monkeypatch):
    """Without a file: the embedded model (here the fake one), a server, and vLLM, which is not installed."""
    monkeypatch.setattr(command, "EMBEDDED", {"fake": {"name": "embedded"}})
    monkeypatch.setitem(sys.modules, "vllm", None)
    server = started()
    code, said, noted = icl("models", "--backends", "--base-url", server.url)
    assert code == 0, noted
    asked = [line.removeprefix("asking ") for line in noted.splitlines() if line.startswith("asking ")]
    assert asked == ["fake(name=embedded)", "fake", f"openai(model={NAME})"]
    assert [line.split("\t")[0] for line in said.splitlines()][-3:] == asked
    assert "pip install 'icl[vllm]'" in noted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json"], "--json is read with MODEL or --backends only"),
        (["--base-url", "http://127.0.0.1:9/v1"], "--base-url is read with --backends only"),
        (["--backends", "--base-url", "127.0.0.1"], "allowed: http(s)://HOST[:PORT]/v1"),
    ],
)
def test_what_does_not_go_together(icl, arguments, said):
    code, _, noted = icl("models", *arguments)
    assert code == 2
    assert said in noted
    assert len(noted.strip().splitlines()) == 1


def test_a_model_that_cannot_be_opened_keeps_none_back(icl, tmp_path):
    """A folder without weights."""
    from tests.byte_folder import write_folder

    write_folder(tmp_path / "empty")
    grid = {"selector": ["zero_shot"], "shots": [0]}
    models = [str(tmp_path / "empty"), "fake"]
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "model": models, "task": "questions", "grid": grid}))
    code, said, _ = icl("models", path, "--backends", "--json")
    broken, fake = json.loads(said)["models"]
    assert code == 0
    assert "cannot be read" in broken["error"]
    assert fake["scoring"] == asdict(measure(FakeModel()))["scoring"]
