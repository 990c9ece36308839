"""Engines that take turns, and seconds of an earlier file beside those of now."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from typer.testing import CliRunner

from icl.bench.candidates import Measured
from icl.bench.earlier import read_earlier
from icl.bench.settings import Settings
from icl.bench.table import Row, columns, compare
from icl.bench.turns import Apart, take_turns
from icl.bench.workloads import Workload
from icl.cli.app import app
from icl.errors import ConfigError, ModelError
from icl.types import ScoreRequest

WORK = Workload("mine", "score", scores=(ScoreRequest((5, 6), ((7,),)),))


class Stub:
    """Notes when it is asked; raises at its `fails`th run."""

    def __init__(self, name: str, asked: list[str], fails: int = 0) -> None:
        self.name, self.asked, self.fails, self.runs = name, asked, fails, 0

    def measure(self, workload: Workload) -> Measured:
        self.asked.append(self.name)
        self.runs += 1
        if self.runs == self.fails:
            raise ModelError("no more")
        return Measured(float(self.runs), 0)


def test_each_round_begins_with_another_engine() -> None:
    asked: list[str] = []
    found = take_turns([Stub(n, asked) for n in "abc"], WORK, 4, pytest.fail)  # type: ignore[misc,arg-type]
    assert "".join(asked) == "abc" + "bca" + "cab" + "abc"
    assert list(found) == ["a", "b", "c"]
    for rounds in found.values():
        assert [m.seconds for m in rounds] == [1.0, 2.0, 3.0, 4.0]


def test_who_cannot_run_a_workload_is_said_once_and_keeps_nobody_back() -> None:
    asked: list[str] = []
    refused: list[str] = []
    stubs: Any = [Stub("a", asked), Stub("b", asked, fails=2), Stub("c", asked)]
    found = take_turns(stubs, WORK, 3, lambda name, error: refused.append(f"{name}: {error}"))
    assert refused == ["b: no more"]
    assert list(found) == ["a", "c"]
    assert asked.count("b") == 2


def row(engine: str, *rounds: float, workload: str = "mine") -> Row:
    return Row(workload, engine, "float32", median(rounds), 9, 9, 0.5, 0.5, round_seconds=list(rounds))


def test_the_ratio_is_the_median_over_rounds_with_its_spread() -> None:
    # the second round was slow for all: the ratio of medians would be 20 / 12
    rows = [row("icl", 10, 40, 12), row("icl-python", 20, 60, 18)]
    compare(rows)
    assert rows[1].ratio_to_icl == 1.5
    assert rows[1].ratio_spread == (1.5, 2.0)
    assert "1.50 (1.50 to 2.00)" in columns(rows)[2]
    assert columns(rows)[1][4] == "1.00"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    path = tmp_path / "then.json"
    kept = {
        "machine": {"threads": 2, "model": "m", "load_before": 0.3},
        "rows": [{"workload": "mine", "engine": "icl", "dtype": "float32", "seconds": 30.0}],
    }
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


def test_an_earlier_file_is_set_beside(earlier: Path) -> None:
    rows = [row("icl", 20.0), row("icl", 5.0, workload="new")]
    assert "x then" not in columns(rows)[0]
    then = read_earlier(earlier)
    then.compare(rows)
    assert [r.ratio_then for r in rows] == [1.5, None]
    at = columns(rows)[0].index("x then")
    assert [line[at] for line in columns(rows)[1:]] == ["1.50", "-"]
    said = then.said(rows, {"threads": 1, "model": "m", "load_before": 4.0})
    assert said[1:] == [
        "Not the same as in then.json: threads: 2, now 1.",
        "Not in then.json: new (icl, float32).",
    ]
    assert len(then.said(rows[:1], {"threads": 2})) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not readable as JSON"),
        ("[]", "no list 'rows'"),
        ('{"rows": 3}', "no list 'rows'"),
        ('{"rows": [{"workload": "a"}]}', r"rows\[0\] is no row of icl bench: KeyError\('engine'\)"),
        (
            '{"rows": [{"workload": "a", "engine": "b", "dtype": "c", "seconds": 0}]}',
            r"rows\[0\]\.seconds is 0",
        ),
    ],
)
def test_a_wrong_earlier_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "then.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        read_earlier(path)
    assert str(error.value).startswith(f"--against: {path}")


@pytest.mark.parametrize(
    ("options", "turns"),
    [({}, 0), ({"engines": ("icl", "icl-python")}, 3), ({"rounds": 5}, 5)],
)
def test_when_engines_take_turns(options: dict[str, Any], turns: int) -> None:
    assert Settings(**options).turns == turns


def test_a_model_that_cannot_be_loaded_is_said_by_the_process_that_asks() -> None:
    with pytest.raises(ModelError, match="no such file or folder"):
        Apart("icl", Settings(model="./nowhere"))


def test_both_paths_of_icl_in_processes_of_their_own(
    tmp_path: Path, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icl.engine.measuring.roofline.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("icl.engine.measuring.roofline.measure_bandwidth", lambda device: 1e10)
    monkeypatch.delenv("ICL_NATIVE", raising=False)
    shared = list(range(20, 40))
    score = {"kind": "score", "items": [{"ctx": [*shared, 50 + i], "conts": [[60], [61]]} for i in range(4)]}
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "mine.json").write_text(json.dumps(score), encoding="utf-8")
    out = tmp_path / "rows.json"
    options = ["--model", "random-tiny", "--engines", "icl,icl-python", "--rounds", "2", "--json", str(out)]
    command = ["bench", "--workloads", str(folder), *options, "--against", str(earlier)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "Not in then.json: mine (icl-python, float32)." in result.output
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert kept["machine"]["rounds"] == 2
    own, python = kept["rows"]
    assert [own["engine"], python["engine"]] == ["icl", "icl-python"]
    assert python["setting"] == "no native kernels"
    ratios = [a / b for a, b in zip(python["round_seconds"], own["round_seconds"], strict=True)]
    assert len(ratios) == 2
    assert python["ratio_to_icl"] == pytest.approx(median(ratios))
    assert python["ratio_spread"] == pytest.approx([min(ratios), max(ratios)])
    assert own["ratio_then"] == pytest.approx(30 / own["seconds"])
    assert max(own["max_abs_diff"], python["max_abs_diff"]) < 1e-4
    assert "ICL_NATIVE" not in os.environ
