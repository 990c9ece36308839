"""The model as it is while it is trained: asked through an engine, its tokens counted."""

from __future__ import annotations

from collections.abc import Sequence

from icl.errors import ConfigError
from icl.protocols import LanguageModel, OnGeneration, OnScores, Tokenizer, TuningResources
from icl.training import Network, Root, TrainingCost
from icl.types import GenerateRequest, Generation, ScoreRequest, Scores


class Counted:
    """A LanguageModel that counts what it is asked."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.tokens = 0
        """Prompts and continuations, each on its own."""
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """See LanguageModel."""
        return self._model.name

    @property
    def tokenizer(self) -> Tokenizer:
        """See LanguageModel."""
        return self._model.tokenizer

    @property
    def context_length(self) -> int:
        """See LanguageModel."""
        return self._model.context_length

    @property
    def fingerprint(self) -> str:
        """See LanguageModel."""
        return self._model.fingerprint

    @property
    def cost(self) -> TrainingCost:
        """As what was forwarded only."""
        return TrainingCost(tokens_validation=self.tokens, seconds=self.seconds)

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel."""
        found = self._model.score(requests, on_result)
        self._count(found)
        return found

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel."""
        found = self._model.generate(requests, on_result)
        self._count(found)
        return found

    def _count(self, found: Sequence[Scores] | Sequence[Generation]) -> None:
        self.tokens += sum(item.usage.tokens_flat for item in found)
        self.seconds += sum(item.usage.seconds for item in found)


def engine_of(resources: TuningResources, network: Network, root: Root | None = None) -> Counted:
    """An engine on a network. ConfigError where none can be made."""
    if resources.ask is None:
        raise ConfigError("this regime samples from the model, and no engine can be made here")
    model = resources.ask(network) if root is None else resources.ask(network, root)
    return Counted(model)


def fresh_network(resources: TuningResources) -> Network:
    """Another network from the files. ConfigError where there is none."""
    if resources.fresh is None:
        raise ConfigError("this regime needs a fresh network each round, and none can be made here")
    return resources.fresh()
