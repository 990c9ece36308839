"""Real worker processes: killed, orphaned, told what their environment is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError, ModelError
from icl.executors import processes
from icl.executors.contract import executors
from icl.executors.pool import PooledModel
from icl.executors.processes import Processes
from icl.executors.team import Team
from tests.executors.openers import Dies, Fails, Fake, Hangs, Tells, Unpackable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")


@pytest.fixture
def team() -> Iterator[Team]:
    made = Team("processes", Processes(workers=2))
    yield made
    made.close()


def pids(team: Team) -> list[int]:
    return list(team._crew.pids.values())  # type: ignore[union-attr]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(found: list[int], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not all(map(gone, found)):
        assert time.monotonic() < end, f"{found} are still there"
        time.sleep(0.02)


def test_answers_are_those_of_one_process_and_workers_end_with_the_team(team, scoring, writing):
    team.hold(Fake())
    pooled, model = PooledModel(team, FakeModel().tokenizer), FakeModel()
    assert pooled.score(scoring(200)) == model.score(scoring(200))
    assert pooled.generate(writing(50)) == model.generate(writing(50))
    assert pooled.engine == "FakeModel in 2 processes of 1 thread"
    found = pids(team)
    assert len(found) == 2
    assert not any(map(gone, found))
    team.close()
    assert all(map(gone, found))


def test_a_worker_killed_in_the_middle_is_replaced_and_nothing_is_answered_twice(
    team, scoring, tmp_path, caplog
):
    opener = Dies("query 33", str(tmp_path))
    team.hold(opener)
    got: Counter[int] = Counter()
    results = PooledModel(team, FakeModel().tokenizer).score(
        scoring(120), lambda index, _: got.update([index])
    )
    assert [r.logprobs for r in results] == [
        tuple(-float(len(r.prompt) + len(c)) for c in r.continuations) for r in scoring(120)
    ]
    assert got == Counter(range(120))
    assert (team.account.retried, len(team.account.lost)) == (1, 1)
    (said,) = caplog.messages
    assert re.fullmatch(
        r"worker [12] ended by SIGKILL; task 1\.\d+ \(\d+ of \d+ requests left\) is tried again", said
    )


def test_a_request_that_kills_every_worker_ends_in_one_line(team, scoring, tmp_path):
    team.hold(Dies("query 7", str(tmp_path), times=99))
    with pytest.raises(ModelError, match=r"task 1\.\d+ \(.*\) has lost 3 workers, .* ended by SIGKILL"):
        PooledModel(team, FakeModel().tokenizer).score(scoring(20))
    assert len(os.listdir(tmp_path)) == 3


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_its_task_asked_again(scoring, tmp_path):
    team = Team("processes", Processes(workers=2, lost_after=15))
    team.hold(Hangs("query 33", str(tmp_path)))
    before = pids(team)
    results = PooledModel(team, FakeModel().tokenizer).score(scoring(60))
    assert [r.logprobs for r in results] == [
        tuple(-float(len(r.prompt) + len(c)) for c in r.continuations) for r in scoring(60)
    ]
    (said,) = team.account.lost
    assert re.fullmatch(r"worker [12]: gave no sign of life for 15 s and was ended", said)
    assert sum(map(gone, before)) == 1
    team.close()


def test_more_workers_than_processors_are_said_once(monkeypatch, caplog):
    monkeypatch.setattr(processes, "processors", lambda: 2)
    processes.warn_of_crowd(2)
    assert caplog.messages == []
    processes.warn_of_crowd(99)
    (said,) = caplog.messages
    assert said.startswith("99 workers on 2 processors: they take turns, and each holds the model; ")
    assert re.search(r"; \d+\.\d GiB of memory are free, \d+\.\d\d GiB for each$", said)


def test_workers_have_the_variables_of_the_driver_and_their_share_of_the_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("ICL_TEST", "here")
    team = Team("processes", Processes(workers=2))
    team.hold(Tells(("ICL_TEST", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")))
    assert team.facts.name == "here,3,3"
    assert (team.facts.threads, team.words) == (3, "2 processes of 3 threads")
    team.close()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("refuses", r"model 'x' cannot be read: it is damaged"),
        ("bug", r"worker \d on \S+ \(pid \d+\): ZeroDivisionError: nothing by nothing"),
        (
            "dies",
            r"worker \d ended with exit code 3 4 times before it had opened the model; is there memory .*",
        ),
    ],
)
def test_a_model_that_cannot_be_opened_is_one_line(team, kind, line):
    with pytest.raises(ModelError) as failure:
        team.hold(Fails(kind))
    assert re.fullmatch(line, str(failure.value))


def test_what_cannot_be_unpacked_is_a_lost_worker_and_no_silence(team):
    with pytest.raises(ModelError, match="ended with exit code 5 4 times before it had opened the model"):
        team.hold(Unpackable())


def test_stopped_workers_are_started_again_with_their_model(team, scoring):
    team.hold(Fake())
    pooled = PooledModel(team, FakeModel().tokenizer)

    def stop(index: int, answer: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pooled.score(scoring(10), stop)
    assert pooled.score(scoring(10)) == FakeModel().score(scoring(10))


DRIVER = """
import sys, time
from icl.engine.fake import FakeModel
from icl.executors.pool import PooledModel
from icl.executors.processes import Processes
from icl.executors.team import Team
from icl.types import ScoreRequest
from tests.executors.openers import Fake

team = Team("processes", Processes(workers=2))
team.hold(Fake(delay=0.05))
while len(team.idle()) < 2:
    team.events()
print(*team._crew.pids.values(), flush=True)
PooledModel(team, FakeModel().tokenizer).score([ScoreRequest(f"p{i}", (" a",)) for i in range(5000)])
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver_however_that_ends(end):
    """The program has no `if __name__` around it, and Ctrl-C goes to its whole group."""
    root = str(Path(__file__).parents[2])
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert driver.stdout is not None
    found = list(map(int, driver.stdout.readline().split()))
    assert len(found) == 2
    time.sleep(0.3)
    os.killpg(driver.pid, end)
    _, errors = driver.communicate(timeout=30)
    assert driver.returncode != 0
    wait_until_gone(found)
    assert errors.count("Traceback") == (end == signal.SIGINT)  # the driver's own


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"workers": 0}, "executor 'processes': workers is 0; allowed: an integer >= 1"),
        ({"lost_after": 0}, "executor 'processes': lost_after is 0; allowed: a number >= 1"),
        ({"workers": 1.5}, "executor 'processes': workers is 1.5; allowed: an integer >= 1"),
        (
            {"worker": 2},
            "executor 'processes' has no parameter 'worker'. Did you mean 'workers'? "
            "Allowed: workers, lost_after",
        ),
    ],
)
def test_bad_options_are_one_line(options, line):
    with pytest.raises(ConfigError) as failure:
        executors.create("processes", options)
    assert str(failure.value) == line
