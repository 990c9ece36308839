"""The machine refuses: a full disk at any moment, places that are no folders, closed outputs.

One line says what is kept, and the same command goes on to what an undisturbed run gives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError, IclError, StorageError
from icl.experiments.folder import disk, texts

GRID = {"selector": ["random", {"knn": {}}], "method": ["direct"]}


class Disk:
    """Counts what is written, and is full from the k-th write on; `again`: the k-th alone fails."""

    def __init__(self, k: float, *, again: bool = False) -> None:
        self.k, self.again, self.writes = k, again, 0
        self.refused: set[str] = set()
        """Names of the files that could not be written."""

    def full(self, name: str = "database") -> bool:
        self.writes += 1
        full = self.writes == self.k or (self.writes > self.k and not self.again)
        if full:
            self.refused.add(name)
        return full

    def open(self, path, mode="r", **options):
        file = open(path, mode, **options)  # noqa: SIM115
        write = file.write

        class Handle:
            def __enter__(inner):
                return inner

            def __exit__(inner, *_):
                file.close()

            def __getattr__(inner, name):
                return getattr(file, name)

            def write(inner, data):
                if not self.full(os.path.basename(path)):
                    return write(data)
                write(data[: len(data) // 2])  # as much as there was room for
                file.flush()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        return Handle()

    def connect(self, *arguments, **options):
        outer = self

        class Connection(sqlite3.Connection):
            def execute(self, statement, *parameters):
                if statement.startswith(("BEGIN", "COMMIT", "CREATE")) and outer.full():
                    error = sqlite3.OperationalError("database or disk is full")
                    error.sqlite_errorcode = sqlite3.SQLITE_FULL
                    raise error
                return super().execute(statement, *parameters)

        return CONNECT(*arguments, factory=Connection, **options)


CONNECT = sqlite3.connect


@pytest.fixture
def on(monkeypatch):
    """on(disk): what icl writes from now on goes there."""

    def use(place: Disk) -> Disk:
        monkeypatch.setattr(disk, "open", place.open, raising=False)
        monkeypatch.setattr(sqlite3, "connect", place.connect)
        return place

    yield use
    monkeypatch.undo()


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("again", [False, True])
def test_a_disk_that_is_full_at_any_moment(write, tmp_path, predictions, on, monkeypatch, again):
    path = write(seeds=[0], test=4, grid=GRID)
    reference = FakeModel()
    counted = on(Disk(float("inf")))
    whole = predictions(icl.run(path, output=tmp_path / "whole", model=reference).path)
    monkeypatch.undo()
    assert counted.writes > 25
    told = set()
    for k in range(1, counted.writes + 1):
        out, first, second = tmp_path / f"out{k}", FakeModel(), FakeModel()
        place, said = on(Disk(k, again=again)), ""
        try:
            icl.run(path, output=out, model=first)
        except StorageError as error:
            said = one_line(error)
        finally:
            monkeypatch.undo()
        # How much is written at once depends on the clock: the last moments may not come. What only says how
        # far a run is stops no run.
        assert said or place.writes < k or all(name.startswith("progress.json") for name in place.refused)
        if said:
            assert "No space left on device" in said or "disk is full" in said
            assert "; the same command " in said
            told.add(said.rpartition(". ")[2])
        assert not list(out.rglob("*.new"))
        run = icl.run(path, output=out, model=second)
        assert predictions(run.path) == whole
        assert all(r.complete and not r.damage for r in run.results)
        # What was answered is in the cache, unless it was the cache that could not be written.
        lost = len(first.requests) + len(second.requests) - len(reference.requests)
        assert lost == 0 or not again or "response cache" in said
    assert len(told) > 3  # from nothing kept to all


def test_a_session_that_broke_off_is_in_the_manifest_with_its_reason(write, tmp_path, monkeypatch):
    class Full(FakeModel):
        def _note(self, request):
            raise OSError(errno.EIO, "Input/output error", "weights.bin")

    with pytest.raises(StorageError, match=r"weights.bin: Input/output error. No prediction was kept"):
        icl.run(write(), output=tmp_path / "out", model=Full())
    run = icl.run(write(), output=tmp_path / "out")
    ends = [s["ended_by"] for s in run.folder.manifest()["sessions"]]
    assert ends == ["OSError: [Errno 5] Input/output error: 'weights.bin'", "complete"]


def test_the_folder_is_removed_while_it_runs(write, tmp_path):
    class Removing(FakeModel):
        def _note(self, request):
            super()._note(request)
            shutil.rmtree(tmp_path / "out" / "small", ignore_errors=True)

    with pytest.raises(StorageError) as error:
        icl.run(write(), output=tmp_path / "out", model=Removing())
    assert "No such file or directory. No prediction was kept yet" in one_line(error.value)
    assert all(r.complete for r in icl.run(write(), output=tmp_path / "out").results)


@pytest.mark.parametrize(
    ("occupied", "said"),
    [
        ("out", "out"),
        ("out/.cache", "response cache"),
        ("out/small", "is a file; choose another name"),
        ("out/small/cells", "cells: File exists"),
        ("out/small/tasks", "tasks"),
        ("out/.cache/embeddings", "embeddings cache"),
    ],
)
def test_a_file_where_a_folder_belongs(write, tmp_path, occupied, said):
    (tmp_path / occupied).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / occupied).write_text("precious")
    with pytest.raises((StorageError, ConfigError)) as error:
        icl.run(write(), output=tmp_path / "out")
    assert said in one_line(error.value)
    assert (tmp_path / occupied).read_text() == "precious"


def test_a_cache_that_cannot_be_used_is_found_before_the_model_loads(write, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "icl.experiments.running.turn.open_model", lambda *a, **k: pytest.fail("a model was loaded")
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".cache").write_text("")
    with pytest.raises(StorageError, match="response cache"):
        icl.run(write(), output=tmp_path / "out")


def test_rates_that_cannot_be_kept_end_no_run(write, tmp_path, monkeypatch, caplog):
    def fails(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied", "rates.json")

    monkeypatch.setattr("icl.experiments.running.turn.remember", fails)
    assert all(r.complete for r in icl.run(write(), output=tmp_path / "out").results)
    assert "rates are not kept for icl plan (rates.json: Permission denied)" in caplog.text


def test_texts_that_were_torn_are_written_again(write, tmp_path):
    path = write(grid=GRID)
    run = icl.run(path, output=tmp_path / "out")
    file = run.path / "tasks" / "mine.jsonl"
    whole = texts.read_texts(run.path / "tasks", "mine")
    file.write_bytes(file.read_bytes()[:-20])
    for summary in (run.path / "cells").glob("*knn*.json"):
        summary.unlink()
    assert icl.run(path, output=tmp_path / "out").folder.shown("mine") == whole


def start(*arguments: object, limit: int | None = None, **options) -> subprocess.CompletedProcess[bytes]:
    def prepare() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "icl", *map(str, arguments)],
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=prepare,
        check=False,
        **options,
    )


@pytest.mark.parametrize("limit", [100, 1500, 20_000])
def test_files_that_the_system_lets_grow_no_further(write, tmp_path, predictions, limit):
    """A real refusal of every write, SQLite's too, in a process of its own."""
    path, out = write(grid=GRID, test=12), tmp_path / "out"
    done = start("run", path, "-o", out, "-q", limit=limit, stdout=subprocess.DEVNULL)
    said = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert said[-1].startswith("icl: error: ")
    assert "the same command" in said[-1]
    assert "Traceback" not in done.stderr.decode()
    icl.run(path, output=out)
    assert predictions(out / "small") == predictions(icl.run(path, output=tmp_path / "whole").path)


def test_an_output_that_is_full_or_closed(write, tmp_path):
    """The run is there whole; the line says so, where it can still be said."""
    path, out = write(grid={"selector": ["random"]}, seeds=[0], test=3), tmp_path / "out"
    with open("/dev/full", "wb") as full:
        done = start("run", path, "-o", out, stdout=full)
    said = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, said.startswith("icl: error: the leaderboard cannot be written")) == (2, True)
    assert said.endswith(f"The run is complete: icl leaderboard {out / 'small'}")
    with open("/dev/full", "wb") as full:
        done = start("leaderboard", out / "small", "-f", "csv", stdout=full)
    assert done.stderr.decode() == "icl: error: the output cannot be written (No space left on device)\n"
    reading, writing = os.pipe()
    os.close(reading)
    done = start("leaderboard", out / "small", stdout=writing)
    os.close(writing)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr.decode()
    assert "Exception ignored" not in done.stderr.decode()


def test_nobody_to_watch(write, tmp_path):
    """A display whose output is closed ends itself and not the run."""
    from icl.cli.display import Output, meter_for

    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), open(writing, "w", encoding="utf-8") as closed:
        meter = meter_for(Output(file=closed), quiet=False)
        run = icl.run(write(), output=tmp_path / "out", meter=meter)
        assert meter.display is None
    assert all(r.complete for r in run.results)


def test_reading_is_an_error_of_ones_own_too(tmp_path):
    with pytest.raises(IclError):
        icl.Run(tmp_path / "nowhere")
