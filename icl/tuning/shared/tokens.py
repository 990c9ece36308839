"""Training rows as token ids, with the seam between prompt and completion found on the joint tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.protocols import Tokenizer
from icl.training import TrainingRow
from icl.types import TokenIds


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A text as ids; those from `start` on are learned, each from all before it. 1 <= start < len(ids)."""

    ids: TokenIds
    start: int
    row: TrainingRow

    @property
    def learned(self) -> int:
        """Tokens that the loss counts."""
        return len(self.ids) - self.start


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Rows that can be trained on, and how many cannot."""

    rows: tuple[TokenRow, ...]
    too_long: int = 0
    """Longer than the limit: left out, never cut."""
    empty: int = 0
    """Without a token to learn, or without one before it."""

    @property
    def notes(self) -> dict[str, int]:
        """What was left out, if anything."""
        found = {"rows_too_long": self.too_long, "rows_without_completion": self.empty}
        return {key: count for key, count in found.items() if count}


def tokenised(rows: Sequence[TrainingRow], tokenizer: Tokenizer, limit: int) -> Tokenised:
    """Rows as ids. Prompt and completion are tokenised as one string, and what is learned begins where
    its ids leave those of the prompt alone: tokens merge across the seam, so counting the prompt's own
    ids would be wrong by one there. limit: tokens of the longest text."""
    made, too_long, empty = [], 0, 0
    for row in rows:
        ids = tokenizer.encode(row.prompt + row.completion)
        start = seam(tokenizer.encode(row.prompt), ids)
        if not row.prompt:  # plain text: all is learned but a first token that nothing stands before
            start = max(start, 1)
        if len(ids) > limit:
            too_long += 1
        elif not 1 <= start < len(ids):
            empty += 1
        else:
            made.append(TokenRow(ids, start, row))
    return Tokenised(tuple(made), too_long, empty)


def seam(prompt: TokenIds, whole: TokenIds) -> int:
    """Length of the common beginning."""
    for at, (one, other) in enumerate(zip(prompt, whole, strict=False)):
        if one != other:
            return at
    return min(len(prompt), len(whole))
