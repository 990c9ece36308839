"""The tiny model of `server.py` behind HTTP on loopback, with faults where it is told to have them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.backends.server import Behaviour, Refusal, Server


class _Handler(BaseHTTPRequestHandler):
    model: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: dict[str, Any]) -> None:
        model, does = self.model, self.model.does
        writes = self.path.endswith("/completions")
        with model.lock:
            model.headers.append({name.lower(): value for name, value in self.headers.items()})
            number = sum(path.endswith("/completions") for path, _ in model.asked)
            model.asked.append((self.path, dict(body)))
            model.at_once += 1
            model.most_at_once = max(model.most_at_once, model.at_once)
        try:
            self._answer(body, does.fault(number) if writes else "")
        finally:
            with model.lock:
                model.at_once -= 1

    def _answer(self, body: dict[str, Any], fault: str) -> None:
        model, does = self.model, self.model.does
        if does.key and self.headers.get("Authorization") != f"Bearer {does.key}":
            return self._send(
                401, {"error": {"message": f"Incorrect API key: {self.headers.get('Authorization')}"}}
            )
        if fault == "drop":
            self.connection.close()
            return None
        if fault == "slow":
            time.sleep(1.0)
        if fault.isdigit():
            extra = {"Retry-After": does.retry_after} if fault == "429" else {}
            return self._send(int(fault), {"error": {"message": f"a fault of {fault}"}}, extra)
        if fault == "shape":
            return self._send(200, {"choices": "none"})
        if fault == "llama.cpp":
            return self._send(200, {"content": " odd", "tokens_predicted": 1, "stop": True})
        try:
            found = model.answer(self.path, body)
        except Refusal as error:
            return self._send(
                error.args[0], {"error": {"message": error.args[1], "type": "invalid_request_error"}}
            )
        data = json.dumps(found).encode()
        if fault == "garbage":
            data = b"<html>\xff not JSON"
        if fault == "cut":
            self._begin(200, len(data))
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            return None
        if self.path.endswith("/completions") and fault in ("", "slow"):
            with model.lock:
                model.answered += 1
        self._begin(200, len(data))
        self.wfile.write(data)
        return None

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self._begin(status, len(data), headers)
        self.wfile.write(data)

    def _begin(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, address: object) -> None:
        """Clients that went away."""


@contextmanager
def serving(**does: Any) -> Iterator[Server]:
    """A server with this behaviour, on a free port of loopback."""
    model = Server(Behaviour(**does))
    handler = type("Handler", (_Handler,), {"model": model})
    http = _Quiet(("127.0.0.1", 0), handler)
    model.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
