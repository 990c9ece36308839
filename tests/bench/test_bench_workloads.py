"""Workload files: read, refused, cut and multiplied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icl.bench.workloads import Workload, read_workload, read_workloads
from icl.errors import ConfigError
from icl.types import GenerateRequest, ScoreRequest

SCORE = {"kind": "score", "items": [{"ctx": [5, 6, 7], "conts": [[8], [9, 10]]}]}
GEN = {"kind": "gen", "n": 3, "temp": 0.7, "new": 4, "prompts": [[5, 6], [5, 7, 8]]}


def written(folder: Path, data: Any, name: str = "permutations") -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_both_kinds_are_read(tmp_path: Path) -> None:
    scored = read_workload(written(tmp_path, SCORE))
    assert scored.scores == (ScoreRequest((5, 6, 7), ((8,), (9, 10))),)
    assert scored.tokens_flat == 3 + 4
    drawn = read_workload(written(tmp_path, GEN))
    assert drawn.generations[1] == GenerateRequest(
        (5, 7, 8), n=3, max_tokens=4, temperature=0.7, ignore_eos=True
    )
    assert drawn.tokens_flat == 3 * (2 + 3) + 3 * (3 + 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kind": "rank"}, "kind is 'rank'; allowed: score, gen"),
        ([], "kind is None"),
        ({"kind": "gen", "n": 1, "temp": 0, "prompts": []}, "the key 'new' is missing"),
        ({**GEN, "prompt": 1}, "Did you mean 'prompts'"),
        ({**SCORE, "n": 1}, "unknown key 'n'"),
        ({"kind": "score", "items": [{"ctx": [1]}]}, r"items\[0\] is .* with the key 'conts'"),
        ({"kind": "score", "items": [{"ctx": [], "conts": [[1]]}]}, r"items\[0\]\.ctx is \[\]"),
        ({"kind": "score", "items": [SCORE["items"][0], 7]}, r"items\[1\] is 7"),
        ({"kind": "score", "items": [{"ctx": [1], "conts": [[1], [2, "x"]]}]}, r"conts\[1\]\[1\] is 'x'"),
        ({"kind": "score", "items": [{"ctx": [1, -1], "conts": [[1]]}]}, r"items\[0\]\.ctx\[1\] is -1"),
        ({**GEN, "n": 0}, "n is 0; allowed: a whole number from 1"),
        ({**GEN, "new": 2.5}, "new is 2.5"),
        ({**GEN, "temp": "hot"}, "temp is 'hot'; allowed: a number from 0"),
        ({**GEN, "temp": float("nan")}, "temp is nan"),
        ({**GEN, "prompts": [[1], [True]]}, r"prompts\[1\]\[0\] is True"),
    ],
)
def test_wrong_files_are_refused_with_file_and_key(tmp_path: Path, data: Any, said: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(ConfigError, match=said) as error:
        read_workload(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_every_file_of_a_folder_is_run_whatever_its_name(tmp_path: Path) -> None:
    for name in ("mine", "a b", "pair_scoring", "permutations"):
        written(tmp_path, SCORE, name)
    (tmp_path / "README.md").write_text("not a workload")
    assert [w.name for w in read_workloads(tmp_path)] == ["permutations", "pair_scoring", "a b", "mine"]
    assert [w.name for w in read_workloads(tmp_path, ["mine", "permutations"])] == ["mine", "permutations"]


def test_folders_and_names_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no workload file"):
        read_workloads(tmp_path)
    with pytest.raises(ConfigError, match="--workloads DIR"):
        read_workloads(None)
    with pytest.raises(ConfigError, match="is no folder"):
        read_workloads(tmp_path / "nowhere")
    written(tmp_path, SCORE)
    with pytest.raises(ConfigError, match=r"--only: .*Did you mean 'permutations'"):
        read_workloads(tmp_path, ["permutation"])


def test_wrong_files_of_a_folder_are_counted_and_may_be_left_out(tmp_path: Path) -> None:
    written(tmp_path, SCORE, "mine")
    written(tmp_path, {"rows": []}, "rows")
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(ConfigError, match=r"rows\.json: kind is None.* \(1 more files are wrong\); --only"):
        read_workloads(tmp_path)
    assert [w.name for w in read_workloads(tmp_path, ["mine"])] == ["mine"]


@pytest.mark.parametrize(
    ("workload", "vocabulary", "context", "said"),
    [
        (SCORE, 10, 99, r"permutations\.json: items\[0\] holds the id 10; the model has ids below 10"),
        (SCORE, 11, 4, r"items\[0\] has 5 tokens with what follows; the model takes 4"),
        (GEN, 8, 99, r"prompts\[1\] holds the id 8"),
        (GEN, 9, 6, r"prompts\[1\] has 7 tokens"),
    ],
)
def test_what_a_model_cannot_take_is_said_with_its_key(
    tmp_path: Path, workload: Any, vocabulary: int, context: int, said: str
) -> None:
    found = read_workload(written(tmp_path, workload))
    found.check(vocabulary + 1, context + 1)
    with pytest.raises(ConfigError, match=said):
        found.check(vocabulary, context)


def test_subsets_are_spread_over_the_workload() -> None:
    scored = Workload("w", "score", scores=tuple(ScoreRequest((i,), ((1,),)) for i in range(100)))
    assert [r.prompt for r in scored.subset(0.04).scores] == [(0,), (25,), (50,), (75,)]
    assert len(scored.subset(0.01, least=20).scores) == 20
    assert len(scored.subset(0.001).scores) == 1
    drawn = Workload("w", "gen", generations=tuple(GenerateRequest((i,), n=16) for i in range(4)))
    assert [r.n for r in drawn.subset(0.05).generations] == [1, 1, 1]
    assert [r.n for r in drawn.subset(0.1, least=32).generations] == [8, 8, 8, 8]
    assert drawn.subset(1) is drawn


def test_copies_share_nothing() -> None:
    drawn = Workload("w", "gen", generations=(GenerateRequest((1, 2), n=2, max_tokens=5),))
    scored = Workload("w", "score", scores=(ScoreRequest((1, 99), ((3,),)),))
    assert [r.prompt for r in drawn.scaled(2, 100).generations] == [(1, 2), (51, 52)]
    assert scored.scaled(2, 100).scores[1] == ScoreRequest((51, 49), ((53,),))
    assert drawn.scaled(4, 100).tokens_flat == 4 * drawn.tokens_flat
