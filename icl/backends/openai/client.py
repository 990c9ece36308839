"""Requests to the server: side by side up to a limit, tried again with growing pauses, within a deadline
and a budget. They run on an event loop of their own thread, and results come to the caller's thread one by
one."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from icl.backends.openai.answers import Garbled, OtherApi, error_text
from icl.backends.openai.budget import Budget
from icl.backends.openai.faults import (
    AGAIN,
    TOO_LONG,
    may_have_been_answered,
    never_arrived,
    retry_after,
)
from icl.backends.openai.loop import event_loop, outcome
from icl.backends.openai.settings import Settings
from icl.errors import ContextOverflow, IclError, ModelError, RequestError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

log = logging.getLogger("icl")
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds: the pause doubles from one to the other, and a random part of up to half is taken off."""
KNOCKS = 2
"""Times that a server which has not answered yet is tried again where no connection can be made."""
LONGEST_ASKED, SAID_FROM = 600.0, 10.0
"""Seconds that a server may ask to wait: from the second on it is said, beyond the first the session ends."""
STUMBLES = 3
"""Tries of one request from which on it is said that they fail."""


class Refused(RequestError):
    """The server answers that it will not do this (400, 422, 501): trying again changes nothing."""


class Client:
    """Asks one server. The key is read from the environment, given to the official client, and taken out of
    the words of others before they are repeated."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.budget = Budget.of(settings.budget)
        self.retried = 0
        self._key = settings.key()
        self._client: AsyncOpenAI | None = None
        self._until: float | None = None
        self._met = False
        self._pause_until = self._quiet_until = 0.0
        self._settled = asyncio.Event()

    def one(self, path: str, body: Mapping[str, Any] | None, read: Callable[[object], T]) -> T:
        """One request, outside the budget's account: what the server says of itself."""

        async def job() -> T:
            return await self.post(path, body, read)

        return next(self.run([job]))[1]

    def run(self, jobs: Sequence[Callable[[], Awaitable[T]]]) -> Generator[tuple[int, T], None, None]:
        """(index, result) of each as soon as it is there, in any order. Where one fails no other is begun;
        those under way come first, then the error is raised. Where the caller stops, all are given up at
        once."""
        arrived: SimpleQueue[tuple[int, T] | BaseException | None] = SimpleQueue()
        running = asyncio.run_coroutine_threadsafe(self._all(jobs, arrived.put), event_loop())
        running.add_done_callback(lambda done: arrived.put(outcome(done)))
        try:
            while True:
                item = arrived.get()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            running.cancel()

    async def _all(
        self, jobs: Sequence[Callable[[], Awaitable[T]]], put: Callable[[tuple[int, T]], None]
    ) -> None:
        if self.settings.deadline is not None and self._until is None:
            self._until = time.monotonic() + self.settings.deadline
        left = iter(range(len(jobs)))
        failed: list[BaseException] = []

        async def work() -> None:
            for index in left:
                if failed:
                    return
                try:
                    put((index, await jobs[index]()))
                except IclError as error:
                    failed.append(error)
                except Exception as error:  # a fault of ours: its words, and nothing that holds the key
                    failed.append(error)

        await asyncio.gather(*(work() for _ in range(min(self.settings.concurrency, len(jobs)))))
        if failed:
            raise failed[0]

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[object], T],
        *,
        worst: tuple[int, int] | None = None,
        took: Callable[[T], tuple[int, int]] = lambda answer: (0, 0),
    ) -> T:
        """`read` of the answer; without a body it is a GET. worst: tokens read and written at most, which the
        budget must hold; took: those that an answer took.

        Raises ModelError, Refused, ContextOverflow, each in one line with the address and what to do.
        """
        if worst is None:
            return await self._tried(path, body, read, None)
        await self._admit(worst)
        used = (0, 0)
        try:
            answer = await self._tried(path, body, read, worst)
            used = took(answer)
            return answer
        finally:
            self.budget.settle(worst, used)
            self._settled.set()

    async def _admit(self, worst: tuple[int, int]) -> None:
        """Waits until the budget has room for it, and takes it; raises where it never will."""
        while not self.budget.fits(*worst):
            if not self.budget.waiting:
                raise self.budget.spent()
            self._settled.clear()
            await self._settled.wait()
        self.budget.hold(*worst)

    async def _tried(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[object], T],
        worst: tuple[int, int] | None,
    ) -> T:
        for attempt in range(self.settings.retries + 1):
            await self._wait_for_turn()
            try:
                came = await self._once(path, body)
                self._met = True
                return read(came)
            except (IclError, asyncio.CancelledError):
                raise
            except Exception as error:
                self._met = self._met or not never_arrived(error)
                if worst is not None and may_have_been_answered(error):
                    self.budget.lose(worst)
                fault, pause = self._fault(error, path, attempt)
                if pause is None:
                    raise fault from None  # the cause may hold headers
                if attempt == self.settings.retries or (attempt >= KNOCKS and not self._met):
                    raise self._gave_up(fault, attempt) from None
                if worst is not None and not self.budget.fits(0, 0):
                    raise self.budget.spent() from None
                self.retried += 1
                self._tell(fault, attempt)
                await self._sleep(pause, fault)
        raise AssertionError("a request is answered or raises")

    def _tell(self, fault: IclError, attempt: int) -> None:
        """That requests fail, where it is more than a stumble; once in a while."""
        if attempt + 1 >= STUMBLES and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + SAID_FROM
            log.warning("%s; tried %d times, goes on trying", fault, attempt + 1)

    async def _once(self, path: str, body: Mapping[str, Any] | None) -> object:
        client = self._official()
        timeout = self.settings.timeout
        if self._until is not None:
            timeout = max(min(timeout, self._until - time.monotonic()), 0.01)
        async with asyncio.timeout(timeout):
            if body is None:
                return await client.get(path, cast_to=object)
            return await client.post(path, cast_to=object, body=dict(body))

    def _official(self) -> AsyncOpenAI:
        if self._client is None:
            import openai

            self._client = openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self.settings.base_url,
                max_retries=0,
                timeout=self.settings.timeout,
            )
        return self._client

    async def _wait_for_turn(self) -> None:
        """Everybody pauses when the server has said to one that it is too much."""
        pause = self._pause_until - time.monotonic()
        if pause > 0:
            await self._sleep(pause * random.uniform(1.0, 1.2), None)
        if self._until is not None and time.monotonic() >= self._until:
            raise self._too_late("")

    async def _sleep(self, pause: float, fault: IclError | None) -> None:
        if self._until is not None and time.monotonic() + pause >= self._until:
            raise self._too_late(f" The last answer: {fault}." if fault else "")
        await asyncio.sleep(pause)

    def _too_late(self, why: str) -> ModelError:
        return ModelError(
            f"{self.settings.base_url}: the deadline of {self.settings.deadline:g} s for a session has "
            f"passed.{why} What came back is kept; the same command goes on"
        )

    def _gave_up(self, fault: IclError, attempt: int) -> ModelError:
        tries = f"{attempt + 1} tries" if attempt else "1 try"
        return ModelError(
            f"{fault} ({tries}). What came back is kept; the same command goes on. Is the server up? "
            "More patience: retries, timeout; fewer at once: concurrency"
        )

    def _fault(self, error: Exception, path: str, attempt: int) -> tuple[IclError, float | None]:
        """What went wrong in one line, and the seconds to wait before it is tried again (None: it is not)."""
        import openai

        at = self.settings.base_url
        pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        if isinstance(error, openai.APIStatusError):
            return self._status_fault(error, path, pause)
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return ModelError(f"{at}: no answer within {self.settings.timeout:g} s"), pause
        if isinstance(error, openai.APIConnectionError):
            why = self._clean(str(error.__cause__ or error) or type(error.__cause__).__name__)
            return ModelError(f"{at}: no connection, or one that broke off ({why})"), pause
        if isinstance(error, Garbled):
            fault = ModelError(f"{at}: {self._clean(str(error))}")
            return fault, None if isinstance(error, OtherApi) else pause
        if isinstance(error, UnicodeEncodeError):
            return RequestError(f"{at}: a text holds half of a surrogate pair, which cannot be sent"), None
        if isinstance(error, ValueError | openai.APIError):
            return ModelError(f"{at}: an answer that is no JSON"), pause
        return ModelError(f"{at}: {type(error).__name__}: {self._clean(str(error))}"), None

    def _status_fault(self, error: Any, path: str, pause: float) -> tuple[IclError, float | None]:
        at, status = self.settings.base_url, error.status_code
        said = self._clean(error_text(error.body if error.body is not None else error.message))
        if status in (401, 403):
            # a server may repeat the key, or part of it: its words are left out
            name = self.settings.api_key_env or "OPENAI_API_KEY"
            has = "refuses the key in" if self._key else "wants a key and finds none in"
            return ModelError(f"{at}: the server {has} the environment variable {name} ({status})"), None
        if status == 404:
            return Refused(
                f"{at}: nothing at {path}, or no model {self.settings.model!r} (404: {said})"
            ), None
        if status == 429 and getattr(error, "code", None) == "insufficient_quota":
            return ModelError(f"{at}: the account has no quota left (429: {said})"), None
        if status in AGAIN or (status >= 500 and status != 501):
            asked = retry_after(error.response.headers)
            if asked is not None:
                if asked > LONGEST_ASKED:
                    return ModelError(
                        f"{at}: answers {status} ({said}) and asks to wait {asked:,.0f} s; a session waits "
                        f"{LONGEST_ASKED:.0f} s at most. What came back is kept; the same command goes on"
                    ), None
                pause = max(pause, asked)
                if status in (429, 503):
                    self._all_wait(asked)
            return ModelError(f"{at}: answers {status} ({said})"), pause
        if any(words in said.lower() for words in TOO_LONG):
            return ContextOverflow(
                f"{at}: a request is too long for the server ({said}). Give its context_length, or use fewer "
                "or shorter demonstrations"
            ), None
        return Refused(f"{at}: refuses a request ({status}: {said})"), None

    def _all_wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        if seconds >= SAID_FROM and until > self._pause_until + 1.0:
            log.warning("%s: asks to wait %.0f s", self.settings.base_url, seconds)
        self._pause_until = max(self._pause_until, until)

    def _clean(self, text: str) -> str:
        """Words of others, in one line and without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:300]

    def __repr__(self) -> str:
        return f"Client({self.settings.base_url})"

    def __getstate__(self) -> None:
        raise TypeError("a client holds a key and is made anew where it is needed")
