"""A real Ray cluster: of one node as a run starts it, and of two, one of which goes."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from icl.engine import load_model
from icl.engine.fake import FakeModel
from icl.errors import ConfigError, ModelError
from icl.executors.contract import Opener
from icl.executors.pool import PooledModel
from icl.executors.ray import Ray
from icl.executors.team import Team
from icl.types import ScoreRequest
from tests.executors.openers import Dies, Fake, Reads, Tells
from tests.experiments.tiny_model import write_model

pytest.importorskip("ray")
STORE = 100 * 2**20


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("ICL_TEST", "here")
    made = Team("ray", Ray(workers=2))
    yield made
    made.close()


def test_a_cluster_of_its_own(team, scoring, writing, tmp_path, caplog):
    """One cluster for what else would be several tests: it takes seconds to start."""
    model = FakeModel()
    team.hold(Tells(("ICL_TEST", "OMP_NUM_THREADS")))
    assert team.facts.name == "here,1"
    assert team.words == "2 workers of ray of 1 thread"
    team.hold(Fake())
    pooled = PooledModel(team, model.tokenizer)
    got: Counter[int] = Counter()
    assert pooled.score(scoring(200), lambda index, _: got.update([index])) == model.score(scoring(200))
    assert got == Counter(range(200))
    assert pooled.generate(writing(50)) == model.generate(writing(50))
    with pytest.raises(ModelError, match=r"^score request 3 "):
        pooled.score([*scoring(3), ScoreRequest("", ())])

    team.hold(Dies("query 33", str(tmp_path)))
    got.clear()
    results = PooledModel(team, model.tokenizer).score(scoring(120), lambda index, _: got.update([index]))
    assert [len(r.token_logprobs) for r in results] == [2] * 120
    assert got == Counter(range(120))
    assert (team.account.retried, len(team.account.lost)) == (1, 1)
    assert "is tried again" in caplog.text


class Two:
    """A cluster of two nodes of one processor each, made by Ray's own utility for tests."""

    def __init__(self, **second: object) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.second = self.cluster.add_node(num_cpus=1, object_store_memory=STORE, **second)
        self.team = Team("ray", Ray(address=self.cluster.address))

    def ask(self, at: int, act: Callable[[], None]) -> list[object]:
        """Answers of a call in which `act` begins at the answer number `at`."""
        arrived = 0

        def passed(index: int, answer: object) -> None:
            nonlocal arrived
            arrived += 1
            if arrived == at:
                threading.Thread(target=act).start()

        requests = [ScoreRequest(f"query {i} " + "x" * 3000, (" a",)) for i in range(300)]
        return list(PooledModel(self.team, FakeModel().tokenizer).score(requests, passed))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Two]]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, sys.path)]))
    made: list[Two] = []

    def make(**second: object) -> Two:
        made.append(Two(**second))
        return made[-1]

    yield make
    for one in made:
        one.team.close()
        one.cluster.shutdown()


@pytest.mark.slow
def test_a_node_that_is_lost_is_done_without(two, caplog):
    cluster = two()
    cluster.team.hold(Fake(delay=0.03))
    assert cluster.team.words == "2 workers of ray of 1 thread"
    got = cluster.ask(20, lambda: cluster.cluster.remove_node(cluster.second, allow_graceful=False))
    expected = [ScoreRequest(f"query {i} " + "x" * 3000, (" a",)) for i in range(300)]
    assert got == FakeModel().score(expected)
    assert cluster.team.account.retried >= 1
    assert "is tried again" in caplog.text


@pytest.mark.slow
def test_a_head_node_that_is_gone_is_one_line(two):
    cluster = two()
    cluster.team.hold(Fake(delay=0.03))
    head = cluster.cluster.head_node

    def kill() -> None:
        head.kill_all_processes(check_alive=False, allow_graceful=False)

    with pytest.raises(ModelError) as failure:
        cluster.ask(20, kill)
    address = re.escape(cluster.cluster.address)
    said = rf"the head node of the Ray cluster \({address}\) does not answer any more\. What was answered .*"
    assert re.fullmatch(said, str(failure.value))
    began = time.monotonic()
    cluster.team.close()
    assert time.monotonic() - began < 30  # Ray itself would wait a minute and end this process


@pytest.mark.slow
def test_a_node_with_another_icl_is_refused_before_a_model_is_opened(two, tmp_path):
    """Its icl is a copy with a line more, loaded before Ray puts the driver's paths in front."""
    root = Path(__file__).parents[2]
    shutil.copytree(root / "icl", tmp_path / "icl", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "icl" / "seeding.py", "a", encoding="utf-8") as file:
        file.write("\n# another\n")
    (tmp_path / "sitecustomize.py").write_text("import icl", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    cluster = two(env_vars={"PYTHONPATH": path})
    with pytest.raises(ConfigError) as failure:
        both_opened(cluster.team)
    assert re.fullmatch(
        r"the worker on \S+ \(pid \d+\) runs icl .+ \([0-9a-f]{8}\) and this process icl .+ \([0-9a-f]{8}\): "
        r"install one version on all nodes",
        str(failure.value),
    )


@pytest.mark.slow
def test_model_files_reach_a_node_that_does_not_have_them_and_no_other(two, tmp_path, monkeypatch):
    """~ is another folder on the second node, and in the first it is a shared one."""
    home, other, log = tmp_path / "home", tmp_path / "other", tmp_path / "log"
    for folder in (other, log):
        folder.mkdir()
    write_model(home / "tiny")
    # Ray leaves this where the process has had a cluster of its own, and looks for the token at ~
    if os.environ.get("RAY_AUTH_MODE") == "token":
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", os.path.expanduser("~/.ray/auth_token"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ICL_CACHE", str(tmp_path / "cache"))
    cluster = two(env_vars={"HOME": str(other)})
    both_opened(cluster.team, Reads("~/tiny", str(log)))
    places = sorted(path.read_text(encoding="utf-8") for path in log.iterdir())
    (carried,) = (tmp_path / "cache" / "carried").glob("*/tiny")
    assert places == sorted([str(home / "tiny"), str(carried)])
    for path in (home / "tiny").iterdir():
        assert (carried / path.name).read_bytes() == path.read_bytes()
    here = load_model("~/tiny", engine="naive")
    requests = [ScoreRequest(f"query {i} " + "x" * 50, (" a", " b")) for i in range(6)]
    there = PooledModel(cluster.team, here.tokenizer)
    assert there.fingerprint == here.fingerprint
    scores = [[result.token_logprobs for result in one.score(requests)] for one in (there, here)]
    assert scores[0] == scores[1]


def both_opened(team: Team, opener: Opener | None = None) -> None:
    """Waits for both workers."""
    team.hold(opener or Fake())
    while len(team.idle()) < 2:
        team.events()


@pytest.mark.parametrize(
    ("nodes", "workers", "gpus", "threads"),
    [
        ([{"CPU": 8.0}], 2, 0, 4),
        ([{"CPU": 8.0}, {"CPU": 2.0}], 3, 0, 2),
        ([{"CPU": 1.0}, {"CPU": 1.0}], 2, 0, 1),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0}], 2, 1, 8),
        ([{"CPU": 16.0, "GPU": 1.0}], 4, 0.25, 4),
    ],
)
def test_processors_are_divided_so_that_every_worker_has_a_place(nodes, workers, gpus, threads):
    from icl.executors.ray import threads_of

    assert threads_of(nodes, workers, gpus) == threads


@pytest.mark.parametrize(
    ("nodes", "workers", "gpus", "line"),
    [
        (
            [{"CPU": 2.0}], 3, 0,
            "the Ray cluster has 2 processors on 1 nodes: too few for 3 workers of one processor each",
        ),
        (
            [{"CPU": 9.0}], 1, 1,
            "the Ray cluster has 9 processors and 0 graphics cards on 1 nodes: too few for 1 workers of one "
            "processor and 1 graphics cards each",
        ),
    ],
)  # fmt: skip
def test_a_cluster_that_is_too_small_is_one_line(nodes, workers, gpus, line):
    from icl.executors.ray import threads_of

    with pytest.raises(ModelError) as failure:
        threads_of(nodes, workers, gpus)
    assert str(failure.value) == line


def test_a_cluster_says_how_many_workers_it_has_room_for():
    from icl.executors.ray import most_workers

    assert most_workers([{"CPU": 8.0}, {"CPU": 8.0}], 0) == 2
    assert most_workers([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}], 2) == 2
    with pytest.raises(ModelError, match="no node of the Ray cluster has 1 graphics cards"):
        most_workers([{"CPU": 8.0}], 1)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:99999", "nowhere.invalid:6379"])
def test_a_cluster_that_is_not_there_is_one_line(address):
    with pytest.raises(ModelError) as failure:
        Ray(address=address).start()
    assert str(failure.value) == f"a Ray cluster cannot be reached at {address!r}: nothing answers there"
