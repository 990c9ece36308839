"""Choosing demonstrations one after another by a policy that learned from the model's accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_flag, check_number, check_numbers
from icl.errors import ConfigError
from icl.labels import LABELLED
from icl.protocols import Resources, selectors
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.qlearning import ACTION, Learning, Policy, Transition, learn
from icl.selectors.shared.scoring import (
    WINDOW,
    Scorer,
    Trial,
    carve,
    model_of,
    need_labels,
    renderer_of,
    success,
)
from icl.types import Demonstration, Example, Query, ScoreRequest, TaskKind

CONTENT_FREE = "N/A"
State = tuple[int, ...]
"""Rows of the chosen candidates, in prompt order."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A choice and what the policy thought of it."""

    row: int
    value: float
    stop: float


@selectors.register("rl", paper="Zhang, Feng and Tan 2022, Active Example Selection for In-Context Learning")
class RL:
    """A Q-learning agent adds demonstrations one by one, rewarded by the change of accuracy.

    Actions: `candidates` random examples of the pool, and to stop (`stop` false: never, always k).
    State: number chosen, perplexity of the demonstrations so far. Action features: entropy, minimum,
    maximum and deviation of the example's label probabilities without demonstrations, calibrated by
    a content-free input, and its perplexity. The network never sees a text, so that a policy can be
    used on another task: `save` it and name its file as `policy`, which trains nothing.

    `episodes` random ones of `shots` steps are played beforehand, rewards on `reward_set` held-out
    examples; a network with two layers of `hidden` units and `dropout` on its inputs and the first
    learns their values offline with discount `gamma`, absolute error and conservative weight `cql`,
    by AdamW (`learning_rate`, `weight_decay`, `batch_size`, gradients clipped to a norm of `clip`)
    over `steps` of `updates` each, its target copied every `sync` steps. Of `checkpoints` in equal
    distances the last whose choice does best on `validation` more examples is taken.

    Perplexities enter as logarithms and entropies as shares of their maximum, so that features mean
    the same for every number of labels; features of an action are those without demonstrations,
    worked out once. No random episode stops; to stop earns nothing and is known without playing it, and
    a share `stop_share` of the states that were met is learned from a second time as one where the
    episode stopped. With `stop` false it is no lesson. Needs labels.
    Cost: about episodes * shots * (reward_set + 1) score requests; states that recur are asked once.
    """

    kinds: frozenset[TaskKind] = LABELLED
    needs: frozenset[str] = frozenset({"model", "renderer"})
    example_parameters: ClassVar[dict[str, Any]] = {
        "episodes": 3,
        "shots": 2,
        "reward_set": 3,
        "validation": 2,
        "steps": 4,
        "updates": 1,
        "sync": 2,
        "stop": False,
    }

    def __init__(
        self,
        *,
        candidates: int = 100,
        stop: bool = True,
        policy: str | None = None,
        episodes: int = 2000,
        shots: int = 4,
        reward_set: int = 100,
        validation: int = 100,
        hidden: int = 16,
        dropout: float = 0.25,
        gamma: float = 1.0,
        cql: float = 0.2,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        batch_size: int = 16,
        steps: int = 8000,
        updates: int = 16,
        sync: int = 400,
        clip: float = 1.0,
        stop_share: float = 0.05,
        checkpoints: int = 10,
    ) -> None:
        check_flag("stop", stop)
        if policy is not None and not isinstance(policy, str):
            raise ValueError(f"policy is {policy!r}; allowed: a file")
        check_numbers(
            low=1, whole=True,
            candidates=candidates, episodes=episodes, shots=shots, reward_set=reward_set,
            validation=validation, hidden=hidden, batch_size=batch_size, steps=steps, updates=updates,
            sync=sync, checkpoints=checkpoints,
        )  # fmt: skip
        check_number("dropout", dropout, low=0, high=0.95)
        check_number("gamma", gamma, low=0, high=1)
        check_number("stop_share", stop_share, low=0, high=1)
        check_number("clip", clip, low=1e-6)
        check_numbers(low=0, cql=cql, learning_rate=learning_rate, weight_decay=weight_decay)
        self.candidates = candidates
        self.stop = stop
        self.policy = policy
        self.episodes = episodes
        self.shots = shots
        self.reward_set = reward_set
        self.validation = validation
        self.hidden = hidden
        self.dropout = dropout
        self.gamma = gamma
        self.cql = cql
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.steps = steps
        self.updates = updates
        self.sync = sync
        self.clip = clip
        self.stop_share = stop_share
        self.checkpoints = checkpoints

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Measures the candidates, then trains the policy or loads it. ConfigError without labels."""
        need_labels("rl", resources.task, self.kinds)
        self._model = model_of("rl", resources)
        self._renderer = renderer_of("rl", resources)
        self._scorer = Scorer("rl", resources)
        self._resources = resources
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._rollouts: dict[tuple[int, frozenset[int]], list[_Step]] = {}
        self._validated: float | None = None
        loaded = Policy.load(self.policy) if self.policy is not None else None
        shown: Sequence[int] = range(len(pool))
        if loaded is None:
            held_out = self.reward_set + self.validation
            carved = carve("rl", self._candidates, held_out, resources, parameter="reward_set + validation")
            shown = carved.shown
            rewarding, validating = carved.held[: self.reward_set], carved.held[self.reward_set :]
        order = resources.generator("selectors.rl.candidates").permutation(len(shown))
        self._actions = [pool[shown[at]] for at in order[: self.candidates]]
        self._positions = [int(shown[at]) for at in order[: self.candidates]]
        self._features = self._measure()
        self.trained = loaded
        if loaded is None:
            self._train([pool[at] for at in rewarding], [pool[at] for at in validating])
        return self

    def save(self, path: Path | str) -> None:
        """Writes the policy to one file that `policy` takes, on this or another task."""
        if self.trained is None:
            raise ConfigError("selector 'rl' has no policy yet: fit it first")
        self.trained.save(path)

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """What the policy chooses, in its order: the same for all queries but those among it.

        Fewer than k where it stops, or has no more candidates. ConfigError for k above the pool.
        """
        self._candidates.check(k)
        row_of = {position: row for row, position in enumerate(self._positions)}
        barred = [
            frozenset(row_of[at] for at in self._candidates.forbidden(query) if at in row_of)
            for query in queries
        ]
        assert self.trained is not None
        missing = [rows for rows in dict.fromkeys(barred) if (k, rows) not in self._rollouts]
        for rows, steps in zip(missing, self._play(self.trained, missing, k), strict=True):
            self._rollouts[k, rows] = steps
        return [tuple(self._demonstration(step) for step in self._rollouts[k, rows]) for rows in barred]

    def _demonstration(self, step: _Step) -> Demonstration:
        why: dict[str, float | str] = {"q": step.value, "q_stop": step.stop}
        why |= {name: float(x) for name, x in zip(ACTION, self._features[step.row], strict=True)}
        if self._validated is not None:
            why["validation_accuracy"] = self._validated
        return Demonstration(self._actions[step.row], None, why)

    def _measure(self) -> NDArray[np.float64]:
        """[candidates, 5] features of each as an action, without demonstrations."""
        # One content-free item for each set of choices: the same for all where there are none.
        blanks = [
            replace(e, id=str(dict(e.choices)), inputs=dict.fromkeys(e.inputs, CONTENT_FREE))
            for e in self._actions
        ]
        verdicts = self._scorer.verdicts([Trial((), e) for e in self._actions])
        priors = self._scorer.verdicts([Trial((), e) for e in blanks])
        perplexity = self._log_perplexities([self._renderer.prompt(e.query, ()).text for e in self._actions])
        rows = []
        for verdict, prior, value in zip(verdicts, priors, perplexity, strict=True):
            p = verdict.label_probabilities / prior.label_probabilities
            p = p / p.sum()
            entropy = -float(np.sum(p * np.log(np.maximum(p, 1e-12)))) / math.log(max(len(p), 2))
            rows.append([entropy, float(p.min()), float(p.max()), float(p.std()), value])
        return np.array(rows)

    def _log_perplexities(self, texts: Sequence[str]) -> list[float]:
        """Mean negative log-likelihood of a token of each text; 0 for a text of one token."""
        room = self._model.context_length
        ids = [self._model.tokenizer.encode(text)[-room:] for text in texts]
        long = [at for at, tokens in enumerate(ids) if len(tokens) > 1]
        scores = self._model.score([ScoreRequest(ids[at][:1], (ids[at][1:],)) for at in long])
        found = dict(zip(long, (-s.mean_logprobs[0] for s in scores), strict=True))
        return [found.get(at, 0.0) for at in range(len(texts))]

    def _states(self, states: Sequence[State]) -> dict[State, tuple[float, float]]:
        """Features of each state: share of `shots` chosen, log perplexity of its demonstrations."""
        filled = [state for state in states if state]
        texts = []
        for state in filled:
            shown = [Demonstration(self._actions[row]) for row in state]
            before = self._renderer.prompt(shown[-1].example.query, shown[:-1]).text
            texts.append(before + self._renderer.answer(shown[-1].example.target))
        perplexity = dict(zip(filled, self._log_perplexities(texts), strict=True))
        return {state: (len(state) / self.shots, perplexity.get(state, 0.0)) for state in states}

    def _accuracies(self, states: Sequence[State], asked: Sequence[Example]) -> dict[State, float]:
        """Accuracy on `asked` with each state's demonstrations, in windows of requests."""
        found = {}
        window = max(1, WINDOW // len(asked))
        for start in range(0, len(states), window):
            part = states[start : start + window]
            shown = [tuple(self._actions[row] for row in state) for state in part]
            verdicts = self._scorer.verdicts([Trial(s, example) for s in shown for example in asked])
            for number, state in enumerate(part):
                found[state] = success(verdicts[number * len(asked) : (number + 1) * len(asked)], "accuracy")
        return found

    def _train(self, rewarding: Sequence[Example], validating: Sequence[Example]) -> None:
        stream = self._resources.generator("selectors.rl.episodes")
        size = len(self._actions)
        length = min(self.shots, size)
        episodes = [
            tuple(stream.choice(size, size=length, replace=False).tolist()) for _ in range(self.episodes)
        ]
        # Sorted, so that states that continue one another share their prefix in the engine.
        states = sorted({episode[:n] for episode in episodes for n in range(length + 1)})
        accuracy, features = self._accuracies(states, rewarding), self._states(states)
        transitions = []
        for episode in episodes:
            for n in range(length):
                state, after = episode[:n], episode[: n + 1]
                reward = accuracy[after] - accuracy[state]
                following = features[after] if n + 1 < length else None
                transitions.append(Transition(features[state], state, episode[n], reward, following))
                if self.stop and stream.random() < self.stop_share:
                    transitions.append(Transition(features[state], state, size, 0.0, None))
        settings = Learning(
            self.hidden,
            self.dropout,
            self.gamma,
            self.cql,
            self.learning_rate,
            self.weight_decay,
            self.batch_size,
            min(self.steps, self.checkpoints) if self._resources.rehearsal else self.steps,
            1 if self._resources.rehearsal else self.updates,
            self.sync,
            self.clip,
        )
        training = self._resources.generator("selectors.rl.training")
        policies = learn(transitions, self._features, settings, training, min(self.checkpoints, self.steps))
        played = [self._play(policy, [frozenset()], self.shots)[0] for policy in policies]
        choices = [tuple(step.row for step in steps) for steps in played]
        validated = self._accuracies(sorted(set(choices)), validating)
        best = max(range(len(policies)), key=lambda at: (validated[choices[at]], at))
        self.trained, self._validated = policies[best], validated[choices[best]]

    def _play(self, policy: Policy, barred: Sequence[frozenset[int]], k: int) -> list[list[_Step]]:
        """Greedy episodes of at most k steps, one for each set of rows that may not be chosen."""
        episodes: list[list[_Step]] = [[] for _ in barred]
        going = list(range(len(barred)))
        for _ in range(k):
            states = {at: tuple(step.row for step in episodes[at]) for at in going}
            features = self._states(list(dict.fromkeys(states.values())))
            still = []
            for at in going:
                values = policy.values(features[states[at]], self._features)
                stop = float(values[-1])
                values = values[:-1]
                values[[*states[at], *barred[at]]] = -np.inf
                row = int(values.argmax())
                if not np.isfinite(values[row]) or (self.stop and stop > values[row]):
                    continue
                episodes[at].append(_Step(row, float(values[row]), stop))
                still.append(at)
            going = still
        return episodes
