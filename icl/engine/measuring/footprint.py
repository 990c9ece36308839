"""How much memory a model will take here, reckoned from its configuration: no weights are read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from icl.engine.forward.chunks import (
    FREE_SHARE,
    bytes_per_token,
    default_sizes,
    engine_memory,
    resident_bytes,
    rows_for_memory,
    slots_for_memory,
)
from icl.engine.forward.scoring import HEAD_ROWS
from icl.engine.measuring.sizes import Largest, NetworkSize, network_size
from icl.engine.trunks import packed

PROCESS_BYTES = 700 * 2**20
"""Python with torch, transformers and the data of a run."""
TAIL_SLACK = 1.25
"""Tails have room to grow, and are copied a layer at a time when they do."""
ENCODER_BYTES = 250 * 2**20
"""A small sentence encoder with its activations."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes, by what takes them."""

    process: int
    weights: int
    chunk: int
    """Activations and logits of the rows that are forwarded at once."""
    cache: int
    texts: int
    """Not bytes: how many texts there is memory to generate side by side."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.process + self.weights + self.chunk + self.cache


def expected_memory(
    model: str, dtype: str | None, largest: Largest, *, limit: int | None = None, encoder: bool = False
) -> Footprint:
    """What a run takes at its peak, on the device of the weights and beside it.

    limit: `max_memory` of the engine. A GGUF file counts with its weights dequantised. Raises
    ModelError if the configuration cannot be read.
    """
    size = network_size(model)
    gpu = torch.cuda.is_available()
    precision = getattr(torch, dtype or ("bfloat16" if gpu else "float32"))
    device = torch.device("cuda" if gpu else "cpu")
    packs = not gpu and size.packs and packed.available(precision)
    packed_size = (4 if packed.widened(precision) else precision.itemsize) if packs else 0
    # packed weights stand beside the plain ones; a tied head is packed too
    weights = size.parameters * (precision.itemsize + packed_size)
    # the engine shares out what is free once the weights are there
    memory = limit if limit is not None else max(engine_memory(None, device) - int(FREE_SHARE * weights), 0)
    rows, slots = default_sizes(device)
    per_token = bytes_per_token(size, precision)
    held = slots_for_memory(size, precision, min(largest.texts, slots), largest.alone, memory)
    tails = int(TAIL_SLACK * held * largest.alone)
    return Footprint(
        process=PROCESS_BYTES + (ENCODER_BYTES if encoder else 0),
        weights=weights,
        chunk=_chunk_bytes(size, precision, rows_for_memory(size, precision, rows, memory)),
        # the path to what is read now, and for decoding its nodes and the tails of all slots
        cache=per_token * (largest.read * (2 if largest.texts else 1) + tails)
        + min(per_token * largest.kept, resident_bytes(memory)),
        texts=held,
    )


def _chunk_bytes(size: NetworkSize, dtype: torch.dtype, rows: int) -> int:
    middle = size.intermediate_size or 4 * size.hidden_size
    activations = int(rows * dtype.itemsize * (6 * size.hidden_size + 4 * middle))
    # logits in the model's precision and in fp32
    return activations + HEAD_ROWS * size.vocab_size * (dtype.itemsize + 4)
