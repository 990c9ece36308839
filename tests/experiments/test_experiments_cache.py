"""Responses that are never computed twice, and never confused."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace

import pytest

from icl.database import checksum
from icl.engine.fake import FakeModel
from icl.errors import ModelError
from icl.experiments.asking.cache import CachedModel, _SamplePlan, _shares
from icl.experiments.asking.responses import ResponseStore
from icl.types import NO_USAGE, GenerateRequest, ScoreRequest, Usage

SCORES = [ScoreRequest(f"prompt {i % 5}", (" a", " bc")) for i in range(8)]


def sampled(prompt="p", **changes):
    return GenerateRequest(prompt, **{"n": 3, "temperature": 1.0, "seed": 4, **changes})


def test_equal_requests_are_asked_once_and_answered_in_order():
    model = FakeModel()
    results = CachedModel(model, ResponseStore()).score(SCORES)
    assert len(model.requests) == 5
    assert results == FakeModel().score(SCORES)


def test_a_second_process_finds_everything_with_the_same_cost(tmp_path):
    first = ResponseStore(tmp_path / "r.sqlite")
    before = CachedModel(FakeModel(), first)
    scores, samples = before.score(SCORES), before.generate([sampled(n=5)])
    first.close()
    model = FakeModel()
    again = CachedModel(model, ResponseStore(tmp_path / "r.sqlite"))
    assert again.score(SCORES) == scores
    assert again.generate([sampled(n=5)]) == samples
    assert model.requests == []


def test_results_become_final_before_the_call_ends(tmp_path):
    """What was answered before a crash is kept."""

    class Dying(FakeModel):
        def _note(self, request):
            if request.prompt == "prompt 3":
                raise RuntimeError("power cut")

    path = tmp_path / "r.sqlite"
    with pytest.raises(RuntimeError):
        CachedModel(Dying(), ResponseStore(path)).score(SCORES)
    model = FakeModel()
    CachedModel(model, ResponseStore(path)).score(SCORES)
    assert [r.prompt for r in model.requests] == ["prompt 3", "prompt 4"]


def test_the_ith_sample_is_an_entry_of_its_own():
    model = FakeModel()
    cached = CachedModel(model, ResponseStore())
    first = cached.generate([sampled(n=3)])[0]
    ten = cached.generate([sampled(n=10)])[0]
    assert ten.samples[:3] == first.samples
    assert [(r.first_sample, r.n) for r in model.requests] == [(0, 3), (3, 7)]
    assert ten.samples == FakeModel().generate([sampled(n=10)])[0].samples
    assert len({s.text for s in ten.samples}) == 10
    assert cached.generate([sampled(first_sample=8, n=2)])[0].samples == ten.samples[8:]
    assert len(model.requests) == 2


def test_holes_are_asked_as_runs():
    model = FakeModel()
    cached = CachedModel(model, ResponseStore())
    cached.generate([sampled(first_sample=2, n=2)])
    cached.generate([sampled(n=6), sampled(first_sample=1, n=1)])
    assert [(r.first_sample, r.n) for r in model.requests] == [(2, 2), (0, 2), (4, 2)]


def test_greedy_is_asked_once_whatever_the_seed():
    model = FakeModel()
    cached = CachedModel(model, ResponseStore())
    result = cached.generate([GenerateRequest("p", n=3, seed=9), GenerateRequest("p", seed=1)])
    assert len(model.requests) == 1
    assert len(result[0].samples) == 3
    assert result[0].samples[0] == result[1].samples[0]


@pytest.mark.parametrize(
    "other",
    [
        sampled("q"),
        sampled(seed=5),
        sampled(temperature=0.5),
        sampled(max_tokens=3),
        sampled(stop=("\n",)),
        sampled(top_k=4),
        sampled(prompt=tuple(b"p")),
        sampled(no_repeat_ngram=3),
        sampled(presence_penalty=1.0),
        sampled(frequency_penalty=1.0),
        sampled(template_ids=(7,)),
    ],
)
def test_whatever_changes_a_sample_is_in_the_key(other):
    model = FakeModel()
    cached = CachedModel(model, ResponseStore())
    cached.generate([sampled(), other])
    assert len(model.requests) == 2


def test_template_ids_are_told_apart_and_their_lack_changes_no_key():
    model = FakeModel()
    cached = CachedModel(model, ResponseStore())
    forms = [(7,), (7, 8), ()]
    cached.generate([*(sampled(template_ids=form) for form in forms), sampled()])
    assert len(model.requests) == 3
    plan = _SamplePlan.of("model", GenerateRequest("p", temperature=1.0))
    assert plan.keys[0].hex() == "5df321cda7d6db781bb6a538981b5124", "so caches stay good"


def test_penalties_are_told_apart_and_count_for_greedy_texts_too():
    model = FakeModel()
    cached = CachedModel(model, ResponseStore())
    kinds = [{}, {"presence_penalty": 1.0}, {"frequency_penalty": 1.0}, {"presence_penalty": 1}]
    cached.generate([sampled(temperature=0.0, **kind) for kind in kinds])
    assert len(model.requests) == 3, "1 and 1.0 are one penalty"


def test_continuations_do_not_run_together():
    model = FakeModel()
    CachedModel(model, ResponseStore()).score(
        [ScoreRequest("p", ("ab", "c")), ScoreRequest("p", ("a", "bc"))]
    )
    assert len(model.requests) == 2


def test_another_fingerprint_is_another_model():
    store = ResponseStore()
    CachedModel(FakeModel(), store).score(SCORES)
    other = FakeModel(name="other")
    CachedModel(other, store).score(SCORES)
    assert len(other.requests) == 5


def test_costs_of_samples_add_up():
    usage = Usage(17, 11, 5, 0.75, 1)
    shares = _shares(usage, 4)
    assert sum(shares, start=NO_USAGE) == usage
    assert max(s.tokens_flat for s in shares) - min(s.tokens_flat for s in shares) <= 1


def test_on_result_is_called_once_a_request():
    seen = []
    cached = CachedModel(FakeModel(), ResponseStore())
    cached.score(SCORES, lambda i, r: seen.append(i))
    assert sorted(seen) == list(range(8))
    seen.clear()
    cached.generate([sampled(), sampled("q")], lambda i, r: seen.append(i))
    assert sorted(seen) == [0, 1]


@pytest.mark.parametrize("damage", ["garbage", "truncated", "overwritten"])
def test_a_damaged_file_is_moved_aside_with_a_message(tmp_path, caplog, damage):
    path = tmp_path / "r.sqlite"
    store = ResponseStore(path)
    for i in range(2000):
        store.put(i.to_bytes(16, "big"), "x" * 50)
    store.close()
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data = bytearray(b"not a database at all" * 100)
    elif damage == "truncated":
        data = data[: len(data) // 3]
    else:
        data[8192:] = random.Random(0).randbytes(len(data) - 8192)
    path.write_bytes(data)
    store = ResponseStore(path)
    store.get([i.to_bytes(16, "big") for i in range(2000)])
    store.put(b"k" * 16, "v")
    store.commit()
    store.close()
    assert "damaged" in caplog.text
    assert list(tmp_path.glob("r.sqlite.damaged-*"))
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert ResponseStore(path).get([b"k" * 16]) == {b"k" * 16: "v"}


def test_two_writers_share_one_file(tmp_path):
    one, two = (ResponseStore(tmp_path / "r.sqlite") for _ in range(2))
    one.put(b"a" * 16, "1")
    one.commit()
    two.put(b"a" * 16, "2")
    two.put(b"b" * 16, "3")
    two.commit()
    assert one.get([b"a" * 16, b"b" * 16]) == {b"a" * 16: "1", b"b" * 16: "3"}


def test_without_a_model_only_what_is_known_is_answered():
    store = ResponseStore()
    model = FakeModel()
    known = CachedModel(model, store).score(SCORES)
    replay = CachedModel(None, store, stands_for=model)
    assert replay.score(SCORES) == known
    with pytest.raises(ModelError, match="not in the cache"):
        replay.score([replace(SCORES[0], prompt="new")])


@pytest.mark.parametrize(
    "value", ["", "[", "null", "[[], [1, 1, 0, 0.0, 1]]", '[["x"], []]', "7", "[" * 9999]
)
def test_a_response_that_cannot_be_read_is_asked_again_and_replaced(tmp_path, caplog, value):
    path = tmp_path / "r.sqlite"
    requests = [SCORES[0], SCORES[1]]

    def ask(model):
        store = ResponseStore(path)
        found = CachedModel(model, store)
        answers = (found.score(requests), found.generate([sampled(n=2)]))
        store.close()
        return answers

    first = ask(FakeModel())
    with sqlite3.connect(path) as db:
        # with a checksum, as if it had been written so; and one without
        keys = [key for (key,) in db.execute("SELECT key FROM responses")]
        for key in keys[:-1]:
            db.execute(
                "UPDATE responses SET value = ?, digest = ? WHERE key = ?", (value, checksum(key, value), key)
            )
        db.execute("UPDATE responses SET value = ? WHERE key = ?", (value, keys[-1]))
    db.close()
    model = FakeModel()
    assert ask(model) == first
    assert len(model.requests) == 3
    assert "cannot be read" in caplog.text
    silent = FakeModel()
    assert ask(silent) == first
    assert silent.requests == []
