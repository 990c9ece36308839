"""What the selectors that ask the model share: trials, their verdicts, and the validation split.

A trial shows demonstrations to the model and asks how probable the right answer of an example of
the pool is after them. All trials of a step go to the model in one call (in windows of `WINDOW`, so
that a million prompts need not stand in memory at once), sorted by the caller so that trials with
the same demonstrations stand together: the engine reads their shared prefix once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from icl.errors import ConfigError
from icl.labels import LABELLED, longest, options
from icl.protocols import LanguageModel, Renderer, Resources
from icl.selectors.shared.balance import positions_by_label, take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query, ScoreRequest, Task

log = logging.getLogger("icl")

WINDOW = 16_384
"""Requests handed to the model at once."""

Measure = Literal["auto", "accuracy", "logprob"]
MEASURES: tuple[Measure, ...] = ("auto", "accuracy", "logprob")


def model_of(selector: str, resources: Resources) -> LanguageModel:
    """The language model; ConfigError where the caller gave none."""
    if resources.model is None:
        raise ConfigError(f"selector {selector!r} needs a model")
    return resources.model


def renderer_of(selector: str, resources: Resources) -> Renderer:
    """The renderer; ConfigError where the caller gave none."""
    if resources.renderer is None:
        raise ConfigError(f"selector {selector!r} needs a renderer")
    return resources.renderer


def need_labels(selector: str, task: Task, kinds: Iterable[str]) -> None:
    """ConfigError unless the task is of one of `kinds`: the method is defined over labels."""
    allowed = sorted(kinds)
    if task.kind not in allowed:
        raise ConfigError(
            f"selector {selector!r} needs labels: task {task.name!r} is of kind {task.kind}; "
            f"allowed: {', '.join(allowed)}"
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """`example` asked after these demonstrations, in prompt order."""

    demonstrations: tuple[Example, ...]
    example: Example


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model makes of a trial."""

    logprob: float
    """log P(right answer | demonstrations, input), all tokens of the answer."""
    label_logprobs: tuple[float, ...] = ()
    """The same for every label, in the task's order; empty where only the right answer was scored."""
    gold: int = 0
    """Which of them is right."""

    @property
    def label_probabilities(self) -> NDArray[np.float64]:
        """[labels] scaled to sum to one over the labels."""
        scores = np.asarray(self.label_logprobs)
        exponentials = np.exp(scores - scores.max())
        return np.asarray(exponentials / exponentials.sum(), dtype=np.float64)

    @property
    def correct(self) -> float:
        """1 when the right label is the most probable (ties: the label that stands first), else 0."""
        return float(int(np.argmax(self.label_logprobs)) == self.gold)


class Scorer:
    """Puts trials to the model.

    `labels`: score every label of the task (accuracy can be told), not the right answer alone.
    Raises ConfigError, naming `selector`, without a model or a renderer.
    """

    def __init__(self, selector: str, resources: Resources, *, labels: bool = True) -> None:
        self._model = model_of(selector, resources)
        self._renderer = renderer_of(selector, resources)
        self._resources = resources
        self._selector = selector
        self._labels = labels and resources.task.kind in LABELLED
        self._warned = False

    def verdicts(self, trials: Sequence[Trial]) -> list[Verdict]:
        """One verdict a trial, in order. Equal trials are asked once."""
        unique = list(dict.fromkeys(map(_key, trials)))
        place = {key: at for at, key in enumerate(unique)}
        first = {_key(trial): trial for trial in reversed(trials)}
        verdicts: list[Verdict] = []
        for start in range(0, len(unique), WINDOW):
            asked = [first[key] for key in unique[start : start + WINDOW]]
            requests = [self._request(trial) for trial in asked]
            for trial, scores in zip(asked, self._model.score(requests), strict=True):
                verdicts.append(self._verdict(trial, scores.logprobs))
        return [verdicts[place[_key(trial)]] for trial in trials]

    def _targets(self, example: Example) -> tuple[str, ...]:
        return options(self._resources.task, example.query) if self._labels else (example.target,)

    def _request(self, trial: Trial) -> ScoreRequest:
        answers = tuple(self._renderer.answer(target) for target in self._targets(trial.example))
        shown = [Demonstration(example) for example in trial.demonstrations]
        prompt = self._renderer.prompt(trial.example.query, shown, reserve=longest(answers, self._resources))
        if prompt.dropped and not self._warned:
            self._warned = True
            log.warning(
                "selector %r: sets of demonstrations do not fit the model's context whole; they are "
                "tried without what was dropped (%s)",
                self._selector,
                prompt.dropped[0].reason,
            )
        return ScoreRequest(prompt.text, answers)

    def _verdict(self, trial: Trial, logprobs: tuple[float, ...]) -> Verdict:
        if not self._labels:
            return Verdict(logprobs[0])
        targets = self._targets(trial.example)
        if trial.example.target not in targets:
            raise ConfigError(
                f"selector {self._selector!r}: pool example {trial.example.id!r} has the target "
                f"{trial.example.target!r}; allowed: {', '.join(targets)}"
            )
        gold = targets.index(trial.example.target)
        return Verdict(logprobs[gold], logprobs, gold)


def _key(trial: Trial) -> tuple[str, ...]:
    return (*(example.id for example in trial.demonstrations), "", trial.example.id)


def measured_by(selector: str, measure: Measure, task: Task) -> Measure:
    """ "accuracy" or "logprob": "auto" means accuracy where the task has labels.

    ConfigError for the accuracy of a task without labels: an open answer cannot be judged by
    scoring it.
    """
    if measure == "auto":
        return "accuracy" if task.kind in LABELLED else "logprob"
    if measure == "accuracy" and task.kind not in LABELLED:
        raise ConfigError(
            f"selector {selector!r}: measure 'accuracy' needs labels, and task {task.name!r} is of kind "
            f"{task.kind}; allowed: auto, logprob"
        )
    return measure


def success(verdicts: Sequence[Verdict], measure: Measure) -> float:
    """Mean accuracy or mean log-probability of the right answers."""
    if measure == "accuracy":
        return float(np.mean([verdict.correct for verdict in verdicts]))
    return float(np.mean([verdict.logprob for verdict in verdicts]))


@dataclass(frozen=True, slots=True)
class Carved:
    """A pool cut in two, by position."""

    shown: tuple[int, ...]
    """May be demonstrations: not held out, and no duplicate of what is."""
    held: tuple[int, ...]
    """The validation split: asked about, never shown."""


def carve(
    selector: str,
    candidates: Candidates,
    size: int,
    resources: Resources,
    *,
    balanced: bool = False,
    parameter: str = "validation",
) -> Carved:
    """Holds `size` examples of the pool out for validation, by the seed alone.

    Every selector that validates holds out the same ones. `balanced`: as many of every label, but no more
    than half of a label's examples while there are others.
    `parameter`: what the user calls the size. ConfigError when nothing would be left to show.
    """
    pool = candidates.pool
    if not 0 < size < len(pool):
        raise ConfigError(
            f"selector {selector!r} holds {size} examples out for validation, but the pool has {len(pool)}: "
            + (f"set {parameter} to {len(pool) - 1} or less, or " if len(pool) > 1 else "")
            + "ask for a larger pool"
        )
    drawn = resources.generator("selectors.validation").permutation(len(pool)).tolist()
    if balanced:
        groups = positions_by_label([pool[at] for at in drawn], resources.task.labels)
        # A rare label keeps half of its examples to show, unless the others are too few for the size.
        halves = [group[: len(group) // 2] for group in groups]
        rests = [group[len(group) // 2 :] for group in groups]
        drawn = [drawn[at] for at in take_turns(halves) + take_turns(rests)]
    held = tuple(drawn[:size])
    barred = set(held).union(*(candidates.forbidden(pool[at].query) for at in held))
    shown = tuple(at for at in range(len(pool)) if at not in barred)
    if not shown:
        raise ConfigError(
            f"selector {selector!r}: every example of the pool of {len(pool)} is one of the {size} held out "
            f"for validation or duplicates one: set {parameter} to less, or ask for a larger pool"
        )
    return Carved(shown, held)


def hand_out(
    candidates: Candidates,
    ranking: Sequence[int],
    queries: Sequence[Query],
    k: int,
    show: Callable[[int], Demonstration],
) -> list[tuple[Demonstration, ...]]:
    """The first k of one ranking for every query, without the query itself and its duplicates.

    Fewer than k where the ranking, which leaves out what was held for validation, has no more.
    """
    selected = []
    for query in queries:
        forbidden = candidates.forbidden(query)
        taken = [at for at in ranking if at not in forbidden][:k]
        selected.append(tuple(show(at) for at in taken))
    if any(len(row) < k for row in selected):
        log.warning(
            "%d demonstrations were asked for; some queries get fewer: the rest of the pool is held out "
            "for validation or duplicates the query",
            k,
        )
    return selected
