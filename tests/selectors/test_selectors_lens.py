"""LENS: InfoScore, progressive filtering, and the search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.protocols import Resources, selectors
from icl.selectors.best_of_n import BestOfN
from icl.selectors.lens import LENS, Filtered, substitution_scores
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import carve
from icl.selectors.shared.support import Composer, Worth
from icl.types import Demonstration, Example, Query, ScoreRequest

Make = Callable[..., Resources]
LABELS = ("negative", "positive")
QUERY = [Query("q", {"text": "something new"})]


def make_pool(size: int) -> list[Example]:
    return [Example(f"p{at}", {"text": f"item{at} word{at * 7}"}, LABELS[at % 2]) for at in range(size)]


def numbers(prompt: str) -> list[int]:
    return [int(text.split()[0]) for text in prompt.split("item")[1:]]


def probability(number: int) -> float:
    """What demonstration `number` makes of any right answer; without one it is 0.2."""
    return 0.2 + 0.02 * number


def helpful(prompt: str, continuation: str) -> float:
    """The more a demonstration's number, the more probable the right answer."""
    *shown, asked = numbers(prompt)
    right = continuation.strip() == LABELS[asked % 2]
    share = probability(max(shown, default=0))
    return math.log(share if right else 1 - share)


def cheap(**changes: object) -> LENS:
    given = {"score_set": 4, "keep": 8, "beam": 2, "iterations": 3, "substitutions": 3, "validation": 6}
    return LENS(**(given | changes))  # type: ignore[arg-type]


def test_what_filtering_costs(make_toy: Make) -> None:
    """40 candidates beside 6 held out: 40 x 4 + 20 x 4 + 10 x 8 + 8 x 16 = 448 pairs, less at most 32 that
    are an example with itself, and the 32 of the score set alone."""
    resources = make_toy(helpful)
    selector = cheap(score_set=4, keep=8).fit(make_pool(46), resources)
    assert selector.filtered.rounds == 4
    assert selector.filtered.features.shape == (8, 32)
    model = resources.model
    assert isinstance(model, FakeModel)
    pairs = [r for r in model.requests if isinstance(r, ScoreRequest) and len(numbers(str(r.prompt))) == 2]
    assert len(model.requests) - len(pairs) == 32
    assert 448 - 32 <= len(pairs) <= 448


def test_info_score_by_hand(make_toy: Make) -> None:
    selector = cheap(score_set=4, keep=100).fit(make_pool(20), make_toy(helpful))
    filtered = selector.filtered
    assert filtered.rounds == 1
    assert filtered.features.shape == (14, 4)
    for position, row, info in zip(filtered.positions, filtered.features, filtered.info, strict=True):
        gain = probability(position) - 0.2
        own = np.isclose(row, 0.0) & (position > 0)
        assert own.sum() <= 1, "at most one of the score set is the example itself"
        assert row[~own] == pytest.approx(gain)
        assert info == pytest.approx(gain * (4 - own.sum()))


def test_filtering_grows_the_score_set_and_keeps_the_best_of_each_label(make_toy: Make) -> None:
    resources = make_toy(helpful)
    selector = cheap(score_set=4, keep=8).fit(make_pool(38), resources)
    # 32 candidates: scored on 4, 16 stay; on 4 more, 8 stay; on 8 more, and that is all.
    filtered = selector.filtered
    assert filtered.rounds == 3
    assert filtered.features.shape == (8, 16)
    assert Counter(position % 2 for position in filtered.positions) == {0: 4, 1: 4}
    held = set(carve("lens", Candidates(make_pool(38), 1.0), 6, resources, balanced=True).held)
    for parity in (0, 1):
        rest = [at for at in range(37, -1, -1) if at not in held and at % 2 == parity]
        kept = [at for at in filtered.positions if at % 2 == parity]
        # One that is in the score set itself counts one example less, and may fall behind its neighbours.
        assert set(kept) <= set(rest[:7])
    assert isinstance(resources.model, FakeModel)
    zero_shot = [r for r in resources.model.requests if str(getattr(r, "prompt", "")).count("item") == 1]
    assert len(zero_shot) == 16
    assert len(resources.model.requests) <= 32 * 4 + 16 * 4 + 8 * 8 + 16


def test_substitution_scores_by_hand() -> None:
    features = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    filtered = Filtered((0, 1, 2, 3), features, 1)
    assert filtered.info == pytest.approx([3.0, 2.0, 2.0, 2.0])
    half = math.sqrt(0.5)
    paper = substitution_scores(filtered, [1, 2, 3], [0, 2], 1.0, "paper")
    assert paper == pytest.approx([2 - (0 + half), 2 - (half + 1), 2 - (1 + half)])
    # InfoScores: mean 9/4, squares 3/4 over 3. Of 16 cosines 6 are 1, 6 are 0.707 and 4 are 0.
    info = -0.25 / math.sqrt(0.75 / 3)
    near = [1.0] * 6 + [half] * 6 + [0.0] * 4
    mean = sum(near) / 16
    deviation = math.sqrt(sum((value - mean) ** 2 for value in near) / 15)
    code = substitution_scores(filtered, [1, 3], [0], 4.0, "code")
    assert code == pytest.approx([info - 4 * (0 - mean) / deviation, info - 4 * (1 - mean) / deviation])
    of_two = substitution_scores(filtered, [1], [0, 2], 4.0, "code")
    assert of_two == pytest.approx([info - 4 * ((0 + half) / 2 - mean) / deviation])
    assert substitution_scores(filtered, [0, 1], [], 4.0, "paper") == pytest.approx([3.0, 2.0])


def test_the_search_finds_the_set_that_validation_likes(make_toy: Make) -> None:
    def needs_order(prompt: str, continuation: str) -> float:
        """Right only where item9 is shown, and more so directly before the question."""
        *shown, asked = numbers(prompt)
        right = continuation.strip() == LABELS[asked % 2]
        share = 0.3 + (0.4 if 9 in shown else 0.0) + (0.2 if shown[-1:] == [9] else 0.0)
        return math.log(share if right else 1 - share)

    resources = make_toy(needs_order)
    held = carve("lens", Candidates(make_pool(24), 1.0), 6, resources, balanced=True).held
    assert 9 not in held, "else the seed must change"
    selector = cheap(keep=18, beam=4, iterations=6, shuffles=3).fit(make_pool(24), resources)
    (row,) = selector.select(QUERY, 4)
    assert [d.example.id for d in row][-1] == "p9", "the order is part of what is searched"
    assert row[0].why["validation_accuracy"] == 1.0
    assert row[0].why["validation_logprob"] == pytest.approx(math.log(0.9))
    assert Counter(d.example.target for d in row) == {"positive": 2, "negative": 2}


def test_validation_and_score_set_are_apart_and_never_the_demonstration(make_toy: Make) -> None:
    resources = make_toy(helpful)
    pool = make_pool(24)
    held = set(carve("lens", Candidates(pool, 1.0), 6, resources, balanced=True).held)
    (row,) = cheap().fit(pool, resources).select(QUERY, 4)
    assert {int(d.example.id[1:]) for d in row}.isdisjoint(held)
    assert isinstance(resources.model, FakeModel)
    for request in resources.model.requests:
        assert isinstance(request, ScoreRequest)
        *shown, asked = numbers(str(request.prompt))
        assert set(shown).isdisjoint({*held, asked})
        assert (asked in held) == (len(shown) == 4)


def test_open_answers(make_toy: Make) -> None:
    resources = make_toy(lambda prompt, _: -1.0 / (1 + max(numbers(prompt))), kind="string")
    pool = [replace(e, target=f"t{at}") for at, e in enumerate(make_pool(24))]
    (row,) = cheap().fit(pool, resources).select(QUERY, 4)
    assert len(row) == 4
    assert "validation_logprob" in row[0].why


def test_wrong_settings(make_toy: Make) -> None:
    with pytest.raises(ConfigError, match="selector 'lens': lambda is -1; allowed: a number >= 0"):
        selectors.create("lens", {"lambda": -1})
    with pytest.raises(ConfigError, match="holds 100 examples out for validation, but the pool has 20"):
        LENS().fit(make_pool(20), make_toy(helpful))


def test_contributions_by_the_code_are_shares_of_the_losses(make_toy: Make) -> None:
    selector = cheap(keep=100, scale="code").fit(make_pool(20), make_toy(helpful))

    def share(right: float) -> float:
        """Of the right label in the losses of both."""
        return math.log(right) / (math.log(right) + math.log(1 - right))

    for position, row in zip(selector.filtered.positions, selector.filtered.features, strict=True):
        gained = share(0.2) - share(probability(position))
        assert all(value == pytest.approx(gained) or value == 0.0 for value in row)
        assert (row == 0.0).sum() <= 1 or position == 0


def test_the_start_by_the_code_is_good_before_the_model_is_asked() -> None:
    stream = np.random.default_rng(1)
    features = np.zeros((40, 4))
    features[np.arange(40), np.arange(40) % 4] = stream.uniform(0.1, 0.2, 40)
    features[:12] *= 3  # three informative ones about each of four things
    worth = Worth(Filtered(tuple(range(40)), features, 1), 4.0, "code")

    def draw() -> tuple[int, ...]:
        return tuple(int(row) for row in stream.permutation(40)[:4])

    composer = Composer(worth, [0] * 40, draw, stream, 4)
    drawn = np.mean([worth.of_set(draw()) for _ in range(200)])
    sets = composer.optimised(3)
    assert len(sets) == 3
    for rows in sets:
        assert {row % 4 for row in rows} == {0, 1, 2, 3}, "one about each"
        assert max(rows) < 12
        assert worth.of_set(rows) > drawn + 1


COVER = 5


def planted(number: int) -> tuple[int, bool]:
    """What an example is about, and whether it helps those that are about the same: one in six does."""
    return number % COVER, (number * 7919) % 31 < 5


def covered(prompt: str, continuation: str) -> float:
    """The right answer is likely where a helpful example about the same thing is shown."""
    *shown, asked = numbers(prompt)
    right = continuation.strip() == LABELS[asked % 2]
    helps = any(planted(number) == (asked % COVER, True) for number in shown)
    share = (0.85 if helps else 0.3) + 0.04 * math.sin(sum(shown) + asked)
    return math.log(share if right else 1 - share)


@pytest.mark.parametrize("settings", [{}, {"scale": "code", "lambda_": 4.0}], ids=["paper", "code"])
def test_planted_informative_examples_are_found(make_toy: Make, settings: dict[str, object]) -> None:
    """More right answers on examples that nobody saw than after the sets the search begins with, and than
    after the best of as many random sets as the same requests pay for."""

    def worth(rows: Sequence[Demonstration]) -> float:
        shown = "".join(f"item{d.example.id[1:]} " for d in rows)
        asked = range(900, 950)
        return float(np.mean([covered(f"{shown}item{at}", LABELS[at % 2]) > math.log(0.5) for at in asked]))

    given = {"score_set": 6, "keep": 16, "beam": 3, "validation": 15, "iterations": 4}
    found, first, random = [], [], []
    for seed in range(5):
        pool, resources = make_pool(75), make_toy(covered, seed=seed)
        selector = cheap(**given, **settings).fit(pool, resources)
        start = copy(selector)
        start.iterations, start.beam, start.scale, start._found = 0, 1, "paper", {}
        found.append(worth(selector.select(QUERY, 6)[0]))
        assert isinstance(resources.model, FakeModel)
        paid = len(resources.model.requests)
        first.append(worth(start.select(QUERY, 6)[0]))
        best = BestOfN(requests=paid, validation=15, label_balanced=True)
        best.fit(pool, make_toy(covered, seed=seed))
        random.append(worth(best.select(QUERY, 6)[0]))
    assert np.mean(found) >= np.mean(first) + 0.1
    assert np.mean(found) >= np.mean(random) + 0.1
    assert sum(a < b for a, b in zip(found, random, strict=True)) == 0
