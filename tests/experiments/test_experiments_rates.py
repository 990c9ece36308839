"""Rates that are remembered, and what they say of an experiment to come."""

from __future__ import annotations

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.engine.measuring.pace import Pace
from icl.engine.native.library import Found
from icl.experiments.asking.timed import TimedModel, Work
from icl.experiments.file.config import read_experiment
from icl.experiments.folder.ratebook import LAYERS, RATES, RUN, Figure, Kept, RateBook, age, key_of, now
from icl.experiments.folder.rates import ASSUMED, Rates, expected_rates, learned, remember
from icl.types import GenerateRequest, ScoreRequest

FAKE = read_experiment(
    {"name": "a", "model": "fake", "task": "x", "grid": {"selector": "random", "shots": 1}}
)[0]
REAL = FAKE.model_copy(update={"model": "a model"})
SCORED = Work(scored=1000, scoring_seconds=4.0)


@pytest.fixture
def measured(monkeypatch):
    """What measuring was asked, with figures that change from one time to the next."""
    asked = []

    def measure(*question):
        asked.append(question)
        return Pace(80.0 + len(asked), 4.0 + len(asked), 0.02)

    monkeypatch.setattr("icl.engine.measuring.pace.measure_pace", measure)
    return asked


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
    remember(cache, FAKE, "f", SCORED)
    remember(cache, FAKE, "f", Work(generated=60, limit=120, generating_seconds=3.0))
    expected = expected_rates(cache, FAKE, "f", texts=2)
    assert expected is not None
    assert expected.rates == Rates(250.0, 20.0, 0.5)
    assert expected.origin == "as in a run with this model on this machine just now"


@pytest.mark.parametrize("text", ["", "[]", "{not json", '{"other": 3}'])
def test_a_file_that_says_nothing(tmp_path, text):
    (tmp_path / RATES).write_text(text)
    assert expected_rates(tmp_path, FAKE, "f", texts=0) is None
    remember(tmp_path, FAKE, "f", SCORED)
    assert expected_rates(tmp_path, FAKE, "f", texts=0) is not None


@pytest.mark.parametrize(
    "entry",
    [3, {"read": 3.0}, {"read": {"rate": 1}}, {"read": {"rate": -1, "source": "run", "at": 0}},
     {"read": {"rate": 1, "source": "guessed", "at": 0}}, {"write": [1], "share": "x"}],
)  # fmt: skip
def test_an_entry_of_another_form_is_not_known(entry):
    assert Kept.of(entry) == Kept()


def test_what_is_measured_is_kept_with_its_age(tmp_path, measured, monkeypatch):
    first = expected_rates(tmp_path, REAL, "f", texts=2)
    assert first.rates == Rates(81.0, 5.0)
    assert first.origin == "measured just now on this machine, on two random layers of its shape"
    monkeypatch.setattr("icl.experiments.folder.rates.now", lambda: now() + 3 * 86400 + 5)
    again = expected_rates(tmp_path, REAL, "f", texts=2)
    assert again.rates == first.rates
    assert again.origin == "measured 3 days ago on this machine, on two random layers of its shape"
    assert len(measured) == 1


def test_measured_anew_when_told_so(tmp_path, measured):
    expected_rates(tmp_path, REAL, "f", texts=2)
    remember(tmp_path, REAL, "f", SCORED)
    assert expected_rates(tmp_path, REAL, "f", texts=2).rates.read == 250.0
    assert expected_rates(tmp_path, REAL, "f", texts=2, anew=True).rates == Rates(82.0, 6.0)
    assert expected_rates(tmp_path, REAL, "f", texts=2).rates == Rates(82.0, 6.0)
    assert len(measured) == 2


def test_writing_is_measured_for_as_many_texts_as_are_written(tmp_path, measured):
    for texts in (1, 1, 32, 33):
        expected_rates(tmp_path, REAL, "f", texts=texts, context=100)
    assert [question[3] for question in measured] == [1, 32]
    expected_rates(tmp_path, REAL, "f", texts=32, context=700)
    assert measured[-1][3:] == (32, 700)
    # a run's rate is that of whatever it wrote
    remember(tmp_path, REAL, "f", Work(prefilled=8, generated=100, limit=100, generating_seconds=10.0))
    found = expected_rates(tmp_path, REAL, "f", texts=5)
    assert len(measured) == 3
    # reading in that run goes by the rate that was measured first
    assert found.rates == Rates(81.0, pytest.approx(100 / (10 - 8 / 81.0)), 1.0)
    assert found.origin.startswith("reading measured just now")
    assert "; writing as in a run" in found.origin


@pytest.mark.parametrize("other", ["fingerprint", "engine", "processor", "threads", "version", "kernels"])
def test_rates_are_of_one_machine_model_engine_and_version(monkeypatch, other):
    import torch

    key, more = key_of(REAL, "f"), torch.get_num_threads() + 1
    assert key_of(REAL, "f") == key
    changed = {
        "processor": ("icl.experiments.folder.ratebook.processor", lambda: "another"),
        "threads": ("torch.get_num_threads", lambda: more),
        "kernels": ("icl.engine.native.library.found", lambda: Found("another", "")),
        "version": ("icl.experiments.folder.ratebook.versions", lambda: {"icl": "9"}),
    }
    if other in changed:
        monkeypatch.setattr(*changed[other])
    experiment = REAL.model_copy(update={"engine": "naive"}) if other == "engine" else REAL
    assert key_of(experiment, "g" if other == "fingerprint" else "f") != key


def test_a_book_that_cannot_be_written_keeps_no_plan_back(tmp_path, measured):
    (tmp_path / "file").write_text("")
    assert expected_rates(tmp_path / "file", REAL, "f", texts=0).rates.read == 81.0
    with pytest.raises(OSError):
        remember(tmp_path / "file", REAL, "f", SCORED)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7199, "1 hour ago"), (259_300, "3 days ago")],
)
def test_ages_in_words(seconds, said):
    assert age(seconds) == said


def test_entries_of_several_models_stand_side_by_side(tmp_path):
    book = RateBook(tmp_path)
    one, other = Kept(Figure(1.0, RUN, 3.0)), Kept(None, {"0 0": Figure(2.0, LAYERS, 4.0, 0.5)}, 0.25)
    book.keep("one", one)
    book.keep("other", other)
    assert (book.read("one"), book.read("other")) == (one, other)


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
    for _ in range(2):  # also once it is kept
        expected = expected_rates(tmp_path, REAL, "f", texts=2)
        assert expected.rates == Rates(80.0, 4.0)
        assert ("other programs took 50% of the processor" in expected.origin) is said
        assert ("--measure" in expected.origin) is said
