"""Embeddings that are computed once: in memory always, on disk where a folder is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icl.database import Database
from icl.encoders.bertscore import no_tokens
from icl.errors import ConfigError
from icl.protocols import Encoder, TokenEncoder

UNIT = 1e-3
"""How far from 1 the length of a vector may be."""


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

    With `folder`, vectors are kept in one SQLite file an encoder, so that processes can share it
    (`icl.database`: a vector that is not the one that was written is computed again); a cache that
    cannot be written is an error (StorageError), not a silent slow path.
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
        if unknown and self.folder is None:
            self._rows.update(zip(unknown, self.encoder.encode(unknown), strict=True))
        elif unknown:
            with closing(self._kept()) as kept:
                self._from_disk(kept, unknown)
        return np.stack([self._rows[text] for text in texts])

    def encode_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """As the encoder does; not kept. ConfigError where it has no vectors of tokens."""
        if not isinstance(self.encoder, TokenEncoder):
            raise ConfigError(no_tokens(self.name))
        return self.encoder.encode_tokens(texts)

    def _kept(self) -> Database:
        assert self.folder is not None
        name = hashlib.blake2b(self.fingerprint.encode(), digest_size=8).hexdigest()
        return Database(self.folder / f"{name}.sqlite", "rows", "row", "embeddings cache")

    def _from_disk(self, kept: Database, texts: list[str]) -> None:
        """Takes into memory what is on disk; what is not is encoded and written."""
        keys = {_key(text): text for text in texts}
        for key, row in kept.get(list(keys)).items():
            vector = _vector(row)
            if vector is None:
                kept.distrust(key)
            else:
                self._rows[keys[key]] = vector
        missing = [text for text in texts if text not in self._rows]
        if missing:
            rows = self.encoder.encode(missing)
            self._rows.update(zip(missing, rows, strict=True))
            kept.put((_key(text), row.tobytes()) for text, row in zip(missing, rows, strict=True))


def _vector(row: object) -> NDArray[np.float32] | None:
    """A unit vector, or None: what older versions kept has no checksum of the time it was written."""
    if not isinstance(row, bytes) or not row or len(row) % 4:
        return None
    vector = np.frombuffer(row, dtype=np.float32)
    return vector if abs(float(np.linalg.norm(vector)) - 1.0) < UNIT else None


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
