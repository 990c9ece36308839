"""The page over a folder of runs, served on this machine's own address while they grow. It only reads.

Nobody without the token in its address is answered, no other site's script (Host, Origin and Sec-Fetch-Site
are looked at), and nothing but GET and HEAD.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from icl.errors import ConfigError, IclError
from icl.leaderboard.page.document import document, policy
from icl.leaderboard.page.live import Runs
from icl.leaderboard.page.packing import to_json

HOST = "127.0.0.1"
JSON, HTML, BYTES = "application/json", "text/html; charset=utf-8", "application/octet-stream"


class PageServer(ThreadingHTTPServer):
    """Serves `runs` at `url`. Raises ConfigError where the port cannot be had."""

    daemon_threads = True

    def __init__(self, runs: Runs, port: int = 0, token: str | None = None) -> None:
        self.runs = runs
        self.token = token or secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            said = "is in use" if in_use else f"cannot be had ({error.strerror})"
            raise ConfigError(f"--port: {port} {said}; name another, or 0 for any that is free") from error
        except OverflowError as error:
            raise ConfigError(f"--port: {port} is no port; allowed: 0 to 65535") from error

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """With the token: who has it reads the runs."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    @property
    def names(self) -> frozenset[str]:
        """What a browser may call this server."""
        return frozenset(f"{host}:{self.port}" for host in (HOST, "localhost"))


class Handler(BaseHTTPRequestHandler):
    """Answers one request: /TOKEN/ lists the runs, /TOKEN/run/NAME/ is the page of one."""

    server: PageServer
    server_version = "icl"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers, or refuses with a reason that tells nothing about the runs."""
        refused = self._refused()
        if refused:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", refused.encode())
            return
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.split("/")][2:]
        try:
            found = self._answer(parts, address.query)
        except (IclError, OSError) as error:
            self._send(HTTPStatus.CONFLICT, "text/plain; charset=utf-8", f"icl: error: {error}\n".encode())
            return
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is nothing at this address\n")
        else:
            self._send(HTTPStatus.OK, *found)

    do_HEAD = do_GET

    def _refused(self) -> str:
        """Why this request is not answered, or ""."""
        names = self.server.names
        if self.headers.get("Host") not in names:
            return "refused: another host name\n"
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{name}" for name in names}:
            return "refused: from another site\n"
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "refused: from another site\n"
        given = urlsplit(self.path).path.split("/")
        token = given[1] if len(given) > 1 else ""
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return "refused: the address lacks its token\n"
        return ""

    def _answer(self, parts: list[str], query: str) -> tuple[str, bytes] | None:
        runs = self.server.runs
        match parts:
            case [""]:
                return _page(runs.overview())
            case ["state"]:
                return _json(runs.state())
            case ["index"]:
                return _json(runs.overview())
            case ["run", name, ""] if name in runs.names():
                return _page(runs.index(name))
            case ["run", name, "state"] if name in runs.names():
                return _json(runs.state(name))
            case ["run", name, "index"] if name in runs.names():
                return _json(runs.index(name))
            case ["run", name, "block", block] if name in runs.names():
                held = runs.block(name, query.removeprefix("v="), block)
                return None if held is None else (BYTES, held)
        return None

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": f"{policy(served=True)}; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the address holds the token."""


def _page(index: Mapping[str, Any]) -> tuple[str, bytes]:
    return HTML, document(str(index["title"]), index, {}, served=True).encode()


def _json(value: Any) -> tuple[str, bytes]:
    return JSON, to_json(value).encode()
