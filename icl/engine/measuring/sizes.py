"""What an experiment asks of memory, and how large a model is: figures, for which no weights are read.

Counting a model's parameters takes transformers' modelling code, seconds of imports: each is counted once and
kept in the user's cache.
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icl.atomic import write_atomically
from icl.cache import cache_folder
from icl.engine.loading.files import local_folder, read_configuration
from icl.engine.loading.sources import context_length, resolve
from icl.errors import ModelError

BOOK = "sizes.json"


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest things that an experiment asks of an engine at once.

    read: tokens of the longest text that is scored or continued; texts: generated side by side, if
    there were slots for all; alone: tokens that memory holds for one of these and no other; kept:
    tokens of texts that a later call goes on from.
    """

    read: int = 0
    texts: int = 0
    alone: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Of a model's text decoder, under the names that configurations of transformers have."""

    parameters: int
    context: int
    """Tokens of the longest text."""
    packs: bool
    """Whether the engine packs its weights beside the plain ones, where a processor multiplies them."""
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None


def network_size(model: str) -> NetworkSize:
    """Of the model called so; counted where it is not kept from an earlier time.

    Raises ModelError if the configuration cannot be read.
    """
    folder, weights = local_folder(resolve(model))
    found = _known(weights)
    if found is None:
        found = _count(model, folder)
        write_atomically(_book(), json.dumps({**_read(), _key(weights): asdict(found)}, indent=1))
    return found


def longest_text(model: str) -> int:
    """In tokens. Raises ModelError if the configuration cannot be read."""
    folder, weights = local_folder(resolve(model))
    known = _known(weights)
    return context_length(read_configuration(resolve(model), folder)) if known is None else known.context


def _key(weights: str) -> str:
    counted_by = (f"{name} {importlib.metadata.version(name)}" for name in ("icl", "transformers"))
    return " ".join([weights, *counted_by])


def _known(weights: str) -> NetworkSize | None:
    try:
        return NetworkSize(**_read()[_key(weights)])
    except (KeyError, TypeError):  # not there, or of other fields
        return None


def _count(model: str, folder: str) -> NetworkSize:
    """On the meta device: nothing is read or drawn."""
    import torch
    from transformers import AutoModelForCausalLM

    from icl.engine.trunks import fused

    config = read_configuration(resolve(model), folder)
    try:
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, ImportError) as error:
        raise ModelError(f"model {model!r}: no network by its configuration: {error}") from error
    text = config.get_text_config()
    sizes = {
        name: getattr(text, name, None)
        for name in ("num_key_value_heads", "head_dim", "intermediate_size")
    }  # fmt: skip
    return NetworkSize(
        context=context_length(config),
        parameters=sum(p.numel() for p in network.parameters()),
        packs=text.model_type in fused.FAMILIES,
        hidden_size=int(text.hidden_size),
        num_hidden_layers=int(text.num_hidden_layers),
        num_attention_heads=int(text.num_attention_heads),
        vocab_size=int(text.vocab_size),
        **{name: int(size) for name, size in sizes.items() if isinstance(size, int)},
    )


def _book() -> Path:
    return cache_folder() / BOOK


def _read() -> dict[str, Any]:
    try:
        loaded = json.loads(_book().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
