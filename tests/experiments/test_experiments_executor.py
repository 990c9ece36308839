"""Experiments whose requests run in workers: the same predictions, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import icl
from icl.cli.status import lines as status_lines
from icl.encoders import load_encoder
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.executors.processes import Processes
from icl.executors.team import Team
from icl.experiments.asking.timed import Work
from icl.experiments.file.config import read_experiment
from icl.experiments.file.overrides import Override
from icl.experiments.folder.rates import expected_rates, remember
from icl.experiments.grid.check import check
from icl.experiments.plan import plan
from icl.experiments.running.restored import OpenTuned
from icl.experiments.status import status

PROCESSES = {"processes": {"workers": 2}}


def test_predictions_are_those_of_one_process(write, tmp_path, predictions):
    """A selector that asks the model while it fits, methods that score and that write."""
    methods = ["direct", "channel", "contextual", "generate"]
    grid = {
        "selector": ["random", {"bm25": {}}, {"influence": {"validation": 4, "subsets": 8}}],
        "method": methods,
    }
    one = icl.run(write(grid=grid), output=tmp_path / "one")
    two = icl.run(write(grid=grid, executor=PROCESSES), output=tmp_path / "two")
    reference = predictions(one.path)
    assert predictions(two.path) == reference
    assert sum(map(len, reference.values())) > 200
    said = two.folder.manifest()
    assert said["sessions"][-1]["engine"] == "FakeModel in 2 processes of 1 thread"
    workers = said["workers"]
    assert (workers["executor"], workers["workers"], workers["lost"]) == ("processes", 2, [])
    assert workers["tasks"] >= 2
    assert 0 <= workers["tokens_repeated"] <= 0.05 * workers["tokens_once"]


@pytest.mark.slow
def test_the_quickstart_is_answered_alike_here_in_processes_and_on_ray(tmp_path, monkeypatch):
    """The embedded model in fp32: the same answers, and label scores as near as docs/executors.md says."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    limited = [Override(("test",), 8, "--limit"), Override(("seeds",), [0], "--seeds")]
    answers, scores = [], []
    for executor in (None, PROCESSES, {"ray": {"workers": 2}}):
        told = [*limited, Override(("executor",), executor, "--executor")]
        done = icl.run("experiments/quickstart.yaml", output=tmp_path / str(len(answers)), overrides=told)
        found = [p for result in done.folder.results() for p in result.predictions]
        answers.append([(p.query_id, p.answer, p.demonstrations) for p in found])
        scores.append([list((p.label_scores or {}).values()) for p in found])
        words = done.folder.manifest()["sessions"][-1]["engine"]
        assert ("2 workers of ray" in words, "2 processes" in words) == (
            executor not in (None, PROCESSES),
            executor is PROCESSES,
        )
    assert len(answers[0]) == 8 * 5  # three selectors, zero-shot, the majority class
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]
    flat = [[value for row in rows for value in row] for rows in scores]
    assert len(flat[0]) >= 8 * 4 * 6
    assert flat[1] == pytest.approx(flat[0], abs=1e-4)
    assert flat[2] == pytest.approx(flat[0], abs=1e-4)


def test_a_run_goes_on_with_another_executor_in_its_folder(write, tmp_path, predictions):
    reference = predictions(icl.run(write(), output=tmp_path / "whole").path)
    first = icl.run(write(test=4, executor=PROCESSES), output=tmp_path / "out")
    assert {len(lines) for lines in predictions(first.path).values()} == {4}
    second = icl.run(write(), output=tmp_path / "out")
    assert predictions(second.path) == reference
    assert yaml.safe_load((second.path / "experiment.yaml").read_text())["executor"] is None
    path = write(executor=PROCESSES)
    third = icl.run(path, output=tmp_path / "out", overrides=[Override(("executor",), None, "--executor")])
    assert third.path == second.path  # the name is the same


def start(file: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "icl", "run", str(file), "--output", str(output), "--quiet"]
    return subprocess.Popen(
        [*command, "--executor", "processes", "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def workers_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    return [p for p in psutil.Process(driver.pid).children() if "icl.executors.process" in p.cmdline()]


def wait_until(true: Any, driver: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def slow(write):
    return write(
        model={"fake": {"delay": 0.03}},
        grid={"selector": ["random", {"bm25": {}}], "method": ["direct", "channel"]},
    )


def answers(output: Path) -> int:
    """Responses in the cache, of which a run of these tests asks about 200."""
    import sqlite3

    file = output / ".cache" / "responses.sqlite"
    if not file.exists():
        return 0
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        try:
            return int(database.execute("select count(*) from responses").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_a_killed_worker_and_a_killed_driver_lose_nothing(slow, tmp_path, predictions):
    reference = predictions(icl.run(slow, output=tmp_path / "whole").path)
    out = tmp_path / "out"
    driver = start(slow, out)
    wait_until(lambda: answers(out) > 5, driver)
    first, second = workers_of(driver)
    first.send_signal(signal.SIGKILL)
    before = answers(out)
    wait_until(lambda: answers(out) > before + 20, driver)
    assert len([p for p in workers_of(driver) if p.pid != first.pid]) >= 1
    driver.kill()
    driver.wait()
    kept = answers(out)
    stopped = status(icl.Run(out / "small").folder)
    assert set(stopped.workers) == {"executor", "workers", "threads"}  # no counts, rather than wrong ones
    assert any("; tasks are counted where a session ends" in line for line in status_lines(stopped))
    end = time.monotonic() + 20
    while second.is_running() and second.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "a worker outlives its driver"
        time.sleep(0.05)
    again = start(slow, out)
    _, errors = again.communicate()
    assert again.returncode == 0, errors
    assert predictions(out / "small") == reference
    session = json.loads((out / "small" / "manifest.json").read_text())["sessions"][-1]
    assert session["computed"]["requests"] > 0
    assert session["reused"]["requests"] >= kept  # what was answered before is not asked again


def test_ctrl_c_ends_the_run_and_its_workers(slow, tmp_path):
    driver = start(slow, tmp_path / "out")
    wait_until(lambda: answers(tmp_path / "out") > 5, driver)
    workers = workers_of(driver)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate()
    assert driver.returncode == 130
    assert errors.startswith("icl: interrupted. ")
    assert errors.count("\n") == 1
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in workers)


@pytest.mark.parametrize("one_machine", [True, False])
def test_a_tuned_model_is_asked_in_workers_and_is_the_same(
    write, tmp_path, model, predictions, monkeypatch, one_machine
):
    """A tuner from outside icl, so that leave to run code travels too. To other machines what was trained is
    sent, since they do not see the run folder."""
    monkeypatch.setattr(Processes, "one_machine", one_machine)
    sent: list[OpenTuned] = []
    real = Team.hold
    monkeypatch.setattr(
        Team, "hold", lambda team, opener, most=None: real(team, opener, most) or sent.append(opener)
    )
    tuner = {"tests.experiments.tiny_model:Norm": {"steps": 2}}
    plain = {
        "seeds": [0], "test": 3, "pool": 12, "leaderboard": None, "model": str(model),
        "grid": {"selector": ["zero_shot"], "shots": [0], "tuning": ["none", tuner]},
    }  # fmt: skip
    one = icl.run(write(**plain), output=tmp_path / "one", allow_code=True)
    two = icl.run(write(**plain, executor=PROCESSES), output=tmp_path / "two", allow_code=True)
    ours, theirs = (predictions(run.path) for run in (one, two))
    assert list(ours) == list(theirs)
    for name, lines in ours.items():
        assert [json.loads(a)["answer"] for a in lines] == [json.loads(a)["answer"] for a in theirs[name]]
    made = [run.folder.manifest()["tunings"] for run in (one, two)]
    assert made[0].keys() == made[1].keys()
    for key, record in made[0].items():
        assert record["fingerprint"] == made[1][key]["fingerprint"]
    (opener,) = (one for one in sent if isinstance(one, OpenTuned))
    assert (opener.kept is None) == one_machine
    weights = [sorted((run.path / "tunings").rglob("*.safetensors")) for run in (one, two)]
    assert [p.read_bytes() for p in weights[0]] == [p.read_bytes() for p in weights[1]] != []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("procs", r"experiment.yaml:\d+: executor: unknown executor 'procs'. Did you mean 'processes'\?"),
        (
            {"processes": {"workers": 0}},
            r"experiment.yaml:\d+: executor: 'processes': workers is 0; allowed: an integer >= 1",
        ),
        ({"processes": {"address": "auto"}}, r"executor: 'processes' has no parameter 'address'"),
        ({"ray": {"address": "ray://x"}}, r"executor: 'ray': address is 'ray://x', a Ray Client"),
        ({"ray": {"gpus_per_worker": -1}}, r"executor: 'ray': gpus_per_worker is -1; allowed: a number >= 0"),
        (3, r"executor: must be a name or"),
    ],
)
def test_what_is_no_executor_is_said_before_anything_runs(write, tmp_path, given, line):
    with pytest.raises(ConfigError, match=line):
        icl.run(write(executor=given), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_of_this_process_is_refused(write, tmp_path):
    with pytest.raises(
        ConfigError, match=r"experiment.yaml:\d+: executor: 'processes' opens the model in its"
    ):
        icl.run(write(executor="processes"), output=tmp_path / "out", model=FakeModel())
    assert not (tmp_path / "out").exists()


def test_a_backend_that_takes_many_requests_by_itself_is_refused(write):
    served = {"openai": {"model": "m", "base_url": "http://127.0.0.1:9/v1"}}
    with pytest.raises(ConfigError, match="asked through the backend 'openai', which takes many requests"):
        check(*read_experiment(write(model=served, executor="processes")))


def test_ray_that_is_not_installed_is_said_with_the_line_that_installs_it(write, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(
        ConfigError, match=r"executor: 'ray' needs a package that is not installed: pip install 'ray"
    ):
        check(*read_experiment(write(executor="ray")))


def test_a_reproduction_does_not_need_the_machines_of_the_run(write, tmp_path):
    run = icl.run(write(executor=PROCESSES, test=3), output=tmp_path / "out")
    again = icl.reproduce(run, output=tmp_path / "again")
    assert again.found.equal
    assert "workers" not in again.folder.manifest()


def test_none_in_a_file_is_this_process(write):
    assert read_experiment(write(executor="none"))[0] == read_experiment(write())[0]
    with pytest.raises(ConfigError, match="unknown executor 'nobody'"):
        check(*read_experiment(write(executor="nobody")))


def test_options_of_no_executor_are_refused(write):
    from icl.cli.options import executor

    assert executor("ray", 3, "auto", 0.5)[0].value == {
        "ray": {"workers": 3, "address": "auto", "gpus_per_worker": 0.5}
    }
    assert executor("none", None, None, None)[0].value is None
    assert executor(None, None, None, None) == []
    for named in (None, "none"):
        with pytest.raises(ConfigError, match=r"^--gpus-per-worker: of which executor\? The file names none"):
            read_experiment(write(executor=named), executor(None, None, None, 1.0))
    with pytest.raises(ConfigError, match="--workers: --executor none has no options"):
        executor("none", 2, None, None)


@pytest.mark.parametrize("named", ["processes", {"processes": None}, {"processes": {"workers": 4}}])
def test_workers_alone_are_those_of_the_executor_that_the_file_names(write, named):
    from icl.cli.options import executor

    found, _ = read_experiment(write(executor=named), executor(None, 3, None, None))
    assert found.resolved["executor"] == {"processes": {"workers": 3}}
    assert found.name == "small"
    with pytest.raises(ConfigError) as failure:
        check(*read_experiment(write(executor=named), executor(None, 0, None, None)))
    assert str(failure.value) == "--workers: executor: 'processes': workers is 0; allowed: an integer >= 1"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("processes", 0, None, None), "--executor: 'processes': workers is 0; allowed: an integer >= 1"),
        (
            ("processes", None, "auto", None),
            "--executor: 'processes' has no parameter 'address'. Allowed: workers, lost_after",
        ),
    ],
)
def test_an_option_is_named_once(write, given, line):
    from icl.cli.options import executor

    with pytest.raises(ConfigError) as failure:
        check(*read_experiment(write(), executor(*given)))
    assert str(failure.value) == line


def test_a_plan_says_what_workers_would_repeat_and_a_run_repeats_that(write, tmp_path, capsys):
    from icl.cli import main

    for executor, repeats in ((None, False), (PROCESSES, True)):
        made = plan(check(*read_experiment(write(executor=executor, seeds=[0]))), load_encoder("hashed"))
        assert (made.cut.tasks > 0) == repeats
        assert (made.cut.tokens_once > 0) == repeats
    path = write(executor=PROCESSES, seeds=[0])
    run = icl.run(path, output=tmp_path / "out")
    workers = run.folder.manifest()["workers"]
    assert (made.cut.tasks, made.cut.tokens_repeated) == (workers["tasks"], workers["tokens_repeated"])
    for line, command in (
        ("Executor processes, 2 workers: ", ["plan", str(path)]),
        ("workers      2 of processes, threads of each 1, tasks ", ["status", str(run.path)]),
    ):
        with pytest.raises(SystemExit):
            main(command)
        assert line in capsys.readouterr().out


def test_rates_of_workers_are_their_own_and_those_of_one_process_stand_in(write, tmp_path):
    plain, pooled, cluster = (
        read_experiment(write(model="smollm2-135m-instruct", executor=executor))[0]
        for executor in (None, PROCESSES, {"ray": {"workers": 4, "address": "auto"}})
    )
    remember(tmp_path, plain, "f", Work(scored=1000, scoring_seconds=10.0))
    assert expected_rates(tmp_path, plain, "f", texts=0).rates.read == 100
    assert expected_rates(tmp_path, pooled, "f", texts=0).rates.read == 100
    scaled = expected_rates(tmp_path, cluster, "f", texts=0, times=4)
    assert (scaled.rates.read, scaled.origin.endswith(", times 4 workers as fast as it")) == (400, True)
    remember(tmp_path, pooled, "f", Work(scored=3000, scoring_seconds=10.0))
    assert expected_rates(tmp_path, plain, "f", texts=0).rates.read == 100
    assert expected_rates(tmp_path, pooled, "f", texts=0).rates.read == 300
