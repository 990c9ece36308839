"""Which families are read, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from icl.engine.trunks.fused.blocks import Decoder
from icl.engine.trunks.fused.readers.llama import llama
from icl.engine.trunks.fused.reading import Pack, Parts


@dataclass(frozen=True, slots=True)
class Family:
    """`reader`: takes a model of it apart; `heeded`: keys of its configuration that the reader knows, beside
    those shared by all."""

    reader: Callable[[Parts], Decoder]
    heeded: frozenset[str] = frozenset()


FAMILIES: dict[str, Family] = {
    "llama": Family(llama, frozenset({"pretraining_tp"})),
    "mistral": Family(partial(llama, window=Parts.window_of_all)),
    "qwen2": Family(partial(llama, window=Parts.window_of_kind)),
    "qwen3": Family(partial(llama, window=Parts.window_of_kind)),
}
"""By the `model_type` of the configuration."""


def read(model: Any, pack: Pack) -> Decoder:
    """A model of one of FAMILIES in blocks. Raises Unread for what its reader does not know."""
    parts = Parts(model, pack)
    family = FAMILIES[parts.config.model_type]
    parts.check_settings(family.heeded)
    decoder = family.reader(parts)
    parts.check_all_taken()
    return decoder
