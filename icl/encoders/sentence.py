"""Sentence embeddings by sentence-transformers, from a folder or a hub id.

Importing sentence-transformers and reading the weights takes seconds. Where all vectors that are asked for
are in the cache, neither is needed: the fingerprint of a folder is kept, by sizes and times of its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.atomic import write_atomically
from icl.encoders.bertscore import no_tokens
from icl.errors import ConfigError, ModelError


class SentenceEncoder:
    """A sentence-transformers model; Reimers and Gurevych 2019 (Sentence-BERT).

    `location` is a folder or a hub id. What is on the disk already (a folder, a cached hub model)
    is loaded without touching the network. Raises ModelError where it cannot be loaded. book: a file that
    keeps fingerprints of folders; a folder that stands in it is loaded when it is first asked.
    """

    def __init__(
        self,
        location: str,
        *,
        name: str | None = None,
        source: str | None = None,
        batch_size: int = 64,
        book: Path | None = None,
    ) -> None:
        self.location = location
        self.batch_size = batch_size
        self.name = name or location
        local = os.path.isdir(location)
        self.source = source or (f"folder {location}" if local else f"hub {location}")
        self._local = local
        files = _files(location) if local and book is not None else ""
        known = _kept(book).get(files)
        self.fingerprint: str = known or _fingerprint(self._model)
        if book is not None and files and known is None:
            _keep(book, files, self.fingerprint)

    @cached_property
    def _model(self) -> Any:
        return _load(self.location, self._local)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] unit rows."""
        if not texts:
            # get_sentence_embedding_dimension was renamed between versions; one text tells it too.
            return self.encode([""])[:0]
        rows = self._model.encode(
            list(texts),
            batch_size=self.batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.ascontiguousarray(rows, dtype=np.float32)

    def encode_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """For each text [tokens, d] unit rows of the last layer, without special tokens where there are
        others; cut where `encode` cuts. ConfigError for a model without vectors of tokens."""
        from transformers import PreTrainedTokenizerBase

        if not texts:
            return []
        tokenizer = self._model.tokenizer
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise ConfigError(no_tokens(self.name))
        found = self._model.encode(
            list(texts), batch_size=self.batch_size, output_value="token_embeddings", show_progress_bar=False
        )
        masks = tokenizer(
            [text.strip() for text in texts],
            truncation=True,
            max_length=self._model.max_seq_length,
            return_special_tokens_mask=True,
        )["special_tokens_mask"]
        return [
            _own_tokens(rows.float().cpu().numpy(), mask) for rows, mask in zip(found, masks, strict=True)
        ]


def _own_tokens(rows: NDArray[np.float32], special: Sequence[int]) -> NDArray[np.float32]:
    """[n, d] unit rows of the text's own tokens; of all where it has none of its own."""
    own = np.asarray(special, dtype=bool)
    if len(own) != len(rows):
        raise ModelError(f"the encoder gave {len(rows)} vectors for {len(own)} tokens: no BERTScore with it")
    kept = rows if own.all() else rows[~own]
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    return np.ascontiguousarray(kept / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)


def _load(location: str, local: bool) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        with _no_bars():
            return SentenceTransformer(location, local_files_only=True)
    except Exception as error:
        if local:
            raise ModelError(f"encoder folder {location!r} cannot be read: {_line(error)}") from error
    try:
        return SentenceTransformer(location)
    except Exception as error:
        raise ModelError(
            f"encoder {location!r} is neither a folder nor a hub model that can be reached: {_line(error)}"
        ) from error


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """transformers draws no bar for weights that are read in a second; a download keeps its bar."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _fingerprint(model: Any) -> str:
    """Digest of the modules (with their pooling and lengths) and of every weight."""
    digest = hashlib.blake2b(str(model).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def _files(folder: str) -> str:
    """Of all files of a folder their names, sizes and times of change, and of what reads them its version."""
    root = Path(folder)
    found = [
        f"{path.relative_to(root)}:{stat.st_size}:{stat.st_mtime_ns}"
        for path in sorted(root.rglob("*"))
        if path.is_file() and (stat := path.stat())
    ]
    read_by = [
        f"{name} {importlib.metadata.version(name)}" for name in ("sentence-transformers", "transformers")
    ]
    return hashlib.blake2b("\n".join([str(root.resolve()), *found, *read_by]).encode()).hexdigest()


def _kept(book: Path | None) -> dict[str, str]:
    """Digest of a folder's files -> fingerprint of the encoder; empty where there is no such file."""
    try:
        loaded = json.loads(book.read_text(encoding="utf-8")) if book is not None else {}
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) and all(isinstance(v, str) for v in loaded.values()) else {}


def _keep(book: Path, files: str, fingerprint: str) -> None:
    write_atomically(book, json.dumps({**_kept(book), files: fingerprint}, indent=1))
