"""The best of n random sets, and the scoring that it shares with other selectors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.prompts import PromptRenderer
from icl.protocols import Resources
from icl.selectors.best_of_n import BestOfN
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import Scorer, Trial, carve, success
from icl.types import Example, Query, ScoreRequest, Task, Template

LABELS = ("negative", "positive")


def make_pool(size: int) -> list[Example]:
    return [Example(f"p{at}", {"text": f"item{at} word{at * 7}"}, LABELS[at % 2]) for at in range(size)]


def make_resources(score: Callable[[str, str], float], *, kind: str = "classification") -> Resources:
    labels = LABELS if kind == "classification" else ()
    task = Task("toy", kind, Template("Text: {{ text }}\nLabel:"), ("text",), labels=labels)  # type: ignore[arg-type]
    model = FakeModel(score_with=score)
    renderer = PromptRenderer(task=task, tokenizer=model.tokenizer, context_length=model.context_length)
    return Resources(task, seed=5, model=model, renderer=renderer)


def likes_item3(prompt: str, continuation: str) -> float:
    """Right about every example when item3 is shown, wrong about every one otherwise."""
    number = int(prompt.rsplit("item", 1)[1].split()[0])
    right = continuation.strip() == LABELS[number % 2]
    shown = "item3 " in prompt.rsplit("Text:", 1)[0]
    return -0.1 if right == shown else -2.0


def test_the_set_with_the_helpful_example_wins() -> None:
    resources = make_resources(likes_item3)
    pool = make_pool(12)
    carved = carve("best_of_n", Candidates(pool, 1.0), 4, resources)
    assert 3 in carved.shown, "else the seed must change"
    selector = BestOfN(n=20, validation=4).fit(pool, resources)
    first, second = selector.select([Query("q1", {"text": "new"}), Query("q2", {"text": "old"})], 2)
    assert first == second
    assert "p3" in {d.example.id for d in first}
    assert first[0].why["validation_accuracy"] == 1.0
    assert first[0].why["validation_logprob"] == pytest.approx(-0.1)
    assert {int(d.example.id[1:]) for d in first} <= set(carved.shown)


def test_validation_is_asked_about_and_never_shown() -> None:
    resources = make_resources(likes_item3)
    pool = make_pool(12)
    carved = carve("best_of_n", Candidates(pool, 1.0), 4, resources)
    BestOfN(n=5, validation=4).fit(pool, resources).select([Query("q", {"text": "new"})], 3)
    assert isinstance(resources.model, FakeModel)
    requests = resources.model.requests
    assert len(requests) == 5 * 4
    asked = Counter()
    for request in requests:
        assert isinstance(request, ScoreRequest)
        *shown, last = str(request.prompt).split("Text: item")[1:]
        asked[int(last.split()[0])] += 1
        assert {int(text.split()[0]) for text in shown}.isdisjoint(carved.held)
    assert asked == dict.fromkeys(carved.held, 5)


def test_the_gold_of_candidates_shapes_nothing_but_the_prompt() -> None:
    """With a model that does not read the prompt, poisoned targets outside validation change nothing."""

    def blind(prompt: str, continuation: str) -> float:
        return -1.0 if continuation == " positive" else -2.0

    pool = make_pool(12)
    resources = make_resources(blind)
    held = set(carve("best_of_n", Candidates(pool, 1.0), 4, resources).held)
    poisoned = [replace(e, target=e.target if at in held else "poison") for at, e in enumerate(pool)]
    query = [Query("q", {"text": "new"})]
    (clean,) = BestOfN(n=5, validation=4).fit(pool, resources).select(query, 3)
    (dirty,) = BestOfN(n=5, validation=4).fit(poisoned, resources).select(query, 3)
    assert [d.example.id for d in clean] == [d.example.id for d in dirty]
    assert clean[0].why == dirty[0].why


def test_matched_compute_spends_the_requests_given() -> None:
    resources = make_resources(likes_item3)
    BestOfN(requests=30, validation=4).fit(make_pool(12), resources).select([Query("q", {"text": "new"})], 2)
    assert isinstance(resources.model, FakeModel)
    assert len(resources.model.requests) == 28


def test_a_member_gets_the_next_of_the_draw() -> None:
    resources = make_resources(likes_item3)
    pool = make_pool(12)
    selector = BestOfN(n=20, validation=4).fit(pool, resources)
    (three,) = selector.select([Query("q", {"text": "new"})], 3)
    (own,) = selector.select([three[0].example.query], 3)
    assert [d.example.id for d in own][:2] == [d.example.id for d in three][1:]
    assert three[0].example.id not in {d.example.id for d in own}


def test_label_balanced() -> None:
    selector = BestOfN(n=4, validation=4, label_balanced=True).fit(make_pool(16), make_resources(likes_item3))
    (row,) = selector.select([Query("q", {"text": "new"})], 4)
    assert Counter(d.example.target for d in row) == {"positive": 2, "negative": 2}


def test_open_answers_are_measured_by_their_probability() -> None:
    pool = make_pool(12)
    resources = make_resources(
        lambda prompt, continuation: -0.5 if "item3 " in prompt else -3.0, kind="string"
    )
    (row,) = BestOfN(n=20, validation=4).fit(pool, resources).select([Query("q", {"text": "new"})], 2)
    assert "p3" in {d.example.id for d in row}
    assert row[0].why["validation_logprob"] == pytest.approx(-0.5)
    with pytest.raises(ConfigError, match="measure 'accuracy' needs labels"):
        BestOfN(measure="accuracy").fit(pool, resources)


def test_a_pool_too_small_for_validation() -> None:
    with pytest.raises(ConfigError, match="the pool has 12: set validation to 11 or less"):
        BestOfN().fit(make_pool(12), make_resources(likes_item3))


def test_duplicates_of_validation_examples_are_not_shown() -> None:
    pool = make_pool(12)
    pool = [*pool, *(replace(e, id=f"twin-{e.id}") for e in pool)]
    carved = carve("x", Candidates(pool, 1.0), 4, make_resources(likes_item3))
    assert {pool[at].text for at in carved.held}.isdisjoint(pool[at].text for at in carved.shown)


def test_verdicts_by_hand() -> None:
    logprobs = {" negative": math.log(0.2), " positive": math.log(0.6)}
    resources = make_resources(lambda prompt, continuation: logprobs[continuation])
    pool = make_pool(3)
    trials = [Trial((pool[1],), pool[0]), Trial((), pool[1]), Trial((pool[1],), pool[0])]
    wrong, right, again = Scorer("x", resources).verdicts(trials)
    assert wrong.logprob == pytest.approx(math.log(0.2))
    assert wrong.label_probabilities == pytest.approx([0.25, 0.75])
    assert (wrong.correct, right.correct) == (0.0, 1.0)
    assert again == wrong
    assert isinstance(resources.model, FakeModel)
    assert len(resources.model.requests) == 2, "equal trials are asked once"
    assert success([wrong, right], "accuracy") == 0.5
    assert success([wrong, right], "logprob") == pytest.approx(math.log(0.12) / 2)
