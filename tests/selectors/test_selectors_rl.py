"""The agent that adds demonstrations: what it learns, what it is rewarded by, what it keeps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError, DataError
from icl.protocols import Resources
from icl.seeding import generator
from icl.selectors import rl as rl_module
from icl.selectors.rl import RL
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.qlearning import Learning, Policy, Transition, learn
from icl.selectors.shared.scoring import carve
from icl.types import Example, Query, ScoreRequest

from .planted import doubting

Make = Callable[..., Resources]
LABELS = ("negative", "positive")
QUERY = [Query("q", {"text": "something new"})]
CHEAP = {
    "episodes": 60,
    "reward_set": 8,
    "validation": 8,
    "steps": 300,
    "updates": 1,
    "sync": 20,
    "learning_rate": 0.01,
    "dropout": 0.0,
}


def make_pool(size: int = 48, words: str = "doubtful certain") -> list[Example]:
    """Every third example is one that the model has doubts about."""
    doubtful, certain = words.split()
    return [
        Example(
            f"{doubtful}{at}",
            {"text": f"item{at} {doubtful if at % 3 == 0 else certain}{at}"},
            LABELS[at % 2],
        )
        for at in range(size)
    ]


def planted(doubtful: str = "doubtful") -> Callable[[str, str], float]:
    """Examples that the model doubts teach it: each one shown makes a quarter of the items right."""

    def score(prompt: str, continuation: str) -> float:
        if "N/A" in prompt or not continuation.startswith(" "):
            return math.log(0.5)
        *shown, asked = prompt.split("item")[1:]
        number = int(asked.split()[0])
        if shown:
            share = 0.9 if (number // 2) % 4 < sum(doubtful in text for text in shown) else 0.1
        else:
            share = 0.49 if doubtful in asked else 0.05
        return math.log(share if continuation.strip() == LABELS[number % 2] else 1 - share)

    return score


def rl(**changes: object) -> RL:
    return RL(**(CHEAP | changes))  # type: ignore[arg-type]


def test_learns_the_planted_rule(make_toy: Make) -> None:
    pool, resources = make_pool(), make_toy(planted())
    (row,) = rl().fit(pool, resources).select(QUERY, 4)
    assert len(row) == 4
    assert all("doubtful" in d.example.text for d in row), "a random choice takes one in three"
    assert row[0].why["entropy"] == pytest.approx(
        -(0.49 * math.log(0.49) + 0.51 * math.log(0.51)) / math.log(2)
    )
    assert row[0].why["max"] == pytest.approx(0.51)
    assert float(row[0].why["validation_accuracy"]) >= 0.75
    held = carve("rl", Candidates(pool, 1.0), 16, resources).held
    assert {d.example.id for d in row}.isdisjoint(pool[at].id for at in held)


def test_finds_a_rare_kind_that_training_alone_can_show() -> None:
    """One in six; an untrained network takes this draw's by chance less than half of the time."""
    world, given = doubting(1), CHEAP | {"reward_set": 15, "validation": 15, "steps": 400, "stop": False}
    trained = RL(**given).fit(world.pool, world.resources)  # type: ignore[arg-type]
    idle = RL(**given | {"learning_rate": 0.0}).fit(world.pool, world.resources)  # type: ignore[arg-type]
    assert world.share(trained, 4) >= 0.75
    assert world.share(idle, 4) <= 0.5


def test_a_share_of_the_states_is_a_lesson_in_stopping(
    make_toy: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No random episode stops; a lesson ends the game for nothing, and is not there without `stop`."""
    met: list[list[Transition]] = []
    real = rl_module.learn

    def listen(transitions: list[Transition], *rest: object) -> list[Policy]:
        met.append(transitions)
        return real(transitions, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rl_module, "learn", listen)
    for given in ({}, {"stop_share": 0.5}, {"stop": False}):
        rl(steps=4, episodes=100, reward_set=2, validation=2, **given).fit(make_pool(), make_toy(planted()))
    played = 100 * 4
    few, half, none = (len(transitions) - played for transitions in met)
    assert 5 <= few <= 40, "about one in twenty"
    assert 150 <= half <= 250
    assert none == 0
    stops = [t for t in met[1] if t.action == 44]
    assert len(stops) == half
    assert all(t.reward == 0 and t.following is None for t in stops)


def test_inputs_are_dropped_and_gradients_clipped() -> None:
    actions = np.array([[1.0, 0, 0, 0, 0], [0.0, 1, 0, 0, 0]])
    game = [Transition((0.0, 0.0), (), 0, 1e6, None), Transition((0.0, 0.0), (), 1, 0.0, None)]

    def first_layer(**changes: float) -> np.ndarray:
        return learn(game, actions, settings(steps=1, **changes), generator(4, "tests.rl"))[-1].weights[0]

    # What does not come in moves no weight of the first layer; dropped units alone leave two in three still.
    fresh, plain = first_layer(learning_rate=0.0), first_layer()
    assert (first_layer(dropout=0.95) == fresh).mean() > 0.85 > (plain == fresh).mean()
    # Gradients far below Adam's epsilon move nothing to speak of.
    assert np.abs(first_layer(clip=1e-12) - fresh).max() < 0.01 * np.abs(plain - fresh).max()
    (policy,) = learn(game, actions, settings(steps=1), generator(4, "tests.rl"))
    assert [weight.shape for weight in policy.weights] == [(8, 16), (16,), (16, 16), (16,), (16,), (1,)]


def test_a_saved_policy_goes_to_another_task(make_toy: Make, tmp_path: Path) -> None:
    rl().fit(make_pool(), make_toy(planted())).save(tmp_path / "policy.npz")
    resources = make_toy(planted("vague"), kind="boolean", seed=11)
    other = RL(policy=str(tmp_path / "policy.npz")).fit(make_pool(words="vague obvious"), resources)
    (row,) = other.select(QUERY, 4)
    assert all("vague" in d.example.text for d in row)
    asked = [text(request) for request in scored(resources)]
    assert all(prompt.count("item") <= 1 for prompt in asked), "no episode is played"
    assert len(asked) < 150, "the candidates are measured, and four states"


def scored(resources: Resources) -> list[ScoreRequest]:
    assert isinstance(resources.model, FakeModel)
    return [r for r in resources.model.requests if isinstance(r, ScoreRequest)]


def text(request: ScoreRequest) -> str:
    return request.prompt if isinstance(request.prompt, str) else ""


def test_rewards_come_from_the_reward_set_alone(make_toy: Make) -> None:
    pool, resources = make_pool(), make_toy(planted())
    carved = carve("rl", Candidates(pool, 1.0), 16, resources)
    rl(episodes=5, steps=4).fit(pool, resources)
    asked = []
    for request in scored(resources):
        *shown, last = text(request).split("item")[1:] or [""]
        if shown:
            asked.append(int(last.split()[0]))
            assert {int(part.split()[0]) for part in shown}.isdisjoint(carved.held)
    assert set(asked) <= set(carved.held)
    rewarding = [at for at in asked if at in carved.held[:8]]
    # 5 episodes of 4 steps: at most 20 states with demonstrations, each on all 8 examples.
    assert len(rewarding) % 8 == 0
    assert len(rewarding) <= 20 * 8


def test_a_query_among_the_chosen_gets_another(make_toy: Make) -> None:
    selector = rl().fit(make_pool(), make_toy(planted()))
    (row,) = selector.select(QUERY, 4)
    (own,) = selector.select([row[0].example.query], 4)
    assert row[0].example.id not in {d.example.id for d in own}
    assert len(own) == 4


def test_stops_where_more_would_hurt(make_toy: Make) -> None:
    def one_is_enough(prompt: str, continuation: str) -> float:
        if "N/A" in prompt or not continuation.startswith(" "):
            return math.log(0.5)
        *shown, asked = prompt.split("item")[1:]
        number = int(asked.split()[0])
        share = 0.9 if len(shown) == 1 or (number // 2) % 2 >= len(shown) else 0.1
        return math.log(share if continuation.strip() == LABELS[number % 2] else 1 - share)

    (row,) = rl(cql=0.0, stop_share=1.0).fit(make_pool(), make_toy(one_is_enough)).select(QUERY, 4)
    assert len(row) == 1
    (row,) = rl(cql=0.0, stop=False).fit(make_pool(), make_toy(one_is_enough)).select(QUERY, 4)
    assert len(row) == 4


def settings(**changes: float) -> Learning:
    given = Learning(16, 0.0, 1.0, 0.0, 0.02, 0.0, 16, 600, 1, 20)
    return replace(given, **changes)  # type: ignore[arg-type]


def test_values_of_a_drawn_game() -> None:
    """Action 0 earns 1 and then action 1 earns 2, in this order only; to stop earns nothing."""
    actions = np.array([[1.0, 0, 0, 0, 0], [0.0, 1, 0, 0, 0]])
    start, after0, after1 = (0.0, 0.0), (0.5, 1.0), (0.5, 2.0)
    game = [
        Transition(start, (), 0, 1.0, after0),
        Transition(start, (), 1, 0.0, after1),
        Transition(after0, (0,), 1, 2.0, None),
        Transition(after1, (1,), 0, 0.0, None),
        *(
            Transition(state, chosen, 2, 0.0, None)
            for state, chosen in ((start, ()), (after0, (0,)), (after1, (1,)))
        ),
    ]
    policy = learn(game, actions, settings(), generator(1, "tests.rl"))[-1]
    assert policy.values(start, actions) == pytest.approx([3.0, 0.0, 0.0], abs=0.3)
    assert policy.values(after0, actions)[1:] == pytest.approx([2.0, 0.0], abs=0.3)
    myopic = learn(game, actions, settings(gamma=0.0), generator(1, "tests.rl"))[-1]
    assert myopic.values(start, actions)[0] == pytest.approx(1.0, abs=0.3)


def test_conservative_learning_distrusts_what_nobody_tried() -> None:
    actions = np.array([[1.0, 0, 0, 0, 0], [0.0, 1, 0, 0, 0]])
    tried = [Transition((0.0, 0.0), (), 0, 0.5, None)]
    plain = learn(tried, actions, settings(), generator(2, "tests.rl"))[-1].values((0.0, 0.0), actions)
    wary = learn(tried, actions, settings(cql=1.0), generator(2, "tests.rl"))[-1].values((0.0, 0.0), actions)
    assert wary[1] < plain[1] - 1.0
    assert wary[0] > wary[1] + 2.0


def test_save_and_load(tmp_path: Path) -> None:
    actions = np.array([[1.0, 0, 0, 0, 0], [0.0, 1, 0, 0, 0]])
    (policy,) = learn(
        [Transition((0.0, 0.0), (), 0, 0.5, None)], actions, settings(steps=3), generator(1, "t")
    )
    policy.save(tmp_path / "p.npz")
    assert (
        Policy.load(tmp_path / "p.npz").values((0.0, 1.0), actions).tolist()
        == policy.values((0.0, 1.0), actions).tolist()
    )
    (tmp_path / "p.npz").write_text("nothing")
    with pytest.raises(DataError, match=r"p\.npz: no policy written by the rl selector"):
        Policy.load(tmp_path / "p.npz")


def test_needs_labels(make_toy: Make) -> None:
    with pytest.raises(ConfigError, match="'rl' needs labels: task 'toy' is of kind numeric"):
        rl().fit(make_pool(), make_toy(kind="numeric"))
