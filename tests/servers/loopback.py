"""A small HTTP/1.1 server on loopback, in a thread of its own, that may also answer wrongly on purpose."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

MOST_BODY = 1 << 24


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Answered:
    """What goes back. `cut`: the connection ends after so many bytes of the body; `hang`: seconds before it
    ends without a word."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: float = 0.0

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Self:
        """JSON; an underscore in the name of a header stands for a hyphen."""
        said = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **said})

    @classmethod
    def refused(cls, status: int, message: str, kind: str = "invalid_request_error", **headers: str) -> Self:
        """An error in the words of the OpenAI API."""
        return cls.of({"error": {"message": message, "type": kind, "code": status}}, status, **headers)


Handler = Callable[[Asked], Awaitable[Answered]]


class Loopback:
    """Serves `handler` at `url` within the `with` block."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the server of the test did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while (asked := await _read(reader)) is not None:
                answered = await self._handler(asked)
                if answered.hang:
                    await asyncio.sleep(answered.hang)
                    break
                await _write(writer, answered)
                if answered.cut is not None:
                    break
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    """The next request of a connection; None where it has ended."""
    first = await reader.readline()
    if not first.strip():
        return None
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    assert length <= MOST_BODY, f"a body of {length} bytes"
    return Asked(method, path, headers, await reader.readexactly(length))


async def _write(writer: asyncio.StreamWriter, answered: Answered) -> None:
    lines = [f"HTTP/1.1 {answered.status} -", f"Content-Length: {len(answered.body)}"]
    lines += [f"{name}: {value}" for name, value in answered.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answered.body[: answered.cut])
    await writer.drain()
    if answered.cut is not None:
        writer.close()
        await writer.wait_closed()
