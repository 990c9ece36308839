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
from icl.selectors.rl import RL
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.qlearning import Learning, Policy, Transition, learn
from icl.selectors.shared.scoring import carve
from icl.types import Example, Query, ScoreRequest

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

    (row,) = rl(cql=0.0).fit(make_pool(), make_toy(one_is_enough)).select(QUERY, 4)
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
