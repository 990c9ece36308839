"""Bayes's answer against every path of a tiny world, against the loop, and where nothing is possible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from icl import seeding
from icl.mechanism.shared.ginc import bayes, plain
from icl.mechanism.shared.ginc.mixture import Floats, Mixture, draw
from icl.mechanism.shared.ginc.prompts import Prompts, begins
from icl.mechanism.shared.ginc.prompts import draw as draw_prompts


def streams(purpose: str, item: str) -> np.random.Generator:
    return seeding.generator(3, purpose, item)


def tiny() -> Mixture:
    """Two values, two slots, two concepts; one symbol has two states."""
    return Mixture(
        np.array([[0, 1], [0, 2]]),
        np.array([[0.7, 0.3], [0.2, 0.8]]),
        np.array([[[0.1, 0.9], [0.6, 0.4]], [[0.8, 0.2], [0.5, 0.5]]]),
        np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]]),
        3,
    )


def enumerated(mixture: Mixture, sequence: list[int], parts: list[list[int]], leak: float) -> Floats:
    """The next symbol by adding up the probability of every path of states. parts: positions that follow one
    another; each part begins anew."""
    emits = mixture.table.ravel()
    joint = np.zeros(mixture.vocabulary)
    for concept in range(mixture.concepts):
        moves = (1 - leak) * mixture.transition(concept) + leak / 4
        product, last = 1.0, np.zeros(4)
        for part in parts:
            ends = np.zeros(4)
            for path in itertools.product(range(4), repeat=len(part)):
                if any(emits[state] != sequence[at] for state, at in zip(path, part, strict=True)):
                    continue
                chance = (1 - leak) * mixture.starts[concept][path[0]] + leak / 4
                for one, two in itertools.pairwise(path):
                    chance *= moves[one, two]
                ends[path[-1]] += chance
            product, last = product * ends.sum(), ends / ends.sum()
        for state, following in itertools.product(range(4), range(4)):
            joint[emits[following]] += product * last[state] * moves[state, following]
    return joint / joint.sum()


@pytest.mark.parametrize("leak", [0.0, 0.05])
@pytest.mark.parametrize("sequence", [[0], [1, 0, 2], [0, 0, 1, 2, 0, 0]])
def test_documents_by_every_path(sequence: list[int], leak: float) -> None:
    known = enumerated(tiny(), sequence, [list(range(len(sequence)))], leak)
    assert bayes.read(tiny(), np.array([sequence]), leak=leak).expected()[0] == pytest.approx(
        known, abs=1e-12
    )
    assert plain.expected(tiny(), np.array([sequence]), leak=leak)[0] == pytest.approx(known, abs=1e-12)


def test_prompts_by_every_path() -> None:
    sequence = [1, 2, 0, 2, 1, 0, 0]
    known = enumerated(tiny(), sequence, [[0, 1], [3, 4], [6]], 0.0)
    read = bayes.read(tiny(), np.array([sequence]), begins=begins(2, 2))
    assert read.expected()[0] == pytest.approx(known, abs=1e-12)
    assert plain.expected(tiny(), np.array([sequence]), begins=begins(2, 2))[0] == pytest.approx(
        known, abs=1e-12
    )


def drawn(
    kind: str = "seen", length: int = 5, number: int = 12, examples: int = 6
) -> tuple[Mixture, Prompts]:
    world = draw(streams, values=10, slots=10, vocabulary=50, concepts=6)
    concepts = range(3, 6) if kind == "unseen" else range(3)
    return world.of(range(3)), draw_prompts(
        world, streams, concepts, kind, number=number, length=length, examples=examples
    )


@pytest.mark.parametrize("kind", ["seen", "unseen", "shuffled"])
@pytest.mark.parametrize("length", [3, 8])
def test_all_at_once_equals_the_loop(kind: str, length: int) -> None:
    mixture, prompts = drawn(kind, length)
    shown = prompts.at(6)
    ours = bayes.read(mixture, shown, leak=1e-3).expected()
    assert np.abs(ours - plain.expected(mixture, shown, leak=1e-3)).max() < 1e-9
    slots = bayes.in_one_slot(mixture)
    ours = bayes.read(mixture, shown, begins=begins(6, length), beginnings=slots, leak=1e-6).expected()
    loop = plain.expected(mixture, shown, begins=begins(6, length), beginnings=slots, leak=1e-6)
    assert np.abs(ours - loop).max() < 1e-9


def test_a_long_sequence_neither_underflows_nor_depends_on_the_others() -> None:
    mixture, prompts = drawn(length=10, examples=40)
    shown = prompts.at(40)
    together = bayes.read(mixture, shown, leak=1e-9)
    assert np.isfinite(together.evidence).all()
    assert together.evidence.max() < -800  # far below the smallest number, were it not scaled
    alone = bayes.read(mixture, shown[4:5], leak=1e-9)
    assert np.allclose(together.expected()[4], alone.expected()[0], atol=1e-12)


def test_the_posterior_finds_concept_and_slot() -> None:
    mixture, prompts = drawn(length=8)
    read = bayes.read(mixture, prompts.at(6), begins=begins(6, 8), beginnings=bayes.in_one_slot(mixture))
    assert np.array_equal(read.posterior.sum(1).argmax(0), prompts.concepts)
    assert read.posterior.sum(axis=(0, 1)) == pytest.approx(np.ones(12))


def test_what_no_concept_can_have_made_is_nan() -> None:
    world = tiny()
    fixed = Mixture(world.table, np.eye(2), world.slots, world.starts, 3)  # a value never changes
    impossible = np.array([[1, 0, 2], [1, 0, 1]])
    with np.errstate(invalid="ignore"):
        ours = bayes.read(fixed, impossible).expected()
        loop = plain.expected(fixed, impossible)
    assert np.isnan(ours[0]).all()
    assert np.isnan(loop[0]).all()
    assert ours[1] == pytest.approx(loop[1], abs=1e-12)
    assert ours[1].sum() == pytest.approx(1)


def test_a_symbol_that_no_state_emits_is_said() -> None:
    with pytest.raises(ValueError, match="symbol 7 is emitted by no state"):
        bayes.read(tiny(), np.array([[0, 7]]))
