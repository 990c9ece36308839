"""The special tokens that a tokenizer puts around a text, and a text that has some of them already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icl.errors import ModelError
from icl.types import TokenIds

PROBES = ("a", "the", "1", "x y")


@dataclass(frozen=True, slots=True)
class Wrapping:
    """Ids that a tokenizer adds before and after every text. Those after it are not for prompts: a model that
    is to go on must not read that the text has ended."""

    before: TokenIds
    after: TokenIds

    def begin(self, body: TokenIds, late: bool = False) -> TokenIds:
        """`body` with what belongs before it, once: a chat template may have written all or some of it.

        late: the text has its beginning after a line break or spaces, so that nothing is added.
        """
        size = len(self.before)
        if late or not size or body[:size] == self.before:
            return body
        for kept in range(size - 1, 0, -1):
            if body[:kept] == self.before[-kept:]:  # the last of them are there
                return self.before[: size - kept] + body
            if body[:kept] == self.before[:kept]:  # the first of them are
                return self.before + body[kept:]
        return self.before + body


def wrapping(plain: Callable[[str], Sequence[int]], wrapped: Callable[[str], Sequence[int]]) -> Wrapping:
    """What `wrapped` adds to the ids of `plain`, found by trying.

    Raises ModelError for a tokenizer whose own ids change with what it adds.
    """
    for probe in PROBES:
        inner, whole = tuple(plain(probe)), tuple(wrapped(probe))
        places = [
            at for at in range(len(whole) - len(inner) + 1) if inner and whole[at : at + len(inner)] == inner
        ]
        if len(places) == 1:
            return Wrapping(whole[: places[0]], whole[places[0] + len(inner) :])
    raise ModelError("what the tokenizer adds before and after a text cannot be told from the text itself")
