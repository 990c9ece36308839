"""Rates that are remembered, and what they say of an experiment to come."""

from __future__ import annotations

import json

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.engine.measuring.pace import Pace
from icl.experiments.asking.timed import TimedModel, Work
from icl.experiments.file.config import read_experiment
from icl.experiments.folder.rates import ASSUMED, RATES, Rates, expected_rates, learned, remember
from icl.types import GenerateRequest, ScoreRequest

FAKE = read_experiment(
    {"name": "a", "model": "fake", "task": "x", "grid": {"selector": "random", "shots": 1}}
)[0]


def test_reading_and_writing_are_learned_apart():
    work = Work(
        scored=1000, scoring_seconds=4.0, prefilled=500, generated=60, limit=240, generating_seconds=8.0
    )
    # 500 prompt tokens at 250/s take two of the eight seconds
    assert learned(Rates(), work) == Rates(read=250.0, write=10.0, share=0.25)


def test_what_was_too_short_changes_nothing():
    before = Rates(100.0, 5.0, 0.5)
    assert (
        learned(before, Work(scored=10, scoring_seconds=0.1, generated=3, generating_seconds=1.0)) == before
    )
    assert learned(before, Work(scored=900, scoring_seconds=3.0)) == Rates(300.0, 5.0, 0.5)


def test_a_run_that_only_wrote_gives_back_its_own_time():
    work = Work(prefilled=800, generated=100, limit=100, generating_seconds=10.0)
    rates = learned(Rates(), work)
    low, likely, high = rates.seconds(800, 100)
    assert low == likely == high == pytest.approx(10.0)


def test_slow_reading_elsewhere_leaves_time_for_writing():
    work = Work(prefilled=10_000, generated=100, limit=100, generating_seconds=10.0)
    assert learned(Rates(read=100.0), work).write == pytest.approx(100 / (0.2 * 10))


def test_seconds_are_a_range_until_the_length_of_texts_is_known():
    assert Rates(100.0, 10.0).seconds(1000, 200) == pytest.approx((10 + 2, 10 + 20 * ASSUMED, 10 + 20))
    assert Rates(100.0, 10.0, 0.5).seconds(1000, 200) == (20, 20, 20)
    assert Rates(100.0).seconds(1000, 0) == (10, 10, 10)
    assert Rates(100.0).seconds(1000, 200) is None
    assert Rates(write=10.0).seconds(1000, 0) is None


def test_remembered_from_session_to_session(tmp_path):
    cache = tmp_path / "cache"
    remember(cache, FAKE, Work(scored=1000, scoring_seconds=4.0))
    remember(cache, FAKE, Work(generated=60, limit=120, generating_seconds=3.0))
    expected = expected_rates(cache, FAKE, texts=2)
    assert expected is not None
    assert expected.rates == Rates(250.0, 20.0, 0.5)
    assert "earlier runs" in expected.origin


@pytest.mark.parametrize("text", ["", "[]", "{not json", '{"other": 3}'])
def test_a_file_that_says_nothing(tmp_path, text):
    (tmp_path / RATES).write_text(text)
    assert expected_rates(tmp_path, FAKE, texts=0) is None
    remember(tmp_path, FAKE, Work(scored=1000, scoring_seconds=4.0))
    assert expected_rates(tmp_path, FAKE, texts=0) is not None


def test_a_file_of_an_earlier_version_holds_one_rate(tmp_path):
    remember(tmp_path, FAKE, Work(scored=1000, scoring_seconds=4.0))
    (key,) = json.loads((tmp_path / RATES).read_text())
    (tmp_path / RATES).write_text(json.dumps({key: 639.9}))
    expected = expected_rates(tmp_path, FAKE, texts=0)
    assert expected is not None
    assert expected.rates == Rates(read=639.9)
    assert expected_rates(tmp_path, FAKE, texts=2) is None  # nothing of writing, and no shape to measure


def test_a_timed_model_answers_as_the_model_and_keeps_account():
    plain, timed = FakeModel(), TimedModel(FakeModel())
    scoring = [ScoreRequest("a b c", (" d", " e"))]
    writing = [GenerateRequest("a b c", n=2, max_tokens=7)]
    assert timed.score(scoring) == plain.score(scoring)
    assert timed.generate(writing) == plain.generate(writing)
    (scores,), (said,) = plain.score(scoring), plain.generate(writing)
    work = timed.work
    assert work.scored == scores.usage.tokens_unique
    assert work.generated == said.usage.tokens_generated
    assert work.prefilled == said.usage.tokens_unique - said.usage.tokens_generated
    assert work.limit == 14
    assert work.scoring_seconds > 0 < work.generating_seconds
    assert (timed.name, timed.fingerprint) == (plain.name, plain.fingerprint)


def test_a_call_that_is_broken_off_counts_what_had_arrived():
    class Broken(FakeModel):
        def score(self, requests, on_result=None):
            on_result(0, super().score(requests[:1])[0])
            raise KeyboardInterrupt

    timed = TimedModel(Broken())
    requests = [ScoreRequest("a b c", (" d",)), ScoreRequest("x y z", (" d",))]
    with pytest.raises(KeyboardInterrupt):
        timed.score(requests)
    assert timed.work.scored == FakeModel().score(requests[:1])[0].usage.tokens_unique


def test_a_run_remembers_nothing_of_a_moment(write, tmp_path):
    icl.run(write(), output=tmp_path / "runs")
    assert not (tmp_path / "runs" / ".cache" / RATES).exists()


@pytest.mark.parametrize(("others", "said"), [(0.02, False), (0.5, True)])
def test_a_measurement_on_a_busy_machine_is_said_to_be_one(tmp_path, monkeypatch, others, said):
    monkeypatch.setattr("icl.engine.measuring.pace.measure_pace", lambda *asked: Pace(80.0, 4.0, others))
    expected = expected_rates(tmp_path, FAKE.model_copy(update={"model": "a model"}), texts=2)
    assert expected is not None
    assert expected.rates == Rates(80.0, 4.0)
    assert ("other programs took 50% of the processor" in expected.origin) is said
