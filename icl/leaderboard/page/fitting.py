"""A page that stays small: of a run with very many predictions, those of the first queries."""

from __future__ import annotations

from collections.abc import Callable

from icl.leaderboard.page.content import Content
from icl.leaderboard.page.document import page

ROOM = 0.9
"""Of what seems to be left: the first queries may have longer texts than the rest."""


def fitted(make: Callable[[int | None], Content], most: int | None) -> tuple[str, str]:
    """The page in at most `most` bytes (None: of any size), and what was left out of it in words ("").

    make: the content with the predictions of so many queries of each task (None: of all). What is no
    prediction is never left out, so that a page without any may still be larger.
    """
    whole = make(None)
    text = page(whole)
    size, count = len(text.encode()), int(whole.index["queries"])
    if most is None or size <= most or not count:
        return text, ""
    made = make(0)
    text = page(made)
    empty = len(text.encode())
    while most > empty and count > 1:
        count = min(max(int(ROOM * count * (most - empty) / (size - empty)), 1), count - 1)
        tried = make(count)
        page_tried = page(tried)
        size = len(page_tried.encode())
        if size <= most:
            made, text = tried, page_tried
            break
    return text, str(made.index["left_out"])
