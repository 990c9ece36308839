"""SIGKILL at any moment: the same command goes on, and nothing is lost or there twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DELAY = 0.006
KILLS = 12


def start(file: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "icl", "run", str(file), "--output", str(output), "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        # a job in the background of a shell ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


@pytest.fixture
def slow(write):
    """An experiment of about 100 requests, each of which takes a while."""
    grid = {"selector": ["random", {"bm25": {}}], "method": ["direct", "channel"]}
    return write(model={"fake": {"delay": DELAY}}, grid=grid)


def wait_for_work(process: subprocess.Popen[bytes], output: Path) -> None:
    """Until the run folder is taken: what comes before writes nothing."""
    lock = output / "small" / ".lock"
    while not (lock.exists() and lock.read_text() == str(process.pid)):
        assert process.poll() is None
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_at_many_moments_predictions_are_those_of_an_undisturbed_run(slow, tmp_path, predictions):
    whole = start(slow, tmp_path / "whole")
    wait_for_work(whole, tmp_path / "whole")
    began = time.monotonic()
    assert whole.wait() == 0
    duration = time.monotonic() - began
    reference = predictions(tmp_path / "whole" / "small")
    assert {len(lines) for lines in reference.values()} == {10}

    # Early moments go on in one folder; each late one meets a fresh folder, at work for the first time.
    killed, folders, states = 0, [tmp_path / "early"], set()
    for attempt in range(5 * KILLS):
        share = (killed + 0.3) / KILLS
        if share > 0.3:
            folders.append(tmp_path / f"late{attempt}")
        process = start(slow, folders[-1])
        wait_for_work(process, folders[-1])
        time.sleep(duration * share)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        states.add(sum(map(len, predictions(folders[-1] / "small").values())))
        if killed == KILLS:
            break
    assert killed == KILLS
    assert len(states) > 1  # they did meet the run in different states

    resumed = [start(slow, folder) for folder in folders]
    for process, folder in zip(resumed, folders, strict=True):
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        assert predictions(folder / "small") == reference


def test_two_at_once_one_goes_on_and_the_other_says_why_not(slow, tmp_path, predictions):
    first = start(slow, tmp_path / "out")
    wait_for_work(first, tmp_path / "out")
    first.send_signal(signal.SIGSTOP)  # it must not end before the second has started
    second = start(slow, tmp_path / "out")
    _, errors = second.communicate()
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert f"another process (pid {first.pid}) is writing" in errors.decode()
    assert errors.decode().count("\n") == 1
    assert first.wait() == 0
    assert {len(lines) for lines in predictions(tmp_path / "out" / "small").values()} == {10}


def test_two_experiments_in_one_root_share_the_cache(write, tmp_path, predictions):
    grid = {"selector": ["random", {"bm25": {}}], "method": ["direct", "channel"]}
    files = []
    for name in ("one", "two"):
        path = write(name=name, model={"fake": {"delay": DELAY}}, grid=grid)
        files.append(path.rename(path.with_name(f"{name}.yaml")))
    processes = [start(path, tmp_path / "out") for path in files]
    assert [p.wait() for p in processes] == [0, 0]
    assert predictions(tmp_path / "out" / "one") == predictions(tmp_path / "out" / "two")


def test_ctrl_c_says_that_the_run_can_go_on(slow, tmp_path):
    process = start(slow, tmp_path / "out")
    cache = tmp_path / "out" / ".cache" / "responses.sqlite"
    while not cache.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    said = errors.decode()
    assert said.startswith("icl: interrupted. ")
    assert said.endswith(("; the same command goes on.\n", "; the same command begins again.\n"))
    assert said.count("\n") == 1
    (session,) = json.loads((tmp_path / "out" / "small" / "manifest.json").read_text())["sessions"]
    assert session["ended_by"] == "Ctrl-C"
