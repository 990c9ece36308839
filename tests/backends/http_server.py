"""The tiny model of `server.py` behind HTTP on loopback, with faults where it is told to have them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.backends.server import Behaviour, Refusal, Server
from tests.servers.loopback import Answered, Asked, Loopback


class _Api:
    """What the server answers to one request after another."""

    def __init__(self, model: Server) -> None:
        self._model = model

    async def __call__(self, asked: Asked) -> Answered:
        model = self._model
        with model.lock:
            model.headers.append(dict(asked.headers))
            number = sum(path.endswith("/completions") for path, _ in model.asked)
            model.asked.append((asked.path, dict(asked.json)))
            model.open += 1
            model.most_open = max(model.most_open, model.open)
        try:
            return await self._in_turn(asked, number)
        finally:
            with model.lock:
                model.open -= 1

    async def _in_turn(self, asked: Asked, number: int) -> Answered:
        model, writes = self._model, asked.path.endswith("/completions")
        fault = model.does.fault(number) if writes else ""
        if fault == "slow":  # who waits no longer is not counted as asking at once with others
            await asyncio.sleep(1.0)
        with model.lock:
            model.at_once += 1
            model.most_at_once = max(model.most_at_once, model.at_once)
        try:
            return await self._answer(asked, fault)
        finally:
            with model.lock:
                model.at_once -= 1

    async def _answer(self, asked: Asked, fault: str) -> Answered:
        does, key = self._model.does, asked.headers.get("authorization")
        if does.key and key != f"Bearer {does.key}":
            return Answered.refused(401, f"Incorrect API key: {key}")
        if fault == "drop":
            return Answered(hang=1e-3)
        if fault.isdigit():
            extra = {"Retry_After": does.retry_after} if fault == "429" else {}
            return Answered.refused(int(fault), f"a fault of {fault}", **extra)
        if fault == "shape":
            return Answered.of({"choices": "none"})
        if fault == "llama.cpp":
            return Answered.of({"content": " odd", "tokens_predicted": 1, "stop": True})
        try:
            found = await asyncio.to_thread(self._model.answer, asked.path, asked.json)
        except Refusal as error:
            return Answered.refused(error.args[0], error.args[1])
        said = Answered.of(found)
        if fault == "garbage":
            return replace(said, body=b"<html>\xff not JSON")
        if fault == "cut":
            return replace(said, cut=len(said.body) // 2)
        if asked.path.endswith("/completions"):
            with self._model.lock:
                self._model.answered += 1
        return said


@contextmanager
def serving(**does: Any) -> Iterator[Server]:
    """A server with this behaviour, on a free port of loopback."""
    model = Server(Behaviour(**does))
    with Loopback(_Api(model)) as server:
        model.url = f"{server.url}/v1"
        yield model
