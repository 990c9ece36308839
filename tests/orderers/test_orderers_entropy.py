"""GlobalE and LocalE: entropies by hand, and planted orders found."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from icl.errors import ConfigError
from icl.orderers.global_entropy import GlobalEntropy
from icl.orderers.local_entropy import LocalEntropy
from icl.orderers.shared.probes import template_ids
from icl.protocols import Resources, orderers
from icl.types import Demonstration, GenerateRequest, Query, ScoreRequest, Task

Make = Callable[..., Resources]
Ids = Callable[[Sequence[Demonstration], tuple[int, ...]], str]
PROBES = ("red roofs in the rain", "blue boats on the bay")


def write(prompt: str, sample: int) -> str:
    """Two probes, the second in other letters under every second order."""
    second = PROBES[1].upper() if len(prompt) % 2 else PROBES[1]
    return f" {PROBES[0]}\nMood: sad\n\nText: {second}\nMood: glad\n\nText: short"


def first_letters(prompt: str) -> str:
    """Which demonstrations a prompt shows, in order: a for alpha, b for beta, ..."""
    words = {"alpha": "a", "beta": "b", "gamma": "c", "delta": "d"}
    return "".join(words[word] for word in prompt.split() if word in words)


def balanced_under(*wanted: str) -> Callable[[str, str], float]:
    """Says "sad" of red roofs and "glad" of blue boats under the wanted orders, else always "sad"."""

    def score(prompt: str, continuation: str) -> float:
        fair = first_letters(prompt) in wanted
        right = "sad" if not fair or PROBES[0] in prompt.split("\n\n")[-1] else "glad"
        return math.log(0.9 if continuation.strip() == right else 0.1)

    return score


def sure_except_under(wanted: str) -> Callable[[str, str], float]:
    """Label probabilities 0.6 / 0.4 under the wanted order, 0.9 / 0.1 under all others."""

    def score(prompt: str, continuation: str) -> float:
        high = 0.6 if first_letters(prompt) == wanted else 0.9
        return math.log(high if continuation.strip() == "sad" else 1 - high)

    return score


def test_entropy_of_a_given_histogram() -> None:
    # Answers 0, 0, 1, 2: shares 1/2, 1/4, 1/4.
    probabilities = np.array([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    by_hand = 0.5 * math.log(2) + 0.25 * math.log(4) + 0.25 * math.log(4)
    assert GlobalEntropy.measure(probabilities) == pytest.approx(by_hand)
    # One label takes both probes: the two others count 1e-5 probes each, of 2.00002.
    most, least = 2 / 2.00002, 1e-5 / 2.00002
    by_hand = -most * math.log(most) - 2 * least * math.log(least)
    assert by_hand == pytest.approx(1.32e-4, rel=0.01)
    assert GlobalEntropy.measure(probabilities[:2]) == pytest.approx(by_hand, rel=1e-9)


def test_mean_entropy_of_given_distributions() -> None:
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]])
    by_hand = (math.log(2) + 0 + 0.75 * math.log(4 / 3) + 0.25 * math.log(4)) / 3
    assert LocalEntropy.measure(probabilities) == pytest.approx(by_hand)


def test_the_two_can_disagree() -> None:
    spread = np.array([[0.99, 0.01], [0.01, 0.99]])
    unsure = np.array([[0.6, 0.4], [0.6, 0.4]])
    assert GlobalEntropy.measure(spread) > GlobalEntropy.measure(unsure)
    assert LocalEntropy.measure(spread) < LocalEntropy.measure(unsure)


@pytest.mark.parametrize(
    ("orderer", "score", "entropy"),
    [
        (GlobalEntropy(keep=1), balanced_under("cadb"), math.log(2)),
        (LocalEntropy(keep=1), sure_except_under("cadb"), -0.6 * math.log(0.6) - 0.4 * math.log(0.4)),
    ],
    ids=["global", "local"],
)
def test_the_planted_order_is_found_in_two_calls(
    orderer: Any,
    score: Any,
    entropy: float,
    moods: Task,
    four: list[Demonstration],
    query: Query,
    model_with: Any,
    resources_with: Make,
    ids: Ids,
) -> None:
    model = model_with(score, write)
    # The same set in another order, for another query: worked out once.
    sets = [four, four[::-1]]
    orders = orderer.order(sets, [query, Query("other", {"text": "x"})], resources_with(model))
    assert [ids(chosen, order) for chosen, order in zip(sets, orders, strict=True)] == ["cadb", "cadb"]
    assert model.calls == {"score": 1, "generate": 1}
    written = [request for request in model.requests if isinstance(request, GenerateRequest)]
    assert len(written) == 24 * 2, "every permutation, for both lengths of n-gram"
    assert Counter(request.no_repeat_ngram for request in written) == {3: 24, 5: 24}
    assert {r.template_ids for r in written} == {template_ids(moods, model.tokenizer)}
    assert {(r.temperature, r.top_k, r.max_tokens) for r in written} == {(2.0, 20, 128)}
    scored = [request for request in model.requests if isinstance(request, ScoreRequest)]
    assert len(scored) == 24 * 2, "every permutation x probe; short texts and repeats are gone"
    assert orderer.reasons[0]["entropy"] == pytest.approx(entropy)
    assert orderer.reasons[0]["probes"] == 2
    assert orderer.reasons[0]["rank"] == 1


def test_queries_share_the_kept_orders(
    four: list[Demonstration], model_with: Any, resources_with: Make, ids: Ids
) -> None:
    wanted = ("abcd", "bdca", "cadb", "dcba")
    queries = [Query(f"q{at}", {"text": "x"}) for at in range(80)]
    resources = resources_with(model_with(balanced_under(*wanted), write))
    orders = GlobalEntropy().order([four] * 80, queries, resources)
    counts = Counter(ids(four, order) for order in orders)
    assert set(counts) == set(wanted)
    # 20 expected; 3 standard deviations of Binomial(80, 1/4) are 11.6.
    assert all(8 < count < 32 for count in counts.values())


def test_probes_can_be_limited(
    four: list[Demonstration], query: Query, model_with: Any, resources_with: Make
) -> None:
    model = model_with(balanced_under("abcd"), write)
    GlobalEntropy(max_probes=1).order([four], [query], resources_with(model))
    assert sum(isinstance(request, ScoreRequest) for request in model.requests) == 24


def test_without_a_probe_the_selectors_order_stays_and_it_is_said(
    four: list[Demonstration],
    query: Query,
    model_with: Any,
    resources_with: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    orderer = LocalEntropy()
    with caplog.at_level(logging.WARNING, "icl"):
        orders = orderer.order([four], [query], resources_with(model_with(reply_with=lambda p, i: " no")))
    assert orders == [(0, 1, 2, 3)]
    assert orderer.reasons == [{"probes": 0}]
    assert "no probe of 5 words" in caplog.text


def test_more_than_eight_in_full(
    four: list[Demonstration], query: Query, model_with: Any, resources_with: Make
) -> None:
    with pytest.raises(ConfigError, match=r"9 demonstrations.*permutations: 24"):
        GlobalEntropy(permutations="all").order([(four * 3)[:9]], [query], resources_with(model_with()))


@pytest.mark.parametrize(
    "given", [{"keep": 0}, {"no_repeat_ngram": []}, {"no_repeat_ngram": 3}, {"permutations": "some"}]
)
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"orderer 'global_entropy': {next(iter(given))} is .*allowed"):
        orderers.create("global_entropy", given)
