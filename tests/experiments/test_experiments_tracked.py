"""What trackers are told, and that none of them ends a run."""

from __future__ import annotations

import logging

import pytest
import yaml

import icl
from icl.errors import ConfigError
from icl.experiments.running.tracked import flat
from icl.tracking import trackers

TOLD: list[tuple] = []


class Listener:
    """Notes everything; raises at the method that `fails` names."""

    package = "numpy>=1"

    def __init__(self, *, fails: str = "") -> None:
        self.fails = fails

    def _note(self, *what):
        if what[0] == self.fails:
            raise RuntimeError("https://me:hidden@server/x is down")
        TOLD.append(what)

    def start(self, name, run, settings):
        self._note("start", name, run, dict(settings))

    def log(self, values, step):
        self._note("log", dict(values), step)

    def stop(self, *, complete):
        self._note("stop", complete)


@pytest.fixture(autouse=True)
def listener():
    TOLD.clear()
    trackers.register("listener")(Listener)
    yield
    del trackers._entries["listener"]


def test_a_run_is_told_from_start_to_end(write, tmp_path):
    run = icl.run(write(track="listener"), output=tmp_path / "out")
    assert [what[0] for what in TOLD][:: len(TOLD) - 1] == ["start", "stop"]
    assert TOLD[-1] == ("stop", True)
    assert TOLD[0][1:3] == ("small", run.path)
    cells = {(k, step): v for _, values, step in TOLD[1:-1] for k, v in values.items() if "/mine/" in k}
    expected = {
        (f"accuracy/{r.cell.model}/mine/{r.cell.setting}", r.cell.seed): r.metrics["accuracy"]
        for r in run.results
    }
    assert cells == expected
    last = [values for _, values, _ in TOLD[1:-1] if "progress/predictions" in values][-1]
    assert last["progress/predictions"] == 60


def test_a_complete_run_is_not_told_again(write, tmp_path):
    path = write(track={"listener": {}})
    icl.run(path, output=tmp_path / "out")
    TOLD.clear()
    icl.run(path, output=tmp_path / "out")
    assert TOLD == []


@pytest.mark.parametrize("moment", ["start", "log", "stop"])
def test_one_that_fails_is_said_once_and_the_run_is_whole(write, tmp_path, caplog, moment):
    with caplog.at_level(logging.WARNING, "icl"):
        run = icl.run(write(track={"listener": {"fails": moment}}), output=tmp_path / "out")
    assert all(result.complete for result in run.results)
    said = [r.getMessage() for r in caplog.records if "tracker" in r.getMessage()]
    assert len(said) == 1
    assert "tracker listener failed and is told no more" in said[0]
    assert "hidden" not in said[0]


def test_a_run_that_was_broken_off_is_said_to_be(write, tmp_path):
    class Stop:
        def start(self, meter): ...

        def note(self, text): ...

        def stop(self, meter): ...

        def changed(self, meter):
            if meter.done > 3:
                raise KeyboardInterrupt

    from icl.experiments.running.progress import Meter

    with pytest.raises(KeyboardInterrupt):
        icl.run(write(track="listener"), output=tmp_path / "out", meter=Meter(Stop()))
    assert TOLD[-1] == ("stop", False)


def test_secrets_are_not_told():
    settings = {
        "model": {
            "served": {"api_key": "sk-1", "apiKey": "sk-2", "headers": {"Auth": "sk-3"}, "max_tokens": 5}
        },
        "grid": {"method": [{"few_shot": {"token": "sk-4", "n": 2}}]},
        "track": {"mlflow": {"uri": "https://me:sk-5@server/x"}},
    }
    told = flat(settings)
    assert "sk-" not in str(told)
    assert told["model.served.max_tokens"] == "5"
    assert told["grid.method"] == "[{'few_shot': {'n': 2}}]"
    assert told["track.mlflow.uri"] == "https://***@server/x"


def test_track_may_change_in_a_run_that_goes_on(write, tmp_path):
    icl.run(write(), output=tmp_path / "out")
    run = icl.run(write(track="listener"), output=tmp_path / "out")
    assert yaml.safe_load((run.path / "experiment.yaml").read_text())["track"] == {"listener": {}}


def test_what_cannot_be_tracked_is_refused_before_anything_runs(write, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"experiment.yaml:\d+.*track.*Did you mean 'listener'"):
        icl.run(write(track="listner"), output=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"has no parameter 'fail'\. Did you mean 'fails'"):
        icl.run(write(track={"listener": {"fail": "x"}}), output=tmp_path / "out")
    monkeypatch.setattr(Listener, "package", "no-such-package-here>=1")
    with pytest.raises(ConfigError, match="not installed: pip install 'no-such-package-here>=1'"):
        icl.run(write(track="listener"), output=tmp_path / "out")
    with pytest.raises(ConfigError, match="must be a tracker or"):
        icl.run(write(track=3), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
