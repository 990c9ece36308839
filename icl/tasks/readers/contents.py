"""The bytes of a file, unpacked, and its text."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from icl.errors import DataError
from icl.printable import shortened
from icl.tasks.values import first_line


def _zstd(content: bytes) -> bytes:
    import pyarrow

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(content), "zstd") as stream:
        unpacked: bytes = stream.read()
    return unpacked


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": _zstd,
}


def suffixes(name: str) -> tuple[str, str]:
    """The suffix of what a file holds and that of how it is packed: "a.jsonl.gz" -> (".jsonl", ".gz")."""
    path = Path(name.lower())
    if path.suffix in PACKED:
        return Path(path.stem).suffix, path.suffix
    return path.suffix, ""


def read_bytes(path: Path) -> bytes:
    """What the file holds, unpacked. DataError where it is missing, no file, not readable or damaged."""
    # os.path says no of names that are too long for the system, where a Path raises
    if os.path.isdir(path):
        raise DataError(f"data file {path} is a folder; name its files, 'folder/*.jsonl' for several")
    if not os.path.exists(path):
        raise DataError(f"data file {shortened(str(path))} does not exist")
    if not os.path.isfile(path):
        raise DataError(f"data file {path} is no regular file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"data file {path} cannot be read: {error.strerror}") from error
    packed = suffixes(path.name)[1]
    if not packed:
        return content
    try:
        return PACKED[packed](content)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise DataError(
            f"data file {path} is damaged or not packed as {packed}: {first_line(str(error))}"
        ) from error


def decoded(content: bytes, path: Path) -> str:
    """UTF-8 text without its byte order mark. DataError naming the line of the first byte that is none."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}:1: is UTF-16 text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        byte = error.object[error.start]
        raise DataError(f"{path}:{line}: is not UTF-8 text: byte 0x{byte:02x} ({error.reason})") from error
