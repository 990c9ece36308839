"""The mixture and its documents: what is drawn is what was meant, however much of it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from icl import seeding
from icl.mechanism.shared.ginc.documents import documents
from icl.mechanism.shared.ginc.mixture import DELIMITER, Mixture, draw, mixed, permutations, softmax


def streams(purpose: str, item: str) -> np.random.Generator:
    return seeding.generator(5, purpose, item)


def world(concepts: int = 4, vocabulary: int = 50) -> Mixture:
    return draw(streams, values=10, slots=10, vocabulary=vocabulary, concepts=concepts)


def test_permutations_are_permutations_and_their_mixture_keeps_both_sums() -> None:
    weights, orders = permutations(streams("a", ""), 10)
    assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(10), (10, 1)))
    assert weights.sum() == pytest.approx(1)
    matrix = mixed(weights, orders)
    assert np.allclose(matrix.sum(0), 1)
    assert np.allclose(matrix.sum(1), 1)
    by_hand = np.zeros((10, 10))
    for weight, order in zip(weights, orders, strict=True):
        by_hand[np.arange(10), order] += weight
    assert np.allclose(matrix, by_hand)


def test_weights_are_as_sharp_as_published() -> None:
    ratios = []
    for at in range(200):
        weights, _ = permutations(streams("weights", str(at)), 10)
        ratios.append(np.log(weights.max() / weights.min()))
    # The range of ten numbers of U(-.5, .5) is 9/11 on average; over .1 that is 8.18.
    assert np.mean(ratios) == pytest.approx(90 / 11, abs=0.3)


def test_softmax_of_equal_and_of_large_numbers() -> None:
    assert np.allclose(softmax(np.full(4, 1e4)), 0.25)
    assert np.allclose(softmax(np.array([0.0, np.log(3.0)])), [0.25, 0.75])


def test_slot_0_alone_emits_the_delimiter() -> None:
    table = world().table
    assert (table[:, 0] == DELIMITER).all()
    assert table[:, 1:].min() > DELIMITER
    assert table.max() < 50


def test_values_stay_with_nine_tenths_and_starts_are_nearly_flat() -> None:
    mixture = world()
    assert (np.diag(mixture.values) >= 0.9).all()
    assert np.allclose(mixture.values.sum(1), 1)
    assert np.allclose(mixture.starts.sum(1), 1)
    # exp(.1) is the largest ratio that U(-.5, .5) at temperature 10 allows.
    ratios = mixture.starts.max(1) / mixture.starts.min(1)
    assert ratios.min() > 1.05
    assert ratios.max() < np.exp(0.1)


def test_a_concept_does_not_depend_on_how_many_there_are() -> None:
    few, many = world(2), world(6, vocabulary=100)
    assert np.array_equal(few.slots, many.slots[:2])
    assert np.array_equal(few.values, many.values)
    assert not np.array_equal(many.slots[0], many.slots[1])


def test_transitions_of_documents_are_those_of_their_concepts() -> None:
    mixture = world(2)
    telling = Mixture(np.arange(100).reshape(10, 10), mixture.values, mixture.slots, mixture.starts, 100)
    tokens, concepts = documents(telling, streams, 40, 2000)
    for concept in (0, 1):
        mine = tokens[concepts == concept].astype(int)
        seen = np.zeros((100, 100))
        np.add.at(seen, (mine[:, :-1].ravel(), mine[:, 1:].ravel()), 1)
        expected = seen.sum(1, keepdims=True) * telling.transition(concept)
        deviation = np.sqrt(expected * (1 - telling.transition(concept)))
        assert (seen[expected == 0] == 0).all()
        scores = ((seen - expected) / np.where(deviation > 0, deviation, 1))[expected > 5]
        assert np.abs(scores).max() < 5
        assert scores.std() == pytest.approx(1, abs=0.1)


def test_a_larger_corpus_begins_with_the_smaller_one_and_permuting_keeps_the_counts() -> None:
    mixture = world()
    small, its = documents(mixture, streams, 3, 100)
    large, theirs = documents(mixture, streams, 8, 100)
    assert np.array_equal(small, large[:3])
    assert np.array_equal(its, theirs[:3])
    permuted, _ = documents(mixture, streams, 8, 100, permuted=True)
    assert np.array_equal(np.sort(permuted, axis=1), np.sort(large, axis=1))
    assert not np.array_equal(permuted, large)
