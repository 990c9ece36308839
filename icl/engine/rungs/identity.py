"""What every rung says of itself, and what it may be asked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from icl.engine.requests.encoding import EncodedScore, Limits, encode_prompts, encode_scores
from icl.engine.rungs.root import PlantedRoot
from icl.engine.trunks.watch import Watch, digest
from icl.protocols import Tokenizer
from icl.training import Root
from icl.types import GenerateRequest, ScoreRequest, TokenIds

log = logging.getLogger("icl")


class Identity:
    """Name, tokenizer, limits and fingerprint, as LanguageModel has them, of a transformers model.

    Where that is changed in place, by training or adapters, the fingerprint becomes another: answers of
    the old weights are not those of the new. What stands before every text (root) is part of the model: its
    positions are taken off `context_length`.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Tokenizer,
        *,
        name: str,
        context_length: int,
        fingerprint: str,
        root: Root | None = None,
    ) -> None:
        self.root = None if root is None else PlantedRoot(root, network, context_length)
        self.tokenizer = tokenizer
        self.name = name
        self.context_length = context_length - self.root_length
        self.vocabulary = vocabulary_of(network)
        self._network = network
        self._loaded = fingerprint
        self._fingerprint = fingerprint if self.root is None else f"{fingerprint}-{self.root.digest()}"
        self._watch = Watch(network, [] if self.root is None else self.root.tensors)

    @property
    def fingerprint(self) -> str:
        """See LanguageModel. Looks at the weights, so read it once a call and not once a request."""
        if self._watch.changed():
            before = "" if self.root is None else f"-{self.root.digest()}"
            self._fingerprint = f"{self._loaded}-{digest(self._network)}{before}"
            log.warning("the weights or adapters of %s have changed since it was loaded", self.name)
        return self._fingerprint

    @property
    def root_length(self) -> int:
        """Positions that stand before every text."""
        return 0 if self.root is None else self.root.length

    @property
    def root_forwarded(self) -> int:
        """Tokens that a plain engine forwards before every text."""
        return 0 if self.root is None else self.root.forwarded

    @property
    def limits(self) -> Limits:
        """What requests are held to."""
        return Limits(self.vocabulary, self.context_length, self.name)

    def encoded_scores(self, requests: Sequence[ScoreRequest]) -> list[EncodedScore]:
        """The requests in ids. RequestError or ContextOverflow for the first that cannot be answered."""
        return encode_scores(self.tokenizer, requests, self.limits)

    def encoded_prompts(self, requests: Sequence[GenerateRequest]) -> list[TokenIds]:
        """Their prompts in ids. RequestError or ContextOverflow for the first that cannot be answered."""
        return encode_prompts(self.tokenizer, requests, self.limits)


def vocabulary_of(network: Any) -> int:
    """How many ids a model can read: rows of its embeddings, or what its configuration says."""
    weight = getattr(network.get_input_embeddings(), "weight", None)
    rows = weight.shape[0] if weight is not None and weight.ndim == 2 else 0
    return int(rows or network.config.get_text_config().vocab_size)
