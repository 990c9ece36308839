"""Judges at work: their model opened, and many items graded side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from icl.backends import BACKENDS, SaysLabels
from icl.errors import ConfigError, IclError
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.models import check_models, open_model
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.file.config import Experiment, Source
from icl.experiments.file.judges import JUDGE, JudgeChoice, judge_of
from icl.judging import Bench, Item, Judge, Verdict, as_solve, missing, verdict_of
from icl.protocols import LanguageModel
from icl.types import Outcome, Usage


@dataclass(frozen=True, slots=True)
class Graded:
    """A verdict and what it cost."""

    verdict: Verdict
    usage: Usage


def check_judge(choice: JudgeChoice) -> Judge:
    """The judge, if it can be built and its model found. Loads nothing. Raises ConfigError in one line."""
    judge = choice.build()
    try:
        check_models(choice.experiment, Source("", Path(), {}))
    except ConfigError as error:
        told = str(error).removeprefix(": model: ")
        raise ConfigError(f"judge {choice.component.name!r}: model: {told}") from error
    return judge


def check_metric(experiment: Experiment, source: Source) -> None:
    """Refuses an experiment's judge that cannot be built, whose model is not found, or that is no metric."""
    choice = judge_of(experiment, source)
    if choice is None:
        return
    path = ("metric", JUDGE, choice.component.name)
    try:
        judge = check_judge(choice)
    except IclError as error:
        raise source.error(path, str(error)) from error
    if "other" in judge.requires:
        raise source.error(path, "grades pairs, and an answer of a run has no other side; see icl judge")
    if not judge.single:
        raise source.error(path, "gives no single number, which a metric is; say how: overall: mean, or min")


def check_labels(choice: JudgeChoice, judge: Judge) -> None:
    """Raises ConfigError where the judge goes by log-probabilities of labels that its model does not give, in
    one line with what would work. Loads no weights; asks a server what it gives."""
    named = choice.experiment.choice
    if judge.scores_labels and named.is_backend:
        model = BACKENDS.create(named.name, named.options)
        if isinstance(model, SaysLabels):
            try:
                model.check_labels()
            except IclError as error:
                other = "; or read: text, which goes by what is written" if "read" in vars(judge) else ""
                raise ConfigError(
                    f"judge {choice.component.name!r} goes by log-probabilities of its labels: {error}. A "
                    "model of icl's own engine, of the vllm backend, or a server with logprobs "
                    f"works{other}"
                ) from error


def open_judge(choice: JudgeChoice, *, max_memory: int | None = None) -> LanguageModel:
    """The judge's model. Raises ModelError if it cannot be read."""
    return open_model(choice.experiment, max_memory=max_memory)


class Watcher(Protocol):
    """Who is told how far it is, as a `Meter` is."""

    def response(self, usage: Usage, cached: bool) -> None:
        """See asking.cache.Observer."""
        ...

    def expects(self, requests: int) -> None:
        """See asking.cache.Observer."""
        ...

    def asks(self, conversations: int) -> None:
        """That many items wait for one call of the model."""
        ...

    def predicted(self, flags: tuple[str, ...]) -> None:
        """One more verdict is there."""
        ...


def grade(
    judge: Judge,
    items: Sequence[Item],
    model: LanguageModel,
    store: ResponseStore,
    watcher: Watcher | None = None,
    window: Window | None = None,
) -> list[Graded]:
    """A verdict an item, in order; what `store` knows is not asked again.

    Raises ConfigError where an item lacks what the judge needs.
    """
    if lacking := missing(judge, items):
        raise ConfigError(lacking)
    cached = CachedModel(model, store, observer=watcher)
    bench = Bench(model.tokenizer, model.context_length)
    found: dict[int, Graded] = {}
    paid: set[int] = set()

    def finished(talk: Conversation[int], outcome: Outcome) -> None:
        found[talk.tag] = Graded(verdict_of(outcome), talk.usage)
        if watcher is not None:
            watcher.predicted(outcome.flags)

    def talks() -> Iterator[Conversation[int]]:
        for at, item in enumerate(items):
            yield Conversation(at, as_solve(judge.grade(item, bench)), paid)

    asks = (lambda conversations: None) if watcher is None else watcher.asks
    converse(talks(), cached, window or Window(), finished, asks)
    return [found[at] for at in range(len(items))]
