"""Where a stop string ends a text: at its first occurrence outside thinking blocks.

A model that thinks aloud leaves blank lines and questions in its block; its answer comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from icl.thinking import Markers, thinking_spans


def first_stop(text: str, stops: Sequence[str], opened: str = "", own: Markers = ()) -> int | None:
    """Position of the first stop string in `text` that no thinking block holds; None where there is none.

    opened: the mark by which the prompt opened a block, if it did (`icl.thinking.opened_by`). own: marks
    beside the known ones.
    """
    found = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found or not (opened or own or "<" in text or "[" in text or "◁" in text):
        return min(found, default=None)
    shift = len(opened)
    spans = [(start - shift, end - shift) for start, end in thinking_spans(opened + text, own)[0]]
    outside = [place for stop in stops if stop and (place := _outside(text, stop, spans)) is not None]
    return min(outside, default=None)


def _outside(text: str, stop: str, spans: Sequence[tuple[int, int]]) -> int | None:
    at = text.find(stop)
    while at >= 0:
        inside = [end for start, end in spans if start <= at < end]
        if not inside:
            return at
        at = text.find(stop, max(max(inside), at + 1))
    return None
