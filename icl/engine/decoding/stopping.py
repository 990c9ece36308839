"""When a sample ends: an end-of-sequence token, a stop string, or the limit.

A stop string may be spread over tokens, and a character over several tokens too; the text is
therefore decoded from a few tokens back, and searched there.
"""

from __future__ import annotations

from icl.engine.requests.stops import first_stop
from icl.protocols import Tokenizer
from icl.thinking import opened_by
from icl.types import GenerateRequest, StopReason


class StopWatcher:
    """Follows one sample token by token."""

    def __init__(self, request: GenerateRequest, tokenizer: Tokenizer) -> None:
        self.request = request
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.reason: StopReason | None = None
        # a character takes at most four tokens (its bytes), so a stop string that the newest token
        # completes lies within this many tokens
        self._opened = _opened(request, tokenizer) if request.stop else ""
        self._window = 4 * max((len(s) for s in request.stop), default=0) + 8

    def push(self, token: int, logprob: float) -> StopReason | None:
        """Takes the next token; the reason to stop, or None to go on."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        if token in self.tokenizer.eos_ids and not self.request.ignore_eos:
            self.reason = "eos"
        elif self.request.stop and self._stop_found():
            self.reason = "stop"
        elif len(self.ids) >= self.request.max_tokens:
            self.reason = "length"
        return self.reason

    def _stop_found(self) -> bool:
        recent = self.tokenizer.decode(self.ids[-self._window :])
        if not any(stop in recent for stop in self.request.stop):
            return False
        # decoding from the middle can differ from decoding the whole (a leading space): ask the whole
        whole = self.tokenizer.decode(self.ids)
        return self._first(whole) is not None

    def _first(self, whole: str) -> int | None:
        return first_stop(whole, self.request.stop, self._opened, self.request.think)

    @property
    def text(self) -> str:
        """What was written, up to the first stop string, without special tokens."""
        ids = self.ids[:-1] if self.reason == "eos" else self.ids
        whole = self.tokenizer.decode(ids)
        return whole[: self._first(whole)]


_TAIL = 32
"""Tokens of a prompt that may hold the mark it ends with."""


def _opened(request: GenerateRequest, tokenizer: Tokenizer) -> str:
    prompt = request.prompt
    end = prompt if isinstance(prompt, str) else tokenizer.decode(prompt[-_TAIL:])
    return opened_by(end, request.think)
