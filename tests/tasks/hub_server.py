"""A hub on this machine: the answers of the Hugging Face hub for the repositories of a folder.

Only what `datasets` and `huggingface_hub` ask to list and download the files of a data set, over HTTP.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "c0ffee" * 6 + "c0ff"


@contextmanager
def hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves <root>/<owner>/<name>/... Yields the endpoint and the list of paths that were asked for."""
    asked: list[str] = []

    class Handler(_Handler):
        folder = root
        log = asked

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    log: list[str]

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.log.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), parts[4:])
        elif parts[:1] == ["datasets"] and parts[3:4] == ["resolve"]:
            self._file(self.folder / parts[1] / parts[2] / "/".join(parts[5:]))
        else:
            self._missing("RepoNotFound")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = json.loads(body) if body.startswith("{") else parse_qs(body)
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        repository = "/".join(parts[2:4])
        wanted = given["paths"]
        self._json([entry for entry in self._entries(repository) if entry["path"] in wanted])

    def _entries(self, repository: str) -> list[dict[str, Any]]:
        """Folders and files below the repository."""
        root = self.folder / repository
        found = []
        for path in sorted(root.rglob("*")):
            kind = "directory" if path.is_dir() else "file"
            size = path.stat().st_size if path.is_file() else 0
            oid = hashlib.sha1(path.as_posix().encode()).hexdigest()
            found.append({"type": kind, "oid": oid, "size": size, "path": path.relative_to(root).as_posix()})
        return found

    def _api(self, repository: str, rest: list[str]) -> None:
        if not (self.folder / repository).is_dir():
            self._missing("RepoNotFound")
        elif rest[:1] == ["tree"]:
            below = "/".join(rest[2:])
            recursive = "recursive=true" in self.path.lower()
            inside = [
                e for e in self._entries(repository) if e["path"].startswith(f"{below}/" if below else "")
            ]
            depth = below.count("/") + bool(below)
            self._json([e for e in inside if recursive or e["path"].count("/") == depth])
        else:
            files = [e["path"] for e in self._entries(repository) if e["type"] == "file"]
            siblings = [{"rfilename": name} for name in files]
            self._json({"id": repository, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._missing("EntryNotFound")
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()
