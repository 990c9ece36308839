"""The event loop on which requests run, beside whatever the caller's thread does."""

from __future__ import annotations

import asyncio
import threading
from functools import lru_cache
from typing import Any


def outcome(done: Any) -> BaseException | None:
    """How a coroutine on the loop ended: its error, or None."""
    if done.cancelled():
        return None
    error: BaseException | None = done.exception()
    return error


@lru_cache(maxsize=1)
def event_loop() -> asyncio.AbstractEventLoop:
    """One event loop a process, in a thread that ends with it."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="icl-openai", daemon=True).start()
    return loop
