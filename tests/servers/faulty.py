"""A proxy of the tests that answers wrongly at rates that are given, and counts what it was asked.

What happens to a request depends on the seed, on its content and on how often that content has come before:
neither the order of arrival nor the concurrency of the client changes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args
from typing import Literal as Choice

from tests.backends.server import Behaviour, Refusal, Server

from .loopback import Answered, Asked, Handler

Fault = Choice["429", "500", "503", "hang", "garbage", "shape", "cut", "drop"]
"""hang: no answer at all; garbage: 200 and no JSON; shape: JSON that is no completion; cut: half of the body;
drop: the connection ends before a byte."""
FORWARDED = ("content-type", "authorization")
ASKING = ("/completions", "/chat/completions")


@dataclass(frozen=True)
class Faults:
    """How often each kind happens to a request of completions, and what is changed besides."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    hang: float = 2.0
    """Seconds."""
    retry_after: str | None = None
    """The header of 429 and 503."""
    storm: int = 0
    """So many requests from the first on are answered 429, whatever they are."""
    dropped: tuple[str, ...] = ()
    """Parameters that never reach the server, in silence."""
    longer: int = 1
    """Times `max_tokens`."""
    model: str | None = None
    """The only model there is: others are 404."""
    key: str | None = None
    """The only key there is: others are 401."""
    everywhere: bool = False
    """Not only where text is asked for: the list of models and the tokeniser's calls too."""

    def __post_init__(self) -> None:
        assert set(self.rates) <= set(get_args(Fault)), self.rates
        assert sum(self.rates.values()) <= 1

    def drawn(self, content: str, attempt: int) -> Fault | None:
        """What happens the `attempt`-th time (from 0) that this content is asked."""
        digest = hashlib.blake2b(f"{self.seed}:{attempt}:{content}".encode(), digest_size=8).digest()
        left = int.from_bytes(digest, "little") / 2**64
        for kind, rate in self.rates.items():
            if left < rate:
                return kind
            left -= rate
        return None


@dataclass
class Ledger:
    """Every request for completions by content: what it was answered each time, in order. "ok": in full."""

    asked: dict[str, list[str]] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)
    """How often each authorization header came."""
    together: int = 0
    most_together: int = 0

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(outcome for outcomes in self.asked.values() for outcome in outcomes)

    @property
    def answered_twice(self) -> list[str]:
        return [content for content, outcomes in self.asked.items() if outcomes.count("ok") > 1]

    @property
    def never_answered(self) -> list[str]:
        return [content for content, outcomes in self.asked.items() if "ok" not in outcomes]

    @property
    def asked_after_an_answer(self) -> list[str]:
        return [c for c, outcomes in self.asked.items() if "ok" in outcomes and outcomes[-1] != "ok"]


class Proxy:
    """A handler for `Loopback` in front of `upstream`: a handler, or the address of a real server."""

    def __init__(self, upstream: Handler | str, faults: Faults = Faults()) -> None:
        self._upstream = forwarding(upstream) if isinstance(upstream, str) else upstream
        self.faults = faults
        self.ledger = Ledger()
        self._count = 0
        self._lock = threading.Lock()

    def begin(self, faults: Faults) -> Ledger:
        """From now on these faults, and an empty ledger; the one until now."""
        before, self.ledger = self.ledger, Ledger()
        self.faults, self._count = faults, 0
        return before

    async def __call__(self, asked: Asked) -> Answered:
        """The answer, right or wrong."""
        faults = self.faults
        said = asked.headers.get("authorization", "")
        self.ledger.keys[said] += 1
        if faults.key is not None and said != f"Bearer {faults.key}":
            return Answered.refused(401, "Incorrect API key provided", "invalid_api_key")
        if not asked.path.endswith(ASKING) and not faults.everywhere:
            return await self._upstream(asked)
        body = asked.json
        if faults.model is not None and body.get("model", faults.model) != faults.model:
            return Answered.refused(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        content = json.dumps([asked.path, body], sort_keys=True)
        with self._lock:
            history = self.ledger.asked.setdefault(content, [])
            self._count += 1
            fault = "429" if self._count <= faults.storm else faults.drawn(content, len(history))
            history.append(fault or "ok")
            self.ledger.together += 1
            self.ledger.most_together = max(self.ledger.most_together, self.ledger.together)
        try:
            return await self._answer(asked, body, fault)
        finally:
            self.ledger.together -= 1

    async def _answer(self, asked: Asked, body: dict[str, Any], fault: Fault | None) -> Answered:
        if fault in ("429", "503"):
            header = {} if self.faults.retry_after is None else {"Retry_After": self.faults.retry_after}
            return Answered.refused(int(fault), "try again later", "server_busy", **header)
        if fault == "500":
            return Answered.refused(500, "the server had an error", "server_error")
        if fault == "hang":
            return Answered(hang=self.faults.hang)
        if fault == "garbage":
            return Answered(200, b'{"choices": [{"te\xff\x00<html>', {"Content-Type": "application/json"})
        if fault == "shape":
            return Answered.of({"object": "text_completion", "choices": [{"index": 0}]})
        if fault == "drop":
            return Answered(hang=1e-3)
        answered = await self._upstream(replace(asked, body=json.dumps(self._changed(body)).encode()))
        return replace(answered, cut=len(answered.body) // 2) if fault == "cut" else answered

    def _changed(self, body: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in body.items() if name not in self.faults.dropped}
        for name in {"max_tokens", "max_completion_tokens"} & kept.keys():
            kept[name] *= self.faults.longer
        return kept


def made_up(**does: Any) -> Handler:
    """A handler that answers as the made-up model with this behaviour (`tests/backends/server.py`)."""
    server = Server(Behaviour(**does))

    async def handler(asked: Asked) -> Answered:
        try:
            return Answered.of(server.answer(asked.path, asked.json))
        except Refusal as error:
            return Answered.refused(*error.args)

    return handler


def forwarding(address: str) -> Handler:
    """A handler that asks a real server at `address` (http://host:port) and says what it said."""

    def ask(asked: Asked) -> Answered:
        request = urllib.request.Request(address + asked.path, asked.body or None, method=asked.method)
        for name in FORWARDED:
            if name in asked.headers:
                request.add_header(name, asked.headers[name])
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return Answered(reply.status, reply.read(), {"Content-Type": reply.headers["Content-Type"]})
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.read(), {"Content-Type": "application/json"})

    async def handler(asked: Asked) -> Answered:
        return await asyncio.to_thread(ask, asked)

    return handler
