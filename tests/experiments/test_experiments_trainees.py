"""Tunings that workers train: side by side, the same as here, whatever happens to a worker or the driver."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

import icl
from icl.errors import ConfigError, ModelError, StorageError
from icl.executors.processes import Processes
from icl.experiments.folder.tunings import TuningFolder
from icl.experiments.running import tuned
from icl.experiments.running.lesson import Lesson
from icl.experiments.running.progress import Meter
from icl.experiments.running.trainees import MARK, Trainees
from tests.experiments.scripted import began, wait_until
from tests.experiments.test_experiments_tuning import Heard

SCRIPTED = "tests.experiments.scripted:Scripted"
PROCESSES = {"processes": {"workers": 2}}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def file(write, model, place):
    def make(act="nothing", *, executor=PROCESSES, more=(), **changes):
        tuning = ["none", {SCRIPTED: {"act": act, "place": str(place)}}, *more]
        grid = {"selector": ["zero_shot"], "shots": [0], "tuning": tuning}
        settings = {"model": str(model), "seeds": [0, 1], "test": 3, "pool": 12, "engine": "naive"} | changes
        return write(grid=grid, leaderboard=None, executor=executor, **settings)

    return make


def run(path, output, **options):
    return icl.run(path, output=output, allow_code=True, **options)


def weights(folder):
    return {p.parent.name: p.read_bytes() for p in folder.path.glob("tunings/*/*.safetensors")}


def answers(done):
    return {
        result.cell: [(p.query_id, p.answer, p.label_scores) for p in result.predictions]
        for result in done.results
    }


def of_place(place):
    """What tunings left there, taken away."""
    found = began(place)
    for path in place.iterdir():
        path.unlink()
    return found


def test_two_workers_train_side_by_side_what_one_process_trains(file, tmp_path, place, monkeypatch):
    here = run(file("nothing", executor=None), tmp_path / "here")
    assert {pid for pid, _ in of_place(place)} == {os.getpid()}
    monkeypatch.setattr(tuned, "open_base", None)  # the driver opens no network
    heard = Heard()
    there = run(file("meets"), tmp_path / "there", meter=Meter(heard))  # each waits for the other
    pids = {pid for pid, _ in of_place(place)}
    assert len(pids) == 2
    assert os.getpid() not in pids
    ours, theirs = (list(weights(done).values()) for done in (here, there))
    assert len(ours) == 2
    assert sorted(ours) == sorted(theirs)
    assert [a for c, a in answers(here).items()] == [a for c, a in answers(there).items()]
    assert len([note for note in heard.notes if note.endswith(": training")]) == 2
    assert len([note for note in heard.notes if ": trained in " in note]) == 2
    assert any("step 4/4, loss " in text and "tokens/s" in text for text in heard.training)
    assert any(text.count("seed ") == 2 for text in heard.training)
    assert not list(there.path.glob(f"tunings/{MARK}*"))
    again = run(file("meets"), tmp_path / "there")
    assert of_place(place) == []
    assert answers(again) == answers(there)


def test_a_worker_killed_in_training_is_replaced_and_goes_on_from_its_checkpoint(
    file, tmp_path, place, caplog
):
    here = run(file("nothing", executor=None, seeds=[0]), tmp_path / "here")
    of_place(place)
    there = run(file("dies once", seeds=[0]), tmp_path / "there")
    (first, nothing), (second, two) = of_place(place)
    assert (nothing, two) == (0, 2)
    assert first != second
    assert list(weights(here).values()) == list(weights(there).values())
    workers = there.folder.manifest()["workers"]
    assert (workers["retried"], len(workers["lost"])) == (1, 1)
    assert "ended by SIGKILL; tuning " in caplog.text
    assert ", mine, seed 0 is tried again" in caplog.text
    (record,) = there.folder.manifest()["tunings"].values()
    assert record["cost"]["steps"] == 4


def test_a_tuning_that_kills_every_worker_is_one_line_and_keeps_no_other_back(file, tmp_path, place):
    other = {"tests.experiments.tiny_model:Norm": {"steps": 1}}
    with pytest.raises(ModelError) as failure:
        run(file("dies", more=[other], seeds=[0]), tmp_path / "out")
    assert str(failure.value).endswith(
        ", mine, seed 0 has lost 3 workers, the last of them worker "
        f"{str(failure.value).split('worker ')[1][0]}, which ended by SIGKILL; is there memory for it?"
    )
    assert len(began(place)) == 3
    found = icl.Run(tmp_path / "out" / "small")
    tunings = {result.cell.tuning.partition("(")[0] for result in found.results if result.complete}
    assert tunings == {"none", "tests.experiments.tiny_model:Norm"}
    assert len(found.folder.manifest()["untrained"]) == 1


@pytest.mark.parametrize("act", ["fails", "breaks"])
def test_what_fails_in_training_is_the_line_that_one_process_gives(file, tmp_path, act):
    lines = []
    for executor in (None, PROCESSES):
        with pytest.raises(ConfigError) as failure:
            run(file(act, executor=executor, seeds=[0]), tmp_path / str(len(lines)))
        lines.append(str(failure.value))
    assert lines[0].startswith(f"tuning {SCRIPTED}(")
    assert lines[1] == lines[0]


def test_a_driver_killed_in_training_goes_on_and_its_workers_end(file, tmp_path, place):
    whole = run(file("nothing", executor=None), tmp_path / "whole")
    of_place(place)
    path, out = file("waits"), tmp_path / "out"
    command = [sys.executable, "-m", "icl", "run", str(path), "--output", str(out), "--quiet", "--allow-code"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    kept = out / "small" / "tunings"

    def both_at_two():
        held = [file.read_text() for file in kept.glob("*.part/step.json")]
        return driver.poll() is not None or [text[:3] for text in held] == ["[2,"] * 2

    try:
        wait_until(both_at_two)
        assert driver.poll() is None, driver.communicate()
    finally:
        driver.kill()
        driver.communicate()
    first = of_place(place)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid, _ in first))
    (place / "go").touch()
    done = run(path, out)
    assert sorted(steps for _, steps in first) == [0, 0]
    assert sorted(steps for _, steps in of_place(place)) == [2, 2]
    assert sorted(weights(done).values()) == sorted(weights(whole).values())
    assert not list(kept.glob(f"{MARK}*"))


def test_a_worker_that_does_not_see_the_folder_sends_what_it_trained(file, tmp_path, place, monkeypatch):
    here = run(file("nothing", executor=None), tmp_path / "here")
    of_place(place)

    @contextmanager
    def unseen(self):
        yield "nowhere"

    written = []
    real = TuningFolder.write
    monkeypatch.setattr(TuningFolder, "write", lambda *given: written.append(given) or real(*given))
    monkeypatch.setattr(Trainees, "_marked", unseen)
    there = run(file("nothing"), tmp_path / "there")
    assert len(written) == 2  # by the driver
    assert weights(there) == weights(here)
    assert answers(there) == answers(here)


def test_what_the_machine_refuses_in_a_worker_ends_the_run(file, tmp_path, place, monkeypatch):
    """A file stands where checkpoints would."""
    real = Trainees.train

    def blocked(self, jobs):
        for _, of in jobs:
            self._kept.path.mkdir(exist_ok=True)
            (self._kept.path / f"{of.id}.part").touch()
        return real(self, jobs)

    monkeypatch.setattr(Trainees, "train", blocked)
    with pytest.raises(StorageError, match=r"\.part: File exists\. .*the same command goes on"):
        run(file("nothing"), tmp_path / "out")


@pytest.mark.slow
def test_workers_of_ray_train_what_one_process_trains(file, tmp_path, place, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    here = run(file("nothing", executor=None), tmp_path / "here")
    of_place(place)
    there = run(file("meets", executor={"ray": {"workers": 2}}), tmp_path / "there")
    assert len({pid for pid, _ in of_place(place)} - {os.getpid()}) == 2
    assert sorted(weights(there).values()) == sorted(weights(here).values())
    assert list(answers(there).values()) == list(answers(here).values())


def test_icl_tune_trains_in_workers_too(file, tmp_path, place):
    made = icl.tune(file("meets"), output=tmp_path / "adapters", allow_code=True)
    assert len({pid for pid, _ in of_place(place)} - {os.getpid()}) == 2
    assert [(one.task, one.seed) for one in made] == [("mine", 0), ("mine", 1)]
    assert all((one.folder / "adapter_model.safetensors").is_file() for one in made)


def test_what_reads_files_beside_the_pool_is_made_here_where_workers_are_elsewhere(
    write, tmp_path, model, monkeypatch
):
    """A saved tuning: workers on other machines may not have its folder."""
    lora = {"lora": {"rank": 2, "steps": 1, "batch_size": 2}}
    grid = {"selector": ["zero_shot"], "shots": [0]}
    plain = {"model": str(model), "seeds": [0], "test": 3, "pool": 12, "engine": "naive", "leaderboard": None}
    (made,) = icl.tune(write(grid={**grid, "tuning": [lora]}, **plain), output=tmp_path / "adapters")
    here = []
    real = Lesson.fit
    monkeypatch.setattr(Lesson, "fit", lambda lesson, *given: here.append(lesson) or real(lesson, *given))
    saved = {**plain, "grid": {**grid, "tuning": [{"saved": {"folder": str(made.folder)}}]}}
    for one_machine in (True, False):
        monkeypatch.setattr(Processes, "one_machine", one_machine)
        done = icl.run(
            write(**saved, executor={"processes": {"workers": 1}}), output=tmp_path / f"{one_machine}"
        )
        assert [result.complete for result in done.results if result.cell.tuning != "none"] == [True]
        assert len(here) == (not one_machine)
