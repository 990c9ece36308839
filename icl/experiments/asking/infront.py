"""What stands in front of a model - cache, meter, clock - goes by the model's own name and fingerprint."""

from __future__ import annotations

from icl.protocols import LanguageModel, Tokenizer


class InFront:
    """The identity of the model behind."""

    def __init__(self, behind: LanguageModel) -> None:
        self._behind = behind

    @property
    def name(self) -> str:
        """See LanguageModel."""
        return self._behind.name

    @property
    def tokenizer(self) -> Tokenizer:
        """See LanguageModel."""
        return self._behind.tokenizer

    @property
    def context_length(self) -> int:
        """See LanguageModel."""
        return self._behind.context_length

    @property
    def fingerprint(self) -> str:
        """See LanguageModel."""
        return self._behind.fingerprint
