"""How a row's answers were read out of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from icl.types import Prediction


@dataclass(frozen=True, slots=True)
class Extraction:
    """Answers that were read out of text: how many, and how sure that reading was."""

    read: int = 0
    unparsed: int = 0
    """No answer could be read, and the model did not say that it has none."""
    cut: int = 0
    """The answer, a chain or a decomposition ended at its token limit."""
    differ: int = 0
    """The first match, the last and the one after a trigger phrase are not all the same."""
    tied: int = 0
    """Votes that two answers won."""
    abstained: int = 0
    """The model said that it does not know."""
    thinking_tokens: int = 0
    """In thinking blocks, among those drawn."""

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> Extraction:
        """Of those predictions for which the model wrote a text."""
        read = [p for p in predictions if p.output]

        def count(ending: str) -> int:
            return sum(any(flag.endswith(ending) for flag in p.flags) for p in read)

        silent = [p for p in read if p.answer is None]
        abstained = sum(any(flag.endswith("abstained") for flag in p.flags) for p in silent)
        return cls(
            len(read),
            len(silent) - abstained,
            count("cut_by_length"),
            count("_disagree"),
            count("tied_vote"),
            abstained,
            sum(int(p.details.get("thinking_tokens") or 0) for p in read),
        )

    def __add__(self, other: Extraction) -> Extraction:
        return Extraction(*map(sum, zip(astuple(self), astuple(other), strict=True)))


NONE_READ = Extraction()
