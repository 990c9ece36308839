"""Rewards and advantages by hand, positions of texts, and a reward that rises on a planted task."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.engine.fake import ByteTokenizer, FakeModel
from icl.errors import ConfigError, DataError
from icl.protocols import tuners
from icl.training import Network, TrainingRow, TrainingStep
from icl.tuning.full import Full
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.positions import (
    Position,
    advantages,
    entropies,
    positions_of,
    reward,
    token_ends,
)
from icl.tuning.shared.rollouts import PolicyGradient, Rolling, RolloutWork
from icl.tuning.shared.tokens import TokenRow
from icl.tuning.shared.tuner import RowWork
from icl.types import Sample, TokenIds
from tests.tuning.planted import TOKENIZER, Killed, fresh, resources


class Pieces:
    """A tokenizer of given pieces of UTF-8, some of which end inside a character."""

    eos_ids: frozenset[int] = frozenset()
    fingerprint = "pieces"

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def encode(self, text: str) -> TokenIds:
        assert text.encode() == b"".join(self.pieces)
        return tuple(range(len(self.pieces)))

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode(errors="replace")

    def chat(self, messages: Any) -> str:
        raise NotImplementedError


def test_ends_of_tokens_inside_a_character_are_none() -> None:
    euro = "€".encode()
    tokenizer = Pieces(b"pay ", euro[:1], euro[1:] + b"5", b" now")
    text = "pay €5 now"
    assert token_ends(text, tokenizer.encode(text), tokenizer) == [4, None, 8, 12]
    literal = Pieces("\ufffd".encode(), b"x")
    assert token_ends("\ufffdx", (0, 1), literal) == [3, 4]


PARIS = Position("p", "I saw", b" Paris, France", frozenset({6, 7, 14}), 2.0)
EURO = Position("e", "pay ", "€5 now".encode(), frozenset({4, 8}), 2.0)


@pytest.mark.parametrize(
    ("answer", "position", "worth"),
    [
        (" Paris", PARIS, 1),
        (" Paris,", PARIS, 1),
        (" Paris, France", PARIS, 1),
        (" Pari", PARIS, 0),  # a beginning, but no token ends there
        (" Paris, Fra", PARIS, 0),
        ("Paris", PARIS, 0),  # not its bytes
        (" paris", PARIS, 0),
        (" Paris, France.", PARIS, 0),  # longer than what follows
        ("", PARIS, 0),
        ("€", EURO, 0),  # whole character, inside a token
        ("€5", EURO, 1),
        ("\ufffd", EURO, 0),  # the first byte of the character alone, as it is shown
    ],
)
def test_the_reward(answer: str, position: Position, worth: int) -> None:
    assert reward(answer, position) == worth


def test_advantages_by_hand() -> None:
    assert advantages([1, 0, 0, 0]) == pytest.approx([3**0.5, *[-(3**-0.5)] * 3])
    assert advantages([1, 1, 0, 0]) == pytest.approx([1, 1, -1, -1])
    assert advantages([1, 1, 1]) == advantages([0, 0, 0]) == [0.0, 0.0, 0.0]


def test_the_policy_gradient_by_hand() -> None:
    """Means over a rollout's tokens, over all 8 rollouts of the step."""
    loss = PolicyGradient(8)
    row = TokenRow((2, 5, 6), 1, TrainingRow("r", "", "", "rollout", weight=-1.5))
    assert float(loss.of(torch.tensor([-1.0, -3.0]), row)) == pytest.approx(-3.0)
    assert loss.norm([row]) == 8.0


@pytest.mark.parametrize(
    ("text", "stop", "answer"),
    [
        ("so it is <next> a", "stop", " a"),
        ("<next>a or <next>b", "stop", "b"),
        ("<next> a", "length", None),
        ("it is a", "stop", None),
    ],
)
def test_an_answer_stands_between_its_marks(text: str, stop: Any, answer: str | None) -> None:
    rolling = Rolling(lambda context: context, ("<next>", "</next>"), 2, 9, 1.0)
    assert rolling.answer(Sample(text, (), (), stop)) == answer


def test_positions_are_where_the_base_model_is_open() -> None:
    network, text = fresh(), "abc:A"
    values = entropies(network, TOKENIZER.encode(text))
    everything, tokens, highest = positions_of("t", text, network, TOKENIZER, entropy=0.0, most_tokens=99)
    assert tokens == 6
    assert [p.context for p in everything] == ["a", "ab", "abc", "abc:"]
    assert [p.continuation for p in everything] == [b"bc:A", b"c:A", b":A", b"A"]
    assert everything[1].boundaries == {1, 2, 3}
    assert [p.entropy for p in everything] == values[1:]
    assert highest == max(values[1:])
    middle = sorted(values[1:])[2]
    some, _, _ = positions_of("t", text, network, TOKENIZER, entropy=middle, most_tokens=99)
    assert [p for p in everything if p.entropy >= middle] == some
    assert len(some) == 2
    cut, _, _ = positions_of("t", text, network, TOKENIZER, entropy=0.0, most_tokens=3)
    assert [p.context for p in cut] == ["a", "ab"]


TEXTS = [f"{digit}:{'AB'[digit % 2]}" for digit in range(8)]
"""The digit's parity is to be learned; only the letter is open."""


@pytest.fixture(scope="module")
def writing() -> Mapping[str, torch.Tensor]:
    """Weights that know the form of a text and of a rollout, and nothing of which letter is right."""
    draw = random.Random(0)
    rows = [
        row
        for digit in [*range(8)] * 6
        for row in (
            TrainingRow("", f"{digit}", f":{draw.choice('AB')}", "text"),
            TrainingRow("", f"{digit}:?", f"<{draw.choice('AB')}>", "rollout"),
        )
    ]
    given = resources()
    settings = Full(steps=40, batch_size=16, learning_rate=5e-3)
    tuned = settings.learn(RowWork(rows, settings, given, None), None, given, {})
    return {name: value.clone() for name, value in tuned.network.state_dict().items()}


def tuner(folder: Path, **changes: Any) -> Any:
    path = folder / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
    lora = {"steps": 14, "batch_size": 8, "learning_rate": 1e-2, **changes.pop("lora", {})}
    given = {
        "file": str(path), "entropy": 0.4, "rollouts": 6, "rollout_tokens": 4, "prompt": "{context}?",
        "marks": ["<", ">"], "with": {"lora": lora},
    }  # fmt: skip
    return tuners.create("rpt", {**given, **changes})


def world(state: Mapping[str, torch.Tensor], **more: Any) -> Any:
    def base() -> Network:
        network = fresh()
        network.load_state_dict(state)
        return network

    return resources(network=base(), fresh=base, **more)


def test_the_reward_rises_on_a_planted_task(writing: Mapping[str, torch.Tensor], tmp_path: Path) -> None:
    tuned = tuner(tmp_path).fit([], world(writing))
    rewards = tuned.notes["rewards"]
    assert len(rewards) == 14
    assert sum(rewards[:2]) / 2 < 0.7
    assert sum(rewards[-3:]) / 3 > 0.85
    assert tuned.notes["positions"] == 8
    assert tuned.cost.tokens_validation > tuned.cost.steps * 8 * 6


def test_a_killed_run_goes_on_to_the_same_weights(
    writing: Mapping[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)
    lora = {"steps": 5, "evaluate_every": 2, "validation": 2, "batch_size": 3}
    made = tuner(tmp_path, lora=lora)
    whole = made.fit([], world(writing))
    assert [step for step, _ in whole.notes["looks"]] == [2, 4, 5]

    def kill(step: TrainingStep) -> None:
        if step.step == 4:
            raise Killed

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    with pytest.raises(Killed):
        made.fit([], world(writing, folder=folder, report=kill))
    again = made.fit([], world(writing, folder=folder))
    assert all(torch.equal(whole.state[name], again.state[name]) for name in whole.state)
    assert again.notes["rewards"] == whole.notes["rewards"]
    assert again.cost.tokens_validation == whole.cost.tokens_validation
    assert not list(folder.iterdir())


def test_only_groups_that_differ_are_learned_from() -> None:
    """Of two positions one has rollouts that are right and wrong, the other none that is right."""
    positions = [
        Position("p", "a", b"b", frozenset({1}), 1.0),
        Position("q", "c", b"d", frozenset({1}), 1.0),
    ]
    rolling = Rolling(lambda context: f"{context}?", ("<", ">"), 4, 5, 1.0)
    given = resources(
        ask=lambda network: FakeModel(reply_with=lambda prompt, sample: "<b>" if sample == 1 else "<x>"),
        tokenizer=ByteTokenizer(),
    )
    rows = RolloutWork(positions, [], rolling, 2, given, "").batch(0, Attached(given.network))
    assert sorted(row.row.id for row in rows) == [f"p/{i}" for i in range(4)]
    assert [row.row.weight > 0 for row in rows] == [False, True, False, False]
    assert [bytes(row.ids[row.start :][:3]) for row in rows] == [b"<x>", b"<b>", b"<x>", b"<x>"]
    rows = RolloutWork(positions[1:], [], rolling, 1, given, "").batch(0, Attached(given.network))
    assert [row.row.weight for row in rows] == [0.0]


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no position has an entropy of 50 nats .* most open one has"):
        tuner(tmp_path, entropy=50).fit([], resources())
    path = tmp_path / "other.jsonl"
    path.write_text('{"text": "a"}\n{"txt": "a"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.jsonl:2: has no text"):
        tuner(tmp_path, file=str(path)).fit([], resources())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give file, or pool: true"),
        ({"pool": True, "rollouts": 1}, "rollouts is 1"),
        ({"pool": True, "prompt": "next?"}, r"allowed: a text with \{context\} in it"),
        ({"pool": True, "marks": ["<"]}, "two texts"),
        ({"pool": True, "with": {"lora": {"learning_rate": [1e-3, 1e-4]}}}, "each would sample anew"),
    ],
)
def test_bad_parameters(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tuners.create("rpt", given)
