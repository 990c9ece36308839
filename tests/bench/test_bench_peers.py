"""Every peer says what plain transformers, one by one, says; and a whole run on tiny files."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from icl.bench import run as bench_run
from icl.bench.candidates import Candidate
from icl.bench.meters import NetworkClock
from icl.bench.peers import (
    ContinuousEngine,
    PaddedEngine,
    SharedPrefixEngine,
    common_prefix,
    distinct_rows,
)
from icl.bench.run import Bench, largest_gap
from icl.bench.settings import SLOW, Settings
from icl.bench.workloads import NAMES, Workload, read_workloads
from icl.cli.app import app
from icl.engine.decoding import loop
from icl.engine.decoding.native_step import NativeStep
from icl.engine.decoding.runner import step_runner
from icl.engine.decoding.steps import EagerStep, StepRunner
from icl.engine.native import library
from icl.engine.rungs.naive import NaiveModel
from icl.engine.trunks.fused import FusedTrunk
from icl.errors import ConfigError
from icl.types import GenerateRequest, ScoreRequest


def engine_helpers() -> Any:
    """The tiny models of tests/engine, which is no package."""
    if "icl_tests_tiny" not in sys.modules:
        path = Path(__file__).parents[1] / "engine" / "tiny.py"
        spec = importlib.util.spec_from_file_location("icl_tests_tiny", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["icl_tests_tiny"] = module
        spec.loader.exec_module(module)
    return sys.modules["icl_tests_tiny"]


@pytest.fixture(scope="module")
def naive() -> NaiveModel:
    tiny = engine_helpers()
    network = tiny.tiny_network("llama")
    network.set_attn_implementation("sdpa")
    return NaiveModel(
        network, tiny.IntegerTokenizer(), name="tiny", context_length=tiny.CONTEXT, fingerprint="tiny"
    )


SCORES = [
    ScoreRequest((2, 5, 6, 7, 8), ((9,), (10,))),
    ScoreRequest((2, 5, 6, 11), ((9, 12, 13), (10,))),
    ScoreRequest((2, 5, 6, 14, 15, 16, 17, 18), ((9,), (10, 11))),
    ScoreRequest((2, 5, 6), ((9,),)),
]
APART = [ScoreRequest((3, 4), ((9,),)), ScoreRequest((5, 4, 3), ((9, 8),))]
GREEDY = [
    GenerateRequest(p, max_tokens=6, ignore_eos=True)
    for p in [(2, 5, 6, 7, 8), (2, 5, 6, 11), (2, 5, 6, 14, 15, 16), (2, 5, 6)]
]
DRAWN = [GenerateRequest((2, 5, 6, 7), n=3, max_tokens=5, temperature=0.7, ignore_eos=True)] * 2
KINDS = [PaddedEngine, SharedPrefixEngine]


def logprob_gap(naive: NaiveModel, engine: Any, requests: list[ScoreRequest]) -> float:
    pairs = zip(engine.score(requests), naive.score(requests), strict=True)
    return max(largest_gap(a.token_logprobs, b.token_logprobs) for a, b in pairs)


@pytest.mark.parametrize("requests", [SCORES, APART], ids=["shared", "apart"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 8])
def test_scores_agree_with_one_by_one(
    naive: NaiveModel, kind: type[PaddedEngine], size: int, requests: list[ScoreRequest]
) -> None:
    assert logprob_gap(naive, kind(naive.model, size), requests) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 8])
def test_greedy_agrees_with_one_by_one(naive: NaiveModel, kind: type[PaddedEngine], size: int) -> None:
    found = kind(naive.model, size).generate(GREEDY)
    for one, other in zip(found, naive.generate(GREEDY), strict=True):
        assert one.samples[0].token_ids == other.samples[0].token_ids
        assert largest_gap([one.samples[0].logprobs], [other.samples[0].logprobs]) < 1e-4


def rescored_gap(naive: NaiveModel, found: list[Any], requests: list[GenerateRequest]) -> float:
    """Reported log-probabilities against those of plain forwards over the same tokens."""
    gaps = []
    for generation, request in zip(found, requests, strict=True):
        assert len(generation.samples) == request.n
        for sample in generation.samples:
            assert len(sample.token_ids) == request.max_tokens
            [again] = naive.score([ScoreRequest(request.prompt, (sample.token_ids,))])
            gaps.append(largest_gap([sample.logprobs], again.token_logprobs))
    return max(gaps)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_carry_the_models_own_logprobs(naive: NaiveModel, kind: type[PaddedEngine]) -> None:
    found = kind(naive.model, 4).generate(DRAWN)
    assert rescored_gap(naive, found, DRAWN) < 1e-4
    assert len({s.token_ids for g in found for s in g.samples}) > 1


def test_continuous_agrees_with_one_by_one(naive: NaiveModel) -> None:
    before = naive.model.config._attn_implementation
    found = ContinuousEngine(naive.model).generate(GREEDY)
    assert naive.model.config._attn_implementation == before
    for one, other in zip(found, naive.generate(GREEDY), strict=True):
        assert one.samples[0].token_ids == other.samples[0].token_ids
    assert rescored_gap(naive, found, GREEDY) < 1e-4


def test_peers_leave_settings_and_random_state_alone(naive: NaiveModel) -> None:
    settings, state = naive.model.generation_config, torch.get_rng_state()
    PaddedEngine(naive.model, 4).generate(DRAWN)
    assert naive.model.generation_config is settings
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_and_prefixes() -> None:
    rows = distinct_rows(SCORES)
    assert [(r.ids, r.request, r.continuations) for r in rows[:3]] == [
        ((2, 5, 6, 7, 8), 0, (0, 1)),
        ((2, 5, 6, 11, 9, 12), 1, (0,)),
        ((2, 5, 6, 11), 1, (1,)),
    ]
    assert common_prefix([(1, 2, 3), (1, 2), (1, 2, 4)]) == (1, 2)
    assert common_prefix([(1,), (2,)]) == ()


# -- a whole run -----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    shared = list(range(20, 40))
    score = {"kind": "score", "items": [{"ctx": [*shared, 50 + i], "conts": [[60], [61]]} for i in range(4)]}
    gen = {"kind": "gen", "n": 2, "temp": 0.7, "new": 4, "prompts": [[*shared, 70], [*shared, 71, 72]]}
    for number, name in enumerate(NAMES):
        data = score if number < 4 else {**gen, "temp": 0.0, "n": 1} if number == 5 else gen
        (tmp_path / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, naive: NaiveModel) -> None:
    """The tiny network under every name, and short measurements of rates."""
    monkeypatch.setattr(bench_run, "load_plain", lambda model, dtype: naive)
    monkeypatch.setattr("icl.engine.measuring.roofline.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("icl.engine.measuring.roofline.measure_bandwidth", lambda device: 1e10)


@pytest.mark.usefixtures("short")
def test_all_engines_over_all_workloads(files: Path) -> None:
    seen = []
    rows = Bench(Settings(fraction=0.5)).run(read_workloads(files), lambda row: seen.append(row.engine))
    assert [(r.workload, r.engine) for r in rows if r.workload == "permutations"] == [
        ("permutations", e) for e in ("icl", "naive", "padded", "shared")
    ]
    assert len(rows) == len(seen) == 4 * 4 + 2 * 5
    for row in rows:
        if (row.workload, row.engine) == ("self_consistency", "continuous"):
            assert row.max_abs_diff is None  # its log-probabilities of draws are not the model's own
        else:
            assert row.max_abs_diff is not None
            assert row.max_abs_diff < 1e-4, row
        assert row.seconds > 0
        assert row.eta > 0
        assert row.eta_packed > 0
        assert row.peak_memory is not None
        assert row.ratio_to_icl is not None
        assert (row.planning is not None) == (row.engine == "icl") == (row.overhead is not None)
        slow = row.engine in SLOW
        assert (row.fraction < 1) == slow, row
    by_name = {(r.workload, r.engine): r for r in rows}
    assert by_name["permutations", "icl"].tokens_flat == 8 * 21
    assert by_name["permutations", "icl"].tokens_unique == 20 + 4
    assert by_name["self_consistency", "icl"].tokens_unique == 20 + 3 + 4 * 3


def test_icl_is_timed_with_the_steps_that_it_runs_elsewhere(
    naive: NaiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is timed is what `load_model` gives: the clock does not hide of which kind the trunk is."""
    used: list[StepRunner] = []
    monkeypatch.setattr(loop, "step_runner", lambda trunk: used.append(step_runner(trunk)) or used[-1])
    writing = Workload(
        "writing", "gen", generations=(GenerateRequest((2, 5, 6, 7), 2, 5, 1.0, ignore_eos=True),)
    )
    measured = Candidate("icl", naive, Settings()).measure(writing)
    assert {type(one) for one in used} == {NativeStep if library.available() else EagerStep}
    assert measured.inside is not None
    assert 0 < measured.inside < measured.seconds


def test_the_clock_counts_steps_and_leaves_the_trunk_as_it_was(naive: NaiveModel) -> None:
    trunk = FusedTrunk(naive.model)
    before = dict(vars(trunk))
    with NetworkClock(trunk) as clock:
        trunk.step(torch.tensor([5]), torch.tensor([0]), lambda hidden, angles: hidden)
    assert clock.seconds > 0
    assert vars(trunk) == before


@pytest.mark.usefixtures("short")
def test_the_command_prints_and_writes(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    options = ["--engines", "icl,shared", "--only", "permutations", "--json", str(out)]
    result = CliRunner().invoke(app, ["bench", "--workloads", str(files), *options])
    assert result.exit_code == 0, result.output
    assert "permutations" in result.output
    assert "GFLOP/s by torch.mm" in result.output
    written = json.loads(out.read_text(encoding="utf-8"))
    assert [row["engine"] for row in written["rows"]] == ["icl", "shared"]
    required = {
        "workload", "engine", "dtype", "seconds", "tokens_flat", "tokens_unique", "eta", "eta_packed",
        "ratio_to_icl", "max_abs_diff", "peak_memory", "fraction", "planning",
    }  # fmt: skip
    assert required <= set(written["rows"][0])
    assert written["machine"]["dtype"] == "float32"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"engines": ("icl", "pading")}, "Did you mean 'padded'"),
        ({"dtype": "float16"}, "Allowed: bfloat16, float32"),
        ({"fraction": 0.0}, r"not in \(0, 1\]"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Settings(**wrong)
