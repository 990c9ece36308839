"""The model of an experiment in the workers of an executor."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from icl.errors import ConfigError, IclError, ModelError
from icl.executors.contract import Executor, Opener, executors
from icl.executors.pool import PooledModel
from icl.executors.team import Team
from icl.experiments.asking.models import files_needed, open_model, open_tokenizer
from icl.experiments.file.config import Experiment, Source
from icl.protocols import LanguageModel, Tokenizer

IN_A_WORKER = frozenset({"fake"})
"""Backends that compute in the process that opens them. Servers take many requests at once as they are."""
FREE_SHARE = 0.5
"""Of the free memory that engines may use, as one engine does."""


@dataclass(frozen=True, slots=True)
class OpenModel:
    """Opens the untuned model in a worker."""

    experiment: Experiment
    """Of one model."""
    memory: int | None
    """See `memory_of`."""

    @property
    def needs(self) -> tuple[str, ...]:
        """See icl.executors.carrying.Needing."""
        return files_needed(self.experiment)

    def open(self) -> LanguageModel:
        """Raises ModelError."""
        return open_model(self.experiment, max_memory=self.memory)


def executor_of(experiment: Experiment, source: Source) -> Executor | None:
    """The executor that the experiment names, built and looked at; None for the process of the run.

    Raises ConfigError, with the file's line or the option.
    """
    named = experiment.executor
    if named is None:
        return None
    try:
        built = executors.create(named.name, named.parameters)
        built.check()
    except IclError as error:
        raise _refused(source, str(error).removeprefix("executor ")) from error
    for choice in experiment.models:
        if choice.is_backend and choice.name not in IN_A_WORKER:
            raise _refused(
                source,
                f"{named.name!r} opens the model in its workers, and {choice.label!r} is asked through the "
                f"backend {choice.name!r}, which takes many requests at once by itself: leave executor out",
            )
    return built


def _refused(source: Source, what: str) -> ConfigError:
    """At the option, in the file or beside it, that it is about."""
    options = [path for path in source.lines if path[:1] == ("executor",) and len(path) == 3]
    path = next((path for path in options if f" {path[2]} is " in what), ("executor",))
    place = source.where(path)
    return ConfigError(f"{place}: {what}" if place == "--executor" else f"{place}: executor: {what}")


def refuse_given(experiment: Experiment, source: Source) -> None:
    """ConfigError where a model that is loaded in this process would have to be in others."""
    if experiment.executor is not None:
        raise _refused(
            source,
            f"{experiment.executor.name!r} opens the model in its workers, and one is given to the run "
            "(model=...), which is in this process: leave one of them out",
        )


def team_of(experiment: Experiment, source: Source) -> Team | None:
    """Workers for a session, none of them started yet. Raises as `executor_of`."""
    built = executor_of(experiment, source)
    return None if built is None or experiment.executor is None else Team(experiment.executor.name, built)


def memory_of(team: Team, limit: int | None) -> int | None:
    """Bytes that the engine of each worker may use: those of one machine have `limit` together, by default
    half of what is free; on other machines each has it."""
    if not team.executor.one_machine or not team.workers:
        return limit
    return int(psutil.virtual_memory().available * FREE_SHARE if limit is None else limit) // team.workers


def pooled(team: Team, experiment: Experiment, opener: Opener) -> PooledModel:
    """The model that `opener` opens, in all workers. experiment: of one model. Raises IclError."""
    return PooledModel(team, hold(team, experiment, opener))


def hold(team: Team, experiment: Experiment, opener: Opener, most: int | None = None) -> Tokenizer:
    """All workers, or so many, open something of a model whose tokenizer, that here, is returned. Raises
    IclError."""
    tokenizer = open_tokenizer(
        experiment
    ).tokenizer  # also brings the files to this machine, once for all workers
    team.hold(opener, most)
    if team.facts.tokenizer != tokenizer.fingerprint:
        raise ModelError(
            f"the tokenizer of {experiment.model_label} on {team.facts.place} is not the one here: the "
            "model's files differ"
        )
    return tokenizer
