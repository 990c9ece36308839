"""A text as the model reads it: where its special tokens stand, those that the tokenizer adds too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from icl.engine.loading.tokenizer import HFTokenizer
from icl.protocols import Tokenizer


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of plain text, or one special token."""

    text: str
    special: bool = False
    added: bool = False
    """A special token that does not stand in the text: the tokenizer puts it there."""


def special_tokens(tokenizer: Tokenizer) -> Mapping[int, str]:
    """Id -> how it is written, of the tokens that are no text. None for a tokenizer without any."""
    if not isinstance(tokenizer, HFTokenizer):
        return {}
    added = tokenizer.tokenizer.added_tokens_decoder
    return {int(i): str(token.content) for i, token in added.items() if token.special}


def pieces(tokenizer: Tokenizer, text: str) -> tuple[list[Piece], int]:
    """The text cut at its special tokens, and its length in tokens. No character of it is lost."""
    ids = tokenizer.encode(text)
    special = special_tokens(tokenizer)
    found: list[Piece] = []
    cursor = 0
    for at, token in enumerate(ids):
        if token not in special:
            continue
        written = special[token]
        place = text.find(written, cursor)
        before = at == sum(piece.added for piece in found)  # nothing of the text has come yet
        if before and not text.lstrip().startswith(written):
            place = -1
        if at == len(ids) - 1 and not text.rstrip().endswith(written):
            place = -1
        if place < 0:
            found.append(Piece("" if before else text[cursor:]))
            cursor = cursor if before else len(text)
            found.append(Piece(written, special=True, added=True))
            continue
        found += [Piece(text[cursor:place]), Piece(written, special=True)]
        cursor = place + len(written)
    found.append(Piece(text[cursor:]))
    return [piece for piece in found if piece.text], len(ids)
