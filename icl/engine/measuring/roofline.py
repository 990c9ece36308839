"""The least time that a machine needs for a workload, from rates measured on the model's own shapes.

    F = 2 P U + 4 L H d_h A + 2 d V R + 2 d R_l
    t_score >= max(F / G, n_chunks W / B)
    t_step  >= max((W + kappa * live keys) / B, (2 n (P + d V) + 4 L H d_h sum(context)) / G)

U: unique tokens that need a forward; P: active parameters of the linear layers of the blocks; A: keys that
the U tokens see, averaged over layers; R: unique rows that meet the whole vocabulary; R_l: products with
single rows of the head; W: bytes of the weights; kappa: bytes of the keys and values of a token; G, B:
measured rates. Embeddings, norms, activations and rotary count nothing: a bound, not a model.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from icl.engine.forward.chunks import bytes_per_token
from icl.engine.forward.scoring import ScorePlan
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.engine.trunks import packed
from icl.engine.trunks.packed import PackedLinear
from icl.types import GenerateRequest

LEAST_SECONDS = 0.3
LEAST_REPEATS = 3
COPY_BYTES = 256 * 2**20
"""Of each of the two buffers: far above any cache."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the bound needs to know of a model."""

    layers: int
    heads: int
    head_size: int
    hidden: int
    vocabulary: int
    block_parameters: int
    """P: of a mixture of experts only those that a token meets."""
    windows: tuple[int | None, ...]
    """Of each layer; None: no window."""
    linears: tuple[tuple[int, int, int], ...]
    """(in, out, how many) of the linear layers."""
    itemsize: int
    kv_bytes: int
    """kappa."""

    @property
    def weight_bytes(self) -> int:
        """W: blocks and head, read once a chunk or step."""
        return (self.block_parameters + self.hidden * self.vocabulary) * self.itemsize

    def attended(self, positions: NDArray[np.int64]) -> float:
        """A of tokens at these positions: keys that they see, averaged over the layers."""
        counts = Counter(self.windows)
        total = 0.0
        for window, layers in counts.items():
            seen = positions + 1 if window is None else np.minimum(positions + 1, window)
            total += layers * float(seen.sum())
        return total / max(len(self.windows), 1)


@dataclass(frozen=True, slots=True)
class Rates:
    """gemm, packed_gemm: operations a second; bandwidth: bytes a second. packed_gemm is 0 where
    weights cannot be packed."""

    gemm: float
    packed_gemm: float
    bandwidth: float

    @property
    def best_gemm(self) -> float:
        """The faster of the two products."""
        return max(self.gemm, self.packed_gemm)


@dataclass(frozen=True, slots=True)
class Work:
    """What a batch of score requests asks of the machine."""

    unique: int
    attended: float
    vocabulary_rows: int
    label_products: int = 0
    chunks: int = 1


def shape_of(network: Any) -> Shape:
    """Reads a transformers causal LM."""
    config = network.config.get_text_config()
    decoder = network.get_decoder()
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    share = (getattr(config, "num_experts_per_tok", None) or 1) / experts if experts else 1.0
    linears: Counter[tuple[int, int]] = Counter()
    active = 0.0
    for name, module in decoder.named_modules():
        if isinstance(module, torch.nn.Embedding):
            continue
        for weight in module.parameters(recurse=False):
            if weight.ndim < 2:
                continue
            active += weight.numel() * (share if "experts" in name else 1.0)
            if weight.ndim == 2:
                rows, columns = weight.shape
                # transformers' Conv1D (GPT-2) holds its weight the other way round
                turned = type(module).__name__ == "Conv1D"
                linears[(rows, columns) if turned else (columns, rows)] += 1
    head = network.get_output_embeddings().weight
    dtype: torch.dtype = network.dtype
    layers = int(config.num_hidden_layers)
    return Shape(
        layers=layers,
        heads=int(config.num_attention_heads),
        head_size=int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads),
        hidden=int(head.shape[1]),
        vocabulary=int(head.shape[0]),
        block_parameters=round(active),
        windows=_windows(config, layers),
        linears=tuple((*pair, count) for pair, count in linears.items()),
        itemsize=dtype.itemsize,
        kv_bytes=bytes_per_token(config, dtype),
    )


def _windows(config: Any, layers: int) -> tuple[int | None, ...]:
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return (window,) * layers
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


# -- bounds ----------------------------------------------------------------------------------------


def score_work(plan: ScorePlan, shape: Shape, chunk_rows: int) -> Work:
    """The work of planned score requests."""
    unique = plan.layout.trie.rows
    return Work(
        unique=unique,
        attended=shape.attended(plan.layout.depths),
        vocabulary_rows=len(np.unique(plan.targets.rows)),
        chunks=-(-unique // chunk_rows),
    )


def operations(shape: Shape, work: Work) -> float:
    """F: multiplications and additions."""
    return (
        2.0 * shape.block_parameters * work.unique
        + 4.0 * shape.layers * shape.heads * shape.head_size * work.attended
        + 2.0 * shape.hidden * shape.vocabulary * work.vocabulary_rows
        + 2.0 * shape.hidden * work.label_products
    )


def score_bound(shape: Shape, work: Work, gemm: float, bandwidth: float) -> float:
    """Seconds that scoring takes at least."""
    return max(operations(shape, work) / gemm, work.chunks * shape.weight_bytes / bandwidth)


def step_bound(
    shape: Shape, samples: int, live_keys: float, attended: float, gemm: float, bandwidth: float
) -> float:
    """Seconds that one decode step of `samples` rows takes at least.

    live_keys: tokens whose keys and values are read, a shared one once; attended: A of the rows.
    """
    read = shape.weight_bytes + shape.kv_bytes * live_keys
    head = shape.hidden * shape.vocabulary
    count = 2.0 * samples * (shape.block_parameters + head)
    count += 4.0 * shape.layers * shape.heads * shape.head_size * attended
    return max(read / bandwidth, count / gemm)


def generate_bound(
    shape: Shape, requests: Sequence[GenerateRequest], slots: int, chunk_rows: int, rates: tuple[float, float]
) -> tuple[float, int]:
    """Seconds that `requests` (prompts as ids, nothing ends early) take at least, and unique tokens.

    The prompts are prefilled as a trie; then all samples step side by side, `slots` at once.
    rates: (gemm, bandwidth).
    """
    prompts = [tuple(r.prompt) for r in requests]
    trie = build_trie(as_arrays(prompts))  # type: ignore[arg-type]
    depths = np.concatenate(
        [np.arange(a, b) for a, b in zip(trie.shared.tolist(), trie.lengths.tolist(), strict=True)]
    )
    prefill = Work(trie.rows, shape.attended(depths), len(set(prompts)), chunks=-(-trie.rows // chunk_rows))
    seconds = score_bound(shape, prefill, *rates)
    lengths = np.repeat([len(p) for p in prompts], [r.n for r in requests])
    new = np.repeat([r.max_tokens for r in requests], [r.n for r in requests])
    unique = trie.rows + int((new - 1).sum())
    waves = -(-len(lengths) // slots)
    for wave in range(waves):
        part, ends = lengths[wave::waves], new[wave::waves]
        for step in range(1, int(ends.max(initial=0))):
            alive = part[ends > step]
            # a wave reads at least its share of the prompts; each row also its own tail
            keys = trie.rows / waves + len(alive) * step
            attended = shape.attended(alive + step - 1)
            seconds += step_bound(shape, len(alive), keys, attended, *rates)
    return seconds, unique


# -- rates -----------------------------------------------------------------------------------------


def measure_rates(shape: Shape, dtype: torch.dtype, device: torch.device, rows: int) -> Rates:
    """Rates of this machine now, with the threads that torch has: the best of several tries each.

    rows: tokens that meet a weight at once, as in a chunk of the engine.
    """
    plain = [_product(i, o, c, rows, dtype, device, pack=False) for i, o, c in shape.linears]
    gemm = sum(w for w, _ in plain) / sum(s for _, s in plain)
    best = 0.0
    if device.type == "cpu" and packed.available(dtype):
        laid_out = [_product(i, o, c, rows, dtype, device, pack=True) for i, o, c in shape.linears]
        best = sum(w for w, _ in laid_out) / sum(s for _, s in laid_out)
    return Rates(gemm, best, measure_bandwidth(device))


def _product(
    inner: int, outer: int, count: int, rows: int, dtype: torch.dtype, device: torch.device, *, pack: bool
) -> tuple[float, float]:
    """(operations, seconds) of `count` products [rows, inner] x [inner, outer]."""
    x = torch.ones(rows, inner, dtype=dtype, device=device)
    weight = torch.ones(outer, inner, dtype=dtype, device=device)
    out = torch.empty(rows, outer, dtype=dtype, device=device)
    if pack:
        linear = PackedLinear(weight)
        seconds = best_seconds(lambda: linear(x), device)
    else:
        seconds = best_seconds(lambda: torch.mm(x, weight.T, out=out), device)
    return 2.0 * rows * inner * outer * count, seconds * count


def measure_bandwidth(device: torch.device, size: int = COPY_BYTES) -> float:
    """Bytes a second, read and written, of a copy between buffers of `size` bytes."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2.0 * size / best_seconds(lambda: target.copy_(source), device)


@torch.inference_mode()
def best_seconds(run: Callable[[], object], device: torch.device) -> float:
    """The shortest of several runs, after one that does not count."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    run()
    wait()
    best, spent, repeats = float("inf"), 0.0, 0
    while repeats < LEAST_REPEATS or spent < LEAST_SECONDS:
        started = time.perf_counter()
        run()
        wait()
        seconds = time.perf_counter() - started
        best, spent, repeats = min(best, seconds), spent + seconds, repeats + 1
    return best
