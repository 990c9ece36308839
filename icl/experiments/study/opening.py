"""The decoder that a study looks at: the network, and an engine on it that is made when it is asked for."""

from __future__ import annotations

from functools import cache

from icl.engine.loading.load import engine_on, open_network
from icl.experiments.file.config import Experiment
from icl.mechanism.contract import Decoder
from icl.protocols import LanguageModel


def open_decoder(model: Experiment, *, max_memory: int | None = None) -> Decoder:
    """Loads the weights. Raises ModelError where they cannot be read."""
    opened = open_network(
        model.choice.name,
        dtype=model.dtype,
        context_length=model.context_length,
    )

    @cache
    def engine() -> LanguageModel:
        return engine_on(
            opened.network,
            opened.tokenizer,
            name=opened.name,
            context_length=opened.context_length,
            fingerprint=opened.fingerprint,
            max_memory=max_memory,
            batch_invariant=model.batch_invariant,
            engine=model.engine,
        )

    return Decoder(
        opened.name,
        opened.network,
        opened.tokenizer,
        engine,
        opened.fingerprint,
        opened.context_length,
    )
