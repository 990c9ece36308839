"""What every rung says of itself."""

from __future__ import annotations

from icl.protocols import Tokenizer


class Identity:
    """Name, tokenizer, limit and fingerprint, as LanguageModel has them."""

    def __init__(self, tokenizer: Tokenizer, *, name: str, context_length: int, fingerprint: str) -> None:
        self.tokenizer = tokenizer
        self.name = name
        self.context_length = context_length
        self.fingerprint = fingerprint
