"""Prompts: their make, their labels by hand, and what does not depend on how many are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from icl import seeding
from icl.mechanism.shared.ginc.mixture import DELIMITER, Mixture, draw
from icl.mechanism.shared.ginc.prompts import Prompts, begins, tokens
from icl.mechanism.shared.ginc.prompts import draw as draw_prompts


def streams(purpose: str, item: str) -> np.random.Generator:
    return seeding.generator(4, purpose, item)


WORLD = draw(streams, values=10, slots=10, vocabulary=50, concepts=6)


def prompts(
    kind: str = "seen", *, number: int = 30, length: int = 4, examples: int = 5, world: Mixture = WORLD
) -> Prompts:
    concepts = range(3, 6) if kind == "unseen" else range(3)
    return draw_prompts(world, streams, concepts, kind, number=number, length=length, examples=examples)


def test_a_prompt_is_examples_delimiters_and_a_query() -> None:
    drawn = prompts()
    shown = drawn.at(3)
    assert shown.shape == (30, tokens(3, 4)) == (30, 18)
    assert (shown[:, [4, 9, 14]] == DELIMITER).all()
    assert list(begins(3, 4)) == [5, 10, 15]
    assert np.array_equal(shown[:, 5:9], drawn.examples[:, 1])
    assert np.array_equal(shown[:, 15:], drawn.queries)
    assert np.array_equal(drawn.at(0), drawn.queries)


def test_no_prompt_depends_on_how_many_or_how_long_the_others_are() -> None:
    few, many = prompts(number=4, examples=2), prompts(number=20, examples=7)
    assert np.array_equal(few.examples, many.examples[:4, :2])
    assert np.array_equal(few.queries, many.queries[:4])
    assert np.array_equal(few.labels, many.labels[:4])


def test_shuffled_prompts_differ_in_the_order_within_examples_alone() -> None:
    seen, shuffled = prompts(length=8), prompts("shuffled", length=8)
    assert np.array_equal(np.sort(seen.examples, axis=2), np.sort(shuffled.examples, axis=2))
    assert (seen.examples != shuffled.examples).mean() > 0.5
    assert np.array_equal(seen.queries, shuffled.queries)
    assert np.array_equal(seen.labels, shuffled.labels)


def test_unseen_prompts_are_of_the_other_concepts() -> None:
    assert set(prompts().concepts) == {0, 1, 2}
    assert set(prompts("unseen").concepts) == {3, 4, 5}


def test_examples_begin_in_one_slot_and_move_as_the_concept_says() -> None:
    telling = Mixture(np.arange(100).reshape(10, 10), WORLD.values, WORLD.slots, WORLD.starts, 100)
    drawn = prompts(number=400, length=3, examples=10, world=telling)
    states = drawn.examples
    first = states[:, :, 0] % 10
    assert (first == first[:, :1]).all()
    assert set(first[:, 0]) == set(range(1, 10))
    for concept in range(3):
        mine = states[drawn.concepts == concept].reshape(-1, 3)
        moves = telling.transition(concept)
        likely = np.log(moves[mine[:, 0], mine[:, 1]]).mean()
        entropy = (moves * np.log(np.where(moves > 0, moves, 1))).sum(1)[mine[:, 0]].mean()
        assert likely == pytest.approx(entropy, abs=0.1)


def test_the_label_is_the_likeliest_symbol_after_the_query() -> None:
    drawn = prompts(number=10, length=3, examples=4)
    for at in range(10):
        concept = int(drawn.concepts[at])
        moves = WORLD.transition(concept)
        slots = set.intersection(
            *(
                {s for v in range(10) for s in range(1, 10) if WORLD.table[v, s] == x}
                for x in drawn.examples[at, :, 0]
            )
        )
        answers = set()
        for slot in slots:
            state = (
                np.eye(100)[[v * 10 + slot for v in range(10)]].mean(0)
                * WORLD.emission[:, drawn.queries[at, 0]]
            )
            state = (state @ moves) * WORLD.emission[:, drawn.queries[at, 1]]
            answers.add(int((state @ moves @ WORLD.emission).argmax()))
        assert int(drawn.labels[at]) in answers
    assert len(set(drawn.labels.tolist())) > 3
