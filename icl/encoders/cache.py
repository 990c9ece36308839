"""Embeddings that are computed once: in memory always, on disk where a folder is given."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icl.encoders.bertscore import no_tokens
from icl.errors import ConfigError
from icl.protocols import Encoder, TokenEncoder


class FingerprintedEncoder(Encoder, Protocol):
    """An encoder that can say when its vectors may have changed."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever a vector may change."""
        ...

    @property
    def source(self) -> str:
        """Where it came from, for the manifest."""
        ...


class CachedEncoder:
    """Wraps an encoder; a text is encoded once per (encoder fingerprint, text).

    With `folder`, vectors are kept in one SQLite file an encoder, so that processes can share it;
    a cache that cannot be written is an error, not a silent slow path.
    """

    def __init__(self, encoder: FingerprintedEncoder, folder: Path | str | None = None) -> None:
        self.encoder = encoder
        self.folder = Path(folder) if folder is not None else None
        self._rows: dict[str, NDArray[np.float32]] = {}

    @property
    def name(self) -> str:
        """The encoder's."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self.encoder.fingerprint

    @property
    def source(self) -> str:
        """The encoder's."""
        return self.encoder.source

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] unit rows, in the order of `texts`."""
        if not texts:
            return self.encoder.encode([])
        unknown = [text for text in dict.fromkeys(texts) if text not in self._rows]
        unknown = self._read(unknown)
        if unknown:
            rows = self.encoder.encode(unknown)
            self._rows.update(zip(unknown, rows, strict=True))
            self._write(unknown, rows)
        return np.stack([self._rows[text] for text in texts])

    def encode_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """As the encoder does; not kept. ConfigError where it has no vectors of tokens."""
        if not isinstance(self.encoder, TokenEncoder):
            raise ConfigError(no_tokens(self.name))
        return self.encoder.encode_tokens(texts)

    def _connect(self) -> sqlite3.Connection:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.blake2b(self.fingerprint.encode(), digest_size=8).hexdigest()
        connection = sqlite3.connect(self.folder / f"{name}.sqlite", timeout=60)
        connection.execute("create table if not exists rows (key blob primary key, row blob) without rowid")
        return connection

    def _read(self, texts: list[str]) -> list[str]:
        """Takes into memory what is on disk; returns the texts that are not."""
        if self.folder is None or not texts:
            return texts
        missing = []
        connection = self._connect()
        try:
            for text in texts:
                hit = connection.execute("select row from rows where key = ?", (_key(text),)).fetchone()
                if hit is None:
                    missing.append(text)
                else:
                    self._rows[text] = np.frombuffer(hit[0], dtype=np.float32)
        finally:
            connection.close()
        return missing

    def _write(self, texts: list[str], rows: NDArray[np.float32]) -> None:
        if self.folder is None:
            return
        connection = self._connect()
        try:
            with connection:
                connection.executemany(
                    "insert or ignore into rows values (?, ?)",
                    [(_key(text), row.tobytes()) for text, row in zip(texts, rows, strict=True)],
                )
        finally:
            connection.close()


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
