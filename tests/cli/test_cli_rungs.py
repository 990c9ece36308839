"""icl models MODEL: the ladder in a table."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from icl.engine.loading import load
from icl.engine.trunks import packed
from tests.engine.tiny import CONTEXT, IntegerTokenizer, tiny_network

NAME = "smollm2-135m-instruct"
needs_packing = pytest.mark.skipif(
    not packed.available(torch.float32), reason="no packed weights in this torch"
)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Any:
    """opens(network): what any name is, whatever precision is asked; told is what it was asked with."""
    told: list[dict[str, Any]] = []

    def become(network: Any) -> list[dict[str, Any]]:
        def opened(name: str, **options: Any) -> load.Opened:
            told.append(options)
            return load.Opened(network, IntegerTokenizer(), name, CONTEXT, "f")

        monkeypatch.setattr(load, "open_network", opened)
        return told

    return become


def rows(said: str) -> list[list[str]]:
    return [line.split("\t") for line in said.splitlines()]


@needs_packing
def test_the_first_rung_says_whose_reader_and_how_near(icl, opens):
    told = opens(tiny_network("gemma2"))
    done = icl("models", NAME, "--dtype", "float32")
    assert done.code == 0
    assert told == [{"dtype": "float32"}]
    header, [engine, verdict, why] = rows(done.out)
    assert header == ["engine", "here", "why"]
    assert (engine, verdict) == ("fused trie engine", "taken")
    assert "its layers read as gemma2; log-probabilities within " in why
    assert done.err.splitlines() == [f"loading {NAME}", "comparing engines with plain forwards"]


@needs_packing
def test_every_step_down_has_its_reason(icl, opens):
    opens(tiny_network("opt", do_layer_norm_before=False))
    done = icl("models", NAME)
    _, above, taken = rows(done.out)
    assert above[:2] == ["fused trie engine", "refused"]
    assert above[2].startswith("its configuration has do_layer_norm_before=False")
    assert taken[:2] == ["trie engine", "taken"]
    assert "cannot run" not in done.err  # the table has it


def test_down_to_the_depth_first_engine(icl, opens):
    opens(tiny_network("bloom"))
    done = icl("models", NAME, "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert (found["family"], found["engine"]) == ("bloom", "depth-first engine")
    assert [one["taken"] for one in found["tried"]] == [False, False, True]
    assert found["tried"][1]["why"] == "BloomForCausalLM does not use the attention interface of transformers"
    assert found["tried"][2]["difference"] < 1e-4


def test_down_to_the_naive_one(icl, opens):
    moving = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    opens(tiny_network("llama", rope_parameters=moving, max_position_embeddings=16))
    *above, taken = rows(icl("models", NAME).out)[1:]
    assert len(above) == 3
    assert all("rotary positions (dynamic)" in row[2] for row in above)
    assert taken == [
        "naive engine",
        "taken",
        "one plain forward a text, nothing shared; it is what the others are compared with",
    ]


def test_the_fake_model_has_none(icl):
    assert icl("models", "fake").out == "fake: no weights, no engine\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.yaml"], "x.yaml: an experiment is read with --backends only"),
        (["--dtype", "float32"], "--dtype is read with MODEL or --backends only"),
        (["--backends", "--dtype", "float32"], "--dtype is read with MODEL only"),
        ([NAME, "--dtype", "float8"], "float8"),
        (["no-such-model"], "no-such-model"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(icl, arguments, said):
    done = icl("models", *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
