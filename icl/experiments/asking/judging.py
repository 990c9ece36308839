"""Judges at work: their model opened, and many items graded side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from icl.backends import BACKENDS, SaysLabels
from icl.errors import ConfigError, IclError
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.models import check_models, open_model
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.file.config import Source
from icl.experiments.file.judges import JudgeChoice
from icl.judging import Bench, Item, Judge, Verdict, as_solve, missing, verdict_of
from icl.protocols import LanguageModel
from icl.types import Outcome, Usage


@dataclass(frozen=True, slots=True)
class Graded:
    """A verdict and what it cost."""

    verdict: Verdict
    usage: Usage


def check_judge(choice: JudgeChoice, source: Source) -> Judge:
    """The judge, if it can be built, its model found, and that model's labels scored as far as the judge goes
    by them. Loads no weights; asks a server what it gives. Raises ConfigError or ModelError in one line."""
    judge = choice.build()
    check_models(choice.experiment, source)
    named = choice.experiment.choice
    if judge.scores_labels and named.is_backend:
        model = BACKENDS.create(named.name, named.options)
        if isinstance(model, SaysLabels):
            try:
                model.check_labels()
            except IclError as error:
                other = "; or read: text, which goes by what is written" if _reads(judge) else ""
                raise ConfigError(
                    f"judge {choice.component.name!r} goes by log-probabilities of its labels: {error}. A "
                    "model of icl's own engine, of the vllm backend, or a server with logprobs "
                    f"works{other}"
                ) from error
    return judge


def _reads(judge: Judge) -> bool:
    return hasattr(judge, "read") and isinstance(judge.read, str)


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
