"""Numbers that are not finite: an error that names the request they belong to.

Rows of a chunk share products in which what a row may not see has weight 0; but 0 times NaN is NaN, so
one broken request breaks its neighbours too. Which one it was is found by running them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from icl.errors import ModelError
from icl.types import Text

MOST_TRIED = 256
"""Requests that are run alone at most before the error is raised as it is."""

HINT = "the weights are damaged, or the precision overflows (float16 does: try dtype: float32)"
R = TypeVar("R")


class NotFinite(ModelError):
    """`which`: the request in words ("score request 3"); `what`: what was not finite."""

    def __init__(self, which: str, what: str) -> None:
        super().__init__(f"{which}: {what}; {HINT}")
        self.what = what


def shortened(prompt: Text, length: int = 60) -> str:
    """The end of a prompt, for an error message: the beginnings of prompts are alike."""
    return f"{'...' * (len(prompt) > length)}{prompt[-length:]!r}"


def blame(error: NotFinite, kind: str, requests: Sequence[R], run: Callable[[list[R]], object]) -> NotFinite:
    """The error of the first request that fails alone too; `error` where none of those tried does."""
    for index, request in enumerate(requests[:MOST_TRIED]):
        try:
            run([request])
        except NotFinite as own:
            return NotFinite(f"{kind} request {index}", own.what)
    return error
