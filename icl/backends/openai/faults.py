"""What can be told from a request that went wrong."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping

TOO_LONG = (
    "context length",
    "context size",
    "context_length",
    "maximum context",
    "exceed_context",
    "too long",
)
"""Words by which servers say that a request is longer than their context."""
AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 that are worth another try."""


def may_have_been_answered(error: Exception) -> bool:
    """Whether a server may have written, and billed, what did not arrive here."""
    import openai

    return not isinstance(error, openai.APIStatusError) and not never_arrived(error)


def never_arrived(error: Exception) -> bool:
    """Whether no connection could be made at all."""
    import openai

    if not isinstance(error, openai.APIConnectionError) or isinstance(error, openai.APITimeoutError):
        return False
    return "Connect" in type(error.__cause__).__name__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds: a number, a date, or OpenAI's milliseconds."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
            return None if math.isnan(seconds) else max(seconds, 0.0)
        except ValueError:
            when = email.utils.parsedate_tz(value)
            if when is not None:
                return max(email.utils.mktime_tz(when) - time.time(), 0.0)
    return None
