"""icl plan: what it keeps from one time to the next, and how it says so."""

from __future__ import annotations

import re
import time

import pytest

from tests.experiments.tiny_model import write_model


@pytest.fixture
def tiny(folder, monkeypatch):
    """A tiny model in the current folder; what is kept of models goes there too."""
    monkeypatch.setenv("ICL_CACHE", str(folder / "cache"))
    return write_model(folder / "tiny").name


def lines(said):
    """Beside the table, by their first words."""
    assert said.code == 0, said.err
    return {line.split(":")[0]: line for line in said.out.splitlines() if line.startswith("Expected")}


def test_kept_rates_and_sizes_need_no_network(icl, tiny, monkeypatch):
    first = lines(icl("plan", "experiment.yaml", "--model", tiny))
    assert "measured just now on this machine, on two random layers" in first["Expected time"]

    def refuse(*_, **__):
        raise AssertionError("a network was made")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_config", refuse)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", refuse)
    assert lines(icl("plan", "experiment.yaml", "--model", tiny)) == first
    later = time.time() + 90_000
    monkeypatch.setattr("icl.experiments.folder.rates.now", lambda: later)
    again = lines(icl("plan", "experiment.yaml", "--model", tiny))
    assert "measured 1 day ago on this machine" in again["Expected time"]
    with pytest.raises(AssertionError, match="a network was made"):
        icl("plan", "experiment.yaml", "--model", tiny, "--measure")


def test_measured_anew(icl, tiny, monkeypatch):
    rates = iter((1000.0, 3000.0))

    def measure(*_):
        from icl.engine.measuring.pace import Pace

        return Pace(next(rates), 10.0)

    monkeypatch.setattr("icl.engine.measuring.pace.measure_pace", measure)
    found = []
    for more in ([], [], ["--measure"], []):
        said = lines(icl("plan", "experiment.yaml", "--model", tiny, *more))["Expected time"]
        found.append(re.search(r"\(([\d,]+) tokens/s read", said)[1])
    assert found == ["1,000", "1,000", "3,000", "3,000"]


def test_weights_that_changed_are_measured_again(icl, tiny, folder, monkeypatch):
    asked = []

    def measure(*question):
        from icl.engine.measuring.pace import Pace

        asked.append(question[0])
        return Pace(1000.0, 10.0)

    monkeypatch.setattr("icl.engine.measuring.pace.measure_pace", measure)
    icl("plan", "experiment.yaml", "--model", tiny)
    write_model(folder / "tiny", seed=1)
    icl("plan", "experiment.yaml", "--model", tiny)
    assert asked == [tiny, tiny]
