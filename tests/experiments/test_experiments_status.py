"""How far a run is, looked at from outside while it grows, stands still or is done."""

from __future__ import annotations

import json
import platform

import pytest

import icl
from icl.errors import ConfigError
from icl.experiments.folder.progress import PROGRESS, here, read_progress
from icl.experiments.folder.store import RunFolder
from icl.experiments.running.progress import Meter
from icl.experiments.status import status


@pytest.fixture
def run(write, tmp_path):
    return icl.run(write(), output=tmp_path / "out").path


def look(path):
    return status(RunFolder.open(path))


def test_a_complete_run(run):
    found = look(run)
    assert (found.state, found.cells, found.problems) == ("complete", (6, 6), ())
    assert (found.predictions, found.total, found.last_end) == (60, 60, "complete")
    assert [row.setting.split()[0] for row in found.rows] == ["zero_shot", "random", "knn"]
    board = icl.Run(run).leaderboard()
    shown = {row.setting: row.value.value for row in board.rows if row.selector != "majority_class"}
    assert {row.setting: row.accuracy for row in found.rows} == pytest.approx(shown)
    assert json.loads(json.dumps(found.as_dict))["session"]["done"] == 60


class Looks:
    """A display that looks at the folder from outside, from the first prediction on."""

    def __init__(self, path):
        self.path = path
        self.seen = []

    def start(self, meter):
        self.seen.append(look(self.path))

    def note(self, text):
        pass

    def changed(self, meter):
        self.seen.append(look(self.path))

    def stop(self, meter):
        pass


def test_a_run_at_work_is_seen_to_run_and_keeps_its_lock(write, tmp_path):
    looks = Looks(tmp_path / "out" / "small")
    icl.run(write(), output=tmp_path / "out", meter=Meter(watchers=[looks]))
    assert looks.seen[0].progress is None or looks.seen[0].state == "running"
    later = looks.seen[1:]
    assert later
    assert {found.state for found in later if found.cells[0] < 6} == {"running"}
    assert all(found.total == 60 and found.problems == () for found in later)
    counts = [found.predictions for found in later]
    assert counts == sorted(counts)
    assert later[-1].progress.total == 60


def test_looking_does_not_take_the_lock(run, write):
    folder = RunFolder(run)
    folder._lock.take(run)
    try:
        assert look(run).state == "complete"
        with pytest.raises(ConfigError, match="another process"):
            RunFolder(run)._lock.take(run)
    finally:
        folder.close()


def unfinished(run):
    """Takes the last cell back to three lines."""
    cell = sorted(run.glob("cells/*knn*s1*.jsonl"))[0]
    summary = cell.with_suffix(".json")
    record = json.loads(summary.read_text()) | {"complete": False, "digest": None}
    summary.write_text(json.dumps(record))
    cell.write_bytes(b"".join(cell.read_bytes().splitlines(keepends=True)[:3]) + b'{"query_id": "half')
    return cell


def says(run, **changes):
    record = json.loads((run / PROGRESS).read_text()) | here() | {"ended": False} | changes
    (run / PROGRESS).write_text(json.dumps(record))


def test_a_run_that_was_killed_is_stopped(run):
    unfinished(run)
    says(run, process_began=1.0)  # its number is another process's by now
    found = look(run)
    assert (found.state, found.cells, found.predictions) == ("stopped", (5, 6), 53)
    assert found.problems == ()
    says(run, pid=2**22 + 1)
    assert look(run).state == "stopped"


def test_a_run_of_this_process_runs_and_one_elsewhere_is_not_known(run):
    unfinished(run)
    says(run)
    assert look(run).state == "running"
    says(run, host="another than " + platform.node())
    assert look(run).state == "unknown"


def test_the_rate_counts_a_share_of_the_call_under_way(run):
    says(run, began=100.0, at=110.0, found=10, done=10, reached=30.0)
    assert read_progress(run).predictions_per_second == pytest.approx(2.0)
    says(run, began=100.0, at=110.0, found=10, done=20, reached=0.0)
    assert read_progress(run).predictions_per_second == pytest.approx(1.0)


def test_damage_is_a_problem_and_no_reason_to_end(run):
    cell = next(run.glob("cells/*knn*s1*.jsonl"))
    cell.write_bytes(cell.read_bytes()[1:])
    (run / PROGRESS).write_text('{"pid": 1}')
    found = look(run)
    assert found.cells == (5, 6)
    assert [("not those that were written" in p, PROGRESS in p) for p in found.problems] == [
        (True, False),
        (False, True),
    ]


def test_a_folder_of_an_older_icl_has_no_progress(run):
    (run / PROGRESS).unlink()
    assert read_progress(run) is None
    assert look(run).state == "complete"


def test_the_disk_that_is_full_ends_the_telling_and_not_the_run(write, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icl.experiments.running.live.write_whole", full)
    run = icl.run(write(), output=tmp_path / "out")
    assert all(result.complete for result in run.results)
    assert not (run.path / PROGRESS).exists()
