"""What is drawn: share of bursty sequences, Zipf's exponent, spread in classes; no other way to answer."""

from __future__ import annotations

import numpy as np
import pytest

from icl.mechanism.shared.bursty.data import PAIRS, World, two_way, world
from icl.seeding import generator


def made(classes: int = 300, labels: int = 300, zipf: float = 0.0, noise: float = 0.5) -> World:
    return world(generator(0, "classes"), classes, labels, 16, noise, zipf)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_bursty_sequences(share: float) -> None:
    """Of 300 even classes three of the query's by chance are a matter of 1e-6."""
    drawn = made().sequences(generator(1, "test"), 3000, share)
    counts = (drawn.classes[:, :-1] == drawn.classes[:, -1:]).sum(1)
    bursty = counts >= 3
    assert float(bursty.mean()) == pytest.approx(share, abs=0.03)
    for classes in drawn.classes[bursty]:
        _, numbers = np.unique(classes[:-1], return_counts=True)
        assert sorted(numbers)[-2] >= 3  # the distractor


def test_places_in_a_bursty_context_are_drawn_by_lot() -> None:
    drawn = made().sequences(generator(1, "test"), 4000, 1.0)
    own = (drawn.classes[:, :-1] == drawn.classes[:, -1:]).mean(0)
    assert own == pytest.approx(np.full(PAIRS, 3 / 8), abs=0.04)


@pytest.mark.parametrize("exponent", [0, 1, 1.5])
def test_frequencies_follow_the_exponent(exponent: float) -> None:
    drawn = made(classes=50, labels=50, zipf=exponent).sequences(generator(1, "test"), 40_000, 0.0)
    counts = np.bincount(drawn.classes.ravel(), minlength=50)
    slope = np.polyfit(np.log(np.arange(1, 51)), np.log(counts), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_a_bursty_query_is_as_frequent_as_its_class() -> None:
    of = made(classes=20, labels=20, zipf=1.0)
    drawn = of.sequences(generator(1, "test"), 20_000, 1.0)
    share = np.bincount(drawn.classes[:, -1], minlength=20) / 20_000
    assert share == pytest.approx(of.frequencies, abs=0.015)


def test_members_lie_around_their_centre_as_far_as_the_noise_says() -> None:
    of = made(noise=0.5)
    classes = np.full(5000, 7)
    shown = of.shown(generator(1, "test"), classes)
    shrunk = of.centres[7] / np.sqrt(1.25)
    assert shown.mean(0) == pytest.approx(shrunk, abs=0.01)
    assert float(shown.std(0).mean()) == pytest.approx(0.5 / 4 / np.sqrt(1.25), rel=0.03)
    squares = (of.shown(generator(2, "test"), np.arange(300)) ** 2).sum(1)
    assert float(squares.mean()) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("zipf", [0.0, 1.0])
def test_in_weights_the_label_is_not_in_the_context(zipf: float) -> None:
    of = made(classes=40, labels=10, zipf=zipf)
    drawn = of.absent(generator(1, "test"), 4000)
    assert not (drawn.labels == drawn.answer[:, None]).any()
    assert np.array_equal(drawn.answer, of.labels[drawn.classes[:, -1]])
    share = np.bincount(drawn.classes[:, -1], minlength=40) / 4000
    assert share == pytest.approx(of.frequencies, abs=0.03)


def test_in_context_the_answer_is_the_label_of_the_query_there_and_nothing_else_tells() -> None:
    drawn = two_way(generator(1, "test"), 4000, 16, 0.5)
    same = drawn.classes[:, :-1] == drawn.classes[:, -1:]
    assert (same.sum(1) == 4).all()
    assert np.array_equal(drawn.labels[same], np.repeat(drawn.answer, 4))
    assert (drawn.labels[~same] == np.repeat(1 - drawn.answer, 4)).all()
    assert float(drawn.answer.mean()) == pytest.approx(0.5, abs=0.03)
    assert float((drawn.labels[:, -1] == drawn.answer).mean()) == pytest.approx(0.5, abs=0.03)
    nearest = ((drawn.features[:, :-1] - drawn.features[:, -1:]) ** 2).sum(2).argmin(1)
    found = np.take_along_axis(drawn.labels, nearest[:, None], 1)[:, 0]
    assert float((found == drawn.answer).mean()) > 0.95  # what a copy of the nearest example reaches


def test_shuffled_labels_are_the_contexts_own_and_tell_nothing() -> None:
    drawn = two_way(generator(1, "test"), 4000, 16, 0.5)
    mixed = drawn.shuffled(generator(2, "test"))
    assert np.array_equal(np.sort(mixed.labels, 1), np.sort(drawn.labels, 1))
    first = np.take_along_axis(
        mixed.labels, (drawn.classes[:, :-1] == drawn.classes[:, -1:]).argmax(1)[:, None], 1
    )[:, 0]
    assert float((first == drawn.answer).mean()) == pytest.approx(0.5, abs=0.03)


def test_shared_labels_have_as_many_classes_each() -> None:
    of = made(classes=40, labels=10)
    assert (np.bincount(of.labels) == 4).all()
    assert not np.array_equal(of.labels, np.arange(40) % 10)
