"""Sentence embeddings by sentence-transformers, from a folder or a hub id."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.encoders.bertscore import no_tokens
from icl.errors import ConfigError, ModelError


class SentenceEncoder:
    """A sentence-transformers model; Reimers and Gurevych 2019 (Sentence-BERT).

    `location` is a folder or a hub id. What is on the disk already (a folder, a cached hub model)
    is loaded without touching the network. Raises ModelError where it cannot be loaded.
    """

    def __init__(
        self, location: str, *, name: str | None = None, source: str | None = None, batch_size: int = 64
    ) -> None:
        self.location = location
        self.batch_size = batch_size
        self.name = name or location
        local = os.path.isdir(location)
        self.source = source or (f"folder {location}" if local else f"hub {location}")
        self._model = _load(location, local)
        self.fingerprint = _fingerprint(self._model)

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
