"""`make bench-peers`: what is run, kept, gone on with and merged; small programs stand in for the peers."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import environments, run
from benchmarks.peers.environments import PEERS, Peer, PeerError, call
from benchmarks.peers.files import tokens_flat
from benchmarks.peers.merged import Entry, markdown, of_icl, of_peer, plain
from icl.bench.workloads import read_workloads
from icl.errors import ConfigError

SCORE = {"kind": "score", "items": [{"ctx": [5, 6, i], "conts": [[8], [9, 10]]} for i in range(4)]}
GEN = {"kind": "gen", "n": 3, "temp": 0.7, "new": 4, "prompts": [[5, 6], [5, 7, 8]]}
RUNNER = """
import sys
from files import keep, workloads
model, folder, dtype, out = sys.argv[1:5]
for path, data in workloads(folder):
    if path.stem == "zz":
        sys.exit("it broke here")
    about = {"engine": "other", "dtype": dtype, "setting": "plain", "scored": data["kind"] == "gen"}
    keep(out, path, 2.0, data, **about, versions={"other": "1.2"})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (("mine", SCORE), ("permutations", GEN)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A program of this interpreter, which imports files.py as the runners do."""
    here = tmp_path / "runners"
    here.mkdir()
    (here / "runner.py").write_text(RUNNER, encoding="utf-8")
    (here / "files.py").write_text((run.HERE / "files.py").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(run, "HERE", here)
    monkeypatch.setattr(run, "install", lambda peer, newest: None)
    monkeypatch.setattr(run, "local_folder", lambda source: (str(tmp_path), "weights"))
    monkeypatch.setattr(Peer, "python", Path(sys.executable))
    return Peer("other", (), "runner.py", 0)


def asked(folder: Path, **changes: Any) -> run.Asked:
    settings = {"model": "fake", "workloads": tuple(read_workloads(folder)), "engines": ("other",),
                "dtypes": ("float32",), "rounds": 1, "out": folder / "out", **changes}  # fmt: skip
    settings["out"].mkdir(exist_ok=True)
    return run.Asked(**settings)


def keeping(rows: list[list[Entry]]) -> Any:
    """Notes all rows each time that it hears of them."""
    return lambda found: rows.append(list(found))


def test_a_workload_is_written_as_it_was_read(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    out.mkdir()
    given = asked(folder)
    given.files(out, ["mine", "permutations"])
    assert read_workloads(out) == list(given.workloads)
    for workload in given.workloads:
        assert tokens_flat(run.as_file(workload)) == workload.tokens_flat


def test_what_is_kept_is_not_run_again(folder: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    given, calls = asked(folder), []
    monkeypatch.setattr(run, "call", lambda command, *more: calls.append(command) or call(command, *more))
    monkeypatch.setitem(PEERS, "other", peer)
    rows: list[list[Entry]] = []
    assert run.measured(given, False, keeping(rows)) == []
    assert [(e.workload, e.scored) for e in rows[-1]] == [("mine", False), ("permutations", True)]
    assert run.measured(given, False, lambda found: None) == []
    assert len(calls) == 1
    half = dataclasses.replace(given, workloads=tuple(w.subset(0.5) for w in given.workloads))
    run.measured(half, False, keeping(rows))
    assert len(calls) == 2  # other requests, another digest
    assert len(rows[-1]) == 2
    assert len(of_peer(given.out / "other-float32.jsonl")) == 4


def test_a_peer_that_breaks_keeps_its_rows_and_no_other_back(
    folder: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "zz.json").write_text(json.dumps(GEN), encoding="utf-8")
    monkeypatch.setitem(PEERS, "other", peer)
    monkeypatch.setitem(PEERS, "poor", dataclasses.replace(peer, name="poor", needs=2**60))
    rows: list[list[Entry]] = []
    failed = run.measured(asked(folder, engines=("poor", "other")), False, keeping(rows))
    assert "poor needs 1073741824 GiB of free memory" in failed[0]
    assert failed[1] == "other, float32: it ended (exit code 1): it broke here"
    assert [e.workload for e in rows[-1]] == ["mine", "permutations"]
    with (folder / "out" / "other-float32.jsonl").open("a") as torn:
        torn.write('{"workload": "mi')
    assert of_peer(folder / "out" / "other-float32.jsonl") == rows[-1]


def test_an_installation_names_the_pinned_build_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(environments, "call", lambda command, *_: said.append(command[1:]))
    peer = PEERS["openvino"]
    peer.folder.mkdir()
    environments.install(peer)
    environments.install(peer)  # it is there
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
    [torch] = environments.pinned(["torch"])
    assert torch.startswith("torch==")
    assert said == [
        ["-m", "venv", str(peer.folder)],
        [*pip, "install", torch],
        [*pip, "install", torch, *peer.packages],
        [*pip, "uninstall", "--yes", "torchvision"],
    ]
    environments.install(peer, newest=True)
    assert [*pip, "install", "--upgrade", torch, *peer.packages] in said
    with pytest.raises(PeerError, match="lacks one of torhc"):
        environments.pinned(["torhc"])


def test_a_program_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"^what \(exit code 3\): the last line$"):
        call([sys.executable, "-c", "print('first'); print('the last line'); raise SystemExit(3)"], "what")


def test_rows_of_icl_are_taken_over(tmp_path: Path) -> None:
    row = {"workload": "mine", "engine": "icl", "dtype": "float32", "seconds": 1.0, "peak_memory": 7,
           "setting": "native kernels", "fraction": 1.0}  # fmt: skip
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"machine": {"torch": "2.13"}, "rows": [row]}), encoding="utf-8")
    [found] = of_icl(path, "abc")
    assert found == Entry(
        "mine", "icl", "float32", 1.0, "abc", "native kernels", peak_memory=7, versions={"torch": "2.13"}
    )


ROWS = [
    Entry("mine", "icl", "float32", 2.0, "a", "native kernels"),
    Entry("mine", "icl-python", "float32", 1.0, "a"),
    Entry("mine", "vllm-cpu", "float32", 5.0, "a", "logprob_token_ids", versions={"vllm": "1"}),
    Entry("mine", "openvino-genai", "float32", 3.0, "a", "one token; forward only", scored=False),
    Entry("permutations", "vllm-cpu", "float32", 5.0, "b"),
    Entry("permutations", "icl", "bfloat16", 5.0, "b"),
]


def test_the_best_peer_counts_with_and_without_those_that_only_forward() -> None:
    table = markdown(ROWS, 1.0).splitlines()
    engines = ["icl", "icl-python", "openvino-genai", "vllm-cpu"]
    headers = ["workload", "precision", *engines, "best peer / icl", "of those that score"]
    assert table[0] == f"| {' | '.join(headers)} |"
    assert table[2] == "| permutations | float32 | - | - | - | 5.00 | - | - |"
    assert table[3] == (
        "| mine | float32 | 2.00 | 1.00 | (3.00) | 5.00 | 1.50x, openvino-genai | 2.50x, vllm-cpu |"
    )
    assert table[4] == "| permutations | bfloat16 | 5.00 | - | - | - | - | - |"
    assert "vllm-cpu: vllm 1; logprob_token_ids." in table
    assert "a part of every workload (2% of its requests)" in markdown(ROWS, 0.02)
    line = plain(ROWS, {})["lines"][1]
    assert line["best_peer"]["scoring"] == {"ratio": 2.5, "engine": "vllm-cpu"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"engines": "icl,vlm"}, "--engines: .*Did you mean 'vllm'"),
        ({"engines": ","}, "--engines: no name given"),
        ({"dtype": "float16"}, "--dtype: "),
        ({"fraction": 0.0}, r"--fraction: 0.0 is not in \(0, 1\]"),
        ({"only": "min"}, "--only: .*Did you mean 'mine'"),
    ],
)
def test_wrong_arguments_are_one_line(folder: Path, changes: dict[str, Any], said: str) -> None:
    given = {"model": "fake", "workloads": folder, "engines": "icl", "dtype": "float32", "only": None,
             "fraction": 1.0, "rounds": 1, "out": folder / "out"}  # fmt: skip
    assert run.understood(argparse.Namespace(**given)).engines == ("icl",)
    with pytest.raises(ConfigError, match=said):
        run.understood(argparse.Namespace(**{**given, **changes}))
