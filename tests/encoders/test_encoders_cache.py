"""Every text is encoded once, in memory and across processes' caches."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icl.database import checksum
from icl.encoders.cache import CachedEncoder
from icl.encoders.hashed import HashEncoder


class Counting(HashEncoder):
    """Remembers what it was asked to encode."""

    def __init__(self, dimension: int = 16) -> None:
        super().__init__(dimension)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return super().encode(texts)


def test_memory_encodes_a_text_once_and_keeps_the_order() -> None:
    inner = Counting()
    cached = CachedEncoder(inner)
    rows = cached.encode(["b", "a", "b"])
    again = cached.encode(["a", "c"])
    assert inner.asked == ["b", "a", "c"]
    np.testing.assert_array_equal(rows, HashEncoder(16).encode(["b", "a", "b"]))
    np.testing.assert_array_equal(again, HashEncoder(16).encode(["a", "c"]))
    assert cached.encode([]).shape == (0, 16)


def test_disk_cache_serves_a_new_process(tmp_path: Path) -> None:
    first = CachedEncoder(Counting(), tmp_path / "cache").encode(["a", "b"])
    inner = Counting()
    second = CachedEncoder(inner, tmp_path / "cache").encode(["b", "a", "c"])
    assert inner.asked == ["c"]
    np.testing.assert_array_equal(second[:2], first[::-1])


def test_another_fingerprint_never_reads_the_same_rows(tmp_path: Path) -> None:
    CachedEncoder(Counting(16), tmp_path).encode(["a"])
    inner = Counting(32)
    assert CachedEncoder(inner, tmp_path).encode(["a"]).shape == (1, 32)
    assert inner.asked == ["a"]


def test_altered_and_strange_rows_are_computed_again(tmp_path: Path) -> None:
    right = CachedEncoder(Counting(), tmp_path).encode(["a", "b", "c"])
    (file,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(file) as db:
        rows = dict(db.execute("SELECT key, row FROM rows"))
        first, second, _ = rows
        db.execute("UPDATE rows SET row = ? WHERE key = ?", (rows[second], first))
        long = np.full(16, 9.0, dtype=np.float32).tobytes()
        db.execute(
            "UPDATE rows SET row = ?, digest = ? WHERE key = ?", (long, checksum(second, long), second)
        )
    db.close()
    for asked in (2, 0):
        inner = Counting()
        np.testing.assert_array_equal(CachedEncoder(inner, tmp_path).encode(["a", "b", "c"]), right)
        assert len(inner.asked) == asked
