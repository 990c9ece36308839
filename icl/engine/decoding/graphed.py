"""Decode steps on a GPU as CUDA graphs: recorded once for a shape, then launched as a whole.

A decode step of a small batch is some hundred short kernels: launching them one by one from Python
takes longer than they run. A graph repeats the same kernels on the same memory, so rows and tails are
padded to buckets, and all else that changes is data (static_memory.py).

Not tried on a GPU yet. All but `cuda_capture` runs and is tested on CPU.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import apply_sinks, fast_attention, plain_attention
from icl.engine.decoding.memory import Tails
from icl.engine.decoding.static_memory import SharedPool, TailStore
from icl.engine.decoding.steps import EagerStep, Spans
from icl.engine.trunks.contract import Trunk

log = logging.getLogger("icl")

TAIL_BUCKET = 128
"""Tails are read in multiples of this, the rest masked."""
UNRECORDED = 2
"""Steps of one shape before it is recorded: recording takes about as long as a few steps."""
GRAPHS = 8
"""Recorded shapes that are kept; each holds its logits."""

Replay = Callable[[], Tensor]
Capture = Callable[[Callable[[], Tensor]], Replay]
"""Records what a function does; what comes back does the same to the same memory."""


class Shape(NamedTuple):
    """All that a recorded step depends on beside the contents of memory."""

    rows: int
    used: int
    """Tokens of a tail that are read."""
    pool: int
    """Keys of shared nodes; 0: there are none."""


def row_bucket(rows: int) -> int:
    """1, 2, 4, then multiples of 8."""
    for small in (1, 2, 4):
        if rows <= small:
            return small
    return -(-rows // 8) * 8


class GraphedStep:
    """StepRunner that records its steps; one that cannot be recorded is said, and then run eagerly.

    make_capture: called whenever addresses have changed, as nothing recorded before can be used again.
    """

    def __init__(self, trunk: Trunk, make_capture: Callable[[], Capture]) -> None:
        self.trunk = trunk
        self.make_capture = make_capture
        self.store = TailStore()
        self.pool = SharedPool(trunk.device)
        self.inputs = torch.zeros((3, 0), dtype=torch.long, device=trunk.device)
        """[3, R]: token, position and tail length of each row; rows that pad have 0 of each."""
        self._eager: EagerStep | None = None
        self._forget()

    def _forget(self) -> None:
        self._graphs: dict[Shape, Replay] = {}
        self._met: Counter[Shape] = Counter()
        self._capture: Capture | None = None

    def step(self, tokens: Sequence[int], positions: Sequence[int], tails: Tails, spans: Spans) -> Tensor:
        """See StepRunner."""
        if self._eager is not None:
            return self._eager.step(tokens, positions, tails, spans)
        tails.reserve(max(tails.lengths) + 1)
        for shared, _, _ in spans[:1]:  # where nothing is private yet, tails have no buffers
            for layer, keys in shared.keys.items():
                tails.layer(layer, keys)
        rows = row_bucket(len(tokens))
        moved = self.store.adopt(tails, rows)
        if self.pool.adopt(spans) or moved:
            self._forget()
        if self.inputs.shape[1] < self.store.rows:
            self.inputs = self.inputs.new_zeros((3, self.store.rows))
        padded = [[*row, *[0] * (rows - len(tokens))] for row in (tokens, positions, tails.lengths)]
        self.inputs[:, :rows] = torch.tensor(padded)
        used = -(-(max(tails.lengths) + 1) // TAIL_BUCKET) * TAIL_BUCKET
        shape = Shape(rows, min(used, self.store.capacity), self.pool.capacity if spans else 0)
        return self._run(shape)[: len(tokens)]

    def _run(self, shape: Shape) -> Tensor:
        """Logits [rows, V], from a graph where there is one, else by the same operations one by one."""
        if shape in self._graphs:
            return self._graphs[shape]()
        self._met[shape] += 1
        if self._met[shape] <= UNRECORDED:
            return self._body(shape)
        started = time.perf_counter()
        try:
            self._capture = self._capture or self.make_capture()
            replay = self._capture(lambda: self._body(shape))
        except Exception as error:  # whatever a driver or a foreign model raises: it runs without
            lines = str(error).strip().splitlines()
            log.warning(
                "decode steps cannot be recorded as CUDA graphs (%s: %s); going on without, which is slower",
                type(error).__name__, lines[0] if lines else "",
            )  # fmt: skip
            self._forget()
            self._eager = EagerStep(self.trunk)
            return self._body(shape)
        log.debug("recorded a decode step of %s in %.3f s", shape, time.perf_counter() - started)
        while len(self._graphs) >= GRAPHS:
            del self._graphs[next(iter(self._graphs))]
        self._graphs[shape] = replay
        return replay()

    def _body(self, shape: Shape) -> Tensor:
        """What is recorded: everything in it must depend on `shape` and on memory that stays, only."""
        tokens, positions, ends = self.inputs[:, : shape.rows].unbind()
        attention = StaticAttention(self.store, self.pool, positions, ends, shape)
        return self.trunk.logits(self.trunk.forward(tokens, positions, attention))


class StaticAttention:
    """As StepAttention, over memory that does not move. positions, ends [R]: place of each row's token in
    its text and in its tail."""

    def __init__(
        self, store: TailStore, pool: SharedPool, positions: Tensor, ends: Tensor, shape: Shape
    ) -> None:
        self.store = store
        self.pool = pool
        self.positions = positions
        self.ends = ends
        self.shape = shape
        self.slots = torch.arange(shape.rows, device=positions.device)
        assert store.positions is not None
        self.tail_positions = store.positions[: shape.rows]
        self.tail_positions[self.slots, ends] = positions
        self._masks: dict[int | None, tuple[Tensor, Tensor]] = {}

    def _seen(self, window: int | None) -> tuple[Tensor, Tensor]:
        """bool [R, used] and [R, N]: which tokens of its tail and which shared keys a row sees."""
        if window not in self._masks:
            used = self.shape.used
            tail = torch.arange(used, device=self.ends.device)[None] <= self.ends[:, None]
            first, last, depth = self.pool.ranges
            shared = (first[None] <= self.slots[:, None]) & (self.slots[:, None] < last[None])
            if window is not None:
                tail = tail & (self.positions[:, None] - self.tail_positions[:, :used] < window)
                shared = shared & (self.positions[:, None] - depth[None] < window)
            self._masks[window] = (tail, shared)
        return self._masks[window]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, R, D], k, v [Hkv, R, D] -> out [H, R, D]."""
        keys = self.store.keys[call.layer][: self.shape.rows]
        values = self.store.values[call.layer][: self.shape.rows]
        keys[self.slots, :, self.ends] = k.transpose(0, 1)
        values[self.slots, :, self.ends] = v.transpose(0, 1)
        used, (tail_seen, shared_seen) = self.shape.used, self._seen(call.window)
        per_slot = q.transpose(0, 1)[:, :, None]  # [R, H, 1, D]
        tail, tail_lse = fast_attention(per_slot, keys[:, :, :used], values[:, :, :used], tail_seen, call)
        out, lse = tail[:, :, 0].transpose(0, 1), tail_lse[:, :, 0].transpose(0, 1)
        if self.shape.pool:
            shared_k, shared_v = self.pool.keys[call.layer], self.pool.values[call.layer]
            part, part_lse = plain_attention(q, shared_k, shared_v, shared_seen, call)
            # a row always sees its own token, so `total` is finite; without shared keys part_lse is -inf
            total = torch.logaddexp(lse, part_lse)
            out = out * torch.exp(lse - total)[..., None] + part * torch.exp(part_lse - total)[..., None]
            lse = total
        if call.sinks is not None:
            out = apply_sinks(out, lse, call.sinks)
        return out.to(q.dtype)


def cuda_capture() -> Capture:
    """CUDA graphs that share one memory pool: they run one after another, never side by side."""
    pool = torch.cuda.graph_pool_handle()

    def capture(body: Callable[[], Tensor]) -> Replay:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            body()  # libraries make their workspaces at the first call, which cannot be recorded
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            out = body()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay

    return capture
