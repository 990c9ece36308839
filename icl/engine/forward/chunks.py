"""Running the rows of a trie through the trunk, chunk by chunk, within the memory there is.

A chunk that does not fit is halved and tried again; the path stack has not moved, so nothing is
lost. The smaller size is kept for the rest of the model's life and said once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psutil
import torch
from torch import Tensor

from icl.engine.attention.blocks import chunk_attention
from icl.engine.attention.contract import Attend
from icl.engine.attention.dense import PathStack
from icl.engine.forward.resident import Loan, LoanedRows, clip_loans
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trunks.contract import Trunk
from icl.errors import ModelError

log = logging.getLogger("icl")

LEAST_ROWS = 8
NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "could not allocate")
"""What the errors of torch's allocators and of oneDNN say, whatever their type."""
FREE_SHARE = 0.5
"""Share of the free memory that the engine plans with where no limit is given."""
CHUNK_ROWS = 2048
MAX_SLOTS = 128
"""Of 64, 128 and 256 the fastest for 256 samples (benchmarks/README.md): a step reads the weights for all."""
GPU_CHUNK_ROWS = 8192
GPU_MAX_SLOTS = 256
"""A GPU reads its weights once a chunk and once a step: more rows hide that, and kernels want many."""


class MemoryEnds(ModelError):
    """There is not enough memory even for the smallest piece of work."""


Wrap = Callable[[Chunk, Attend], Attend]
Attention = Callable[[Chunk, PathStack, torch.device], Attend]
"""How a chunk's rows attend, see `chunk_attention`."""


class ChunkRunner:
    """Forwards rows of a layout. `rows` bounds a chunk; it only ever shrinks."""

    def __init__(self, trunk: Trunk, rows: int, attention: Attention = chunk_attention) -> None:
        if rows < 1:
            raise ValueError(f"chunk_rows must be at least 1, not {rows}")
        self.trunk = trunk
        self.rows = rows
        self.attention = attention
        self.halved = False
        """Whether memory ran out at some time."""
        self.told: Callable[[int], None] = lambda tokens: None
        """Hears of tokens as they have been forwarded."""

    def run(
        self,
        layout: Layout,
        stack: PathStack,
        first: int,
        last: int,
        wrap: Wrap | None = None,
        loans: Sequence[Loan] = (),
    ) -> Iterator[tuple[Chunk, Tensor, Tensor]]:
        """Each chunk of rows first .. last, the rows of it that were computed [n], and their hidden
        states [n, d]; the stack moves along.

        wrap: what to put around a chunk's attention (decoding keeps keys and values that way).
        loans: rows whose keys and values are taken over from an earlier call.
        """
        device = self.trunk.device
        row = first
        while row < last:
            chunk = layout.chunk(row, min(row + self.rows, last))
            attend = self.attention(chunk, stack, device)
            if wrap is not None:
                attend = wrap(chunk, attend)
            loaned, computed = clip_loans(loans, row, row + chunk.rows)
            tokens = torch.from_numpy(chunk.tokens)[computed].to(device)
            positions = torch.from_numpy(chunk.positions)[computed].to(device)
            if loaned:
                attend = LoanedRows(attend, chunk.rows, computed.to(device), loaned)
            try:
                hidden = self.trunk.forward(tokens, positions, attend)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                stack.discard()
                self._halve(chunk.rows, error)
                continue
            stack.commit()
            self.told(len(computed))
            yield chunk, computed, hidden
            row += chunk.rows

    def _halve(self, rows: int, error: BaseException) -> None:
        if rows <= LEAST_ROWS:
            raise MemoryEnds(f"not enough memory for {rows} rows of the model: {error}") from error
        self.rows = max(rows // 2, LEAST_ROWS)
        log.warning("out of memory with %d rows at once; going on with %d", rows, self.rows)
        self.halved = True
        release()


def out_of_memory(error: BaseException) -> bool:
    """Is this how torch or Python says that memory ran out, on GPU or CPU?"""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | MemoryEnds):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in NO_MEMORY)


def release() -> None:
    """Gives what torch holds unused back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def default_sizes(device: torch.device) -> tuple[int, int]:
    """(rows of a chunk, slots) on this device, where there is memory for them."""
    return (GPU_CHUNK_ROWS, GPU_MAX_SLOTS) if device.type == "cuda" else (CHUNK_ROWS, MAX_SLOTS)


def bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Keys and values of one token over all layers."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * dtype.itemsize)


def free_memory(device: torch.device) -> int:
    """Bytes that the device of the weights has free now; on a GPU with those that torch holds unused."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def engine_memory(limit: int | None, device: torch.device) -> int:
    """Bytes that the engine may use beside the weights: `limit`, or half of what is free."""
    return limit if limit is not None else int(free_memory(device) * FREE_SHARE)


def rows_for_memory(config: Any, dtype: torch.dtype, rows: int, memory: int) -> int:
    """Rows of a chunk, at most `rows`, whose activations take a quarter of `memory` bytes.

    A row holds about six hidden and four MLP vectors, its part of the logits and of the masks.
    """
    hidden = int(config.hidden_size)
    middle = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    row = dtype.itemsize * (6 * hidden + 4 * middle) + 4 * 4096 * 4
    return max(min(rows, memory // 4 // row), LEAST_ROWS)


def slots_for_memory(config: Any, dtype: torch.dtype, slots: int, tokens: int, memory: int) -> int:
    """Samples decoded side by side, at most `slots`, each holding `tokens` alone, in half of `memory`."""
    # twice: a tail is copied when it grows or moves
    return max(min(slots, memory // 2 // max(2 * tokens * bytes_per_token(config, dtype), 1)), 1)


def resident_bytes(memory: int) -> int:
    """Of the `memory` that the engine may use, an eighth is for texts that a later call goes on from."""
    return memory // 8
