"""Linear layers whose weights are laid out once, with the elementwise step that follows fused in.

On CPU a plain fp32 product re-packs its weights at every call and does not use the widest vectors
on every processor; packed once, the same product ran 2.2 times as fast where it was measured
(see benchmarks/README.md). The results differ from plain ones by fp32 rounding only.

In fp32 there are two layouts, oneDNN's and the panels of icl's own kernels (icl.engine.native.products); see
icl.engine.trunks.layouts for which of them is used.

Half precision is multiplied in fp32 on a processor where that is faster (no matrix unit): the inputs,
the outputs and the exact products are the same, so here too only the order of fp32 sums differs.

oneDNN compiles a kernel for every shape of a product, and torch and oneDNN keep the last 1,024 of them
each, 1.4 MiB apiece where it was measured. A decoder asks the same few shapes in every layer of a step
and hardly ever again, so importing this module makes both keep KERNELS only, unless the environment
says otherwise.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from typing import Any

import torch
from torch import Tensor

from icl.engine.native import products
from icl.engine.trunks.layouts import in_panels

log = logging.getLogger("icl")

KERNELS = 32
"""Compiled kernels that are kept; a step of decoding with a chunk of prompts beside it needs fourteen."""
for _cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, str(KERNELS))

ACTIVATIONS: dict[str, tuple[str, str]] = {
    "silu": ("swish", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}
"""Activations that are fused into a product: the kernel's own name of each, and of its algorithm."""
HALF = frozenset({torch.bfloat16, torch.float16})
PACK_ROWS = 512
"""Rows that the layout is chosen for; any number of rows may be used with it."""
TRIED_ROWS = 64
"""Rows of the products that are timed."""
CLEARLY = 1.2
"""Times faster that fp32 must be to be used for half precision: its weights take twice the memory."""


def available(dtype: torch.dtype) -> bool:
    """Can this build of torch pack weights of this dtype on this CPU, as they are or widened to fp32?"""
    return native(dtype) or (dtype in HALF and native(torch.float32))


@functools.cache
def native(dtype: torch.dtype) -> bool:
    """Can weights of this dtype be packed as they are?"""
    built = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    if not (built and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    try:
        weight = torch.eye(16, dtype=dtype)
        ones = torch.ones(2, 16, dtype=dtype)
        return bool(torch.equal(PackedLinear(weight, wide=False)(ones), ones))
    except (RuntimeError, NotImplementedError):
        return False


@functools.cache
def widened(dtype: torch.dtype) -> bool:
    """Are products of this dtype made by fp32 kernels here? Measured once, in some milliseconds; always where
    the processor has none of this dtype (bf16 without AVX-512)."""
    if dtype == torch.float32 or not available(dtype):
        return False
    if not native(dtype):
        log.info("products of %s are made in fp32 here: this processor has none of its own", dtype)
        return True
    with torch.random.fork_rng(devices=[]):
        weight = torch.randn(1024, 1024).to(dtype)
    x = weight[:TRIED_ROWS].contiguous()
    narrow, wide = (PackedLinear(weight, wide=wide) for wide in (False, True))
    faster = _seconds(narrow, x) / _seconds(wide, x)
    if faster > CLEARLY:
        log.info("products of %s are made in fp32 here: %.1f times as fast", dtype, faster)
    return faster > CLEARLY


def _seconds(linear: PackedLinear, x: Tensor) -> float:
    """The shortest of a few products."""
    taken = []
    for _ in range(8):
        began = time.perf_counter()
        linear(x)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _product(weight: Tensor, panels: bool) -> PackedLinear:
    """For the choice of a layout."""
    return PackedLinear(weight, panels=panels)


class PackedLinear:
    """x [n, in] -> x W^T + b [n, out], W given as [out, in]; all of one dtype.

    wide: weights are kept and multiplied in fp32; None: where `widened` says so. panels: those in fp32 are
    laid out for icl's own kernels, which must be there; None: where they are the faster (`in_panels`).
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        wide: bool | None = None,
        panels: bool | None = None,
    ) -> None:
        self.out_features, self.in_features = weight.shape
        self.dtype = weight.dtype
        self.wide = widened(weight.dtype) if wide is None else wide
        self.bias = None if bias is None else self._inside(bias.detach()).contiguous()
        self.panels = self._in_fp32() and (in_panels(_product) if panels is None else panels)
        inside = self._inside(weight.detach()).contiguous()
        if self.panels:
            self.weight = products.lay_out(inside)
            return
        ops: Any = torch.ops.mkldnn
        self.weight = ops._reorder_linear_weight(inside, PACK_ROWS)
        self._plain = ops._linear_pointwise.default
        self._binary = ops._linear_pointwise.binary

    def _in_fp32(self) -> bool:
        return self.wide or self.dtype == torch.float32

    def _inside(self, x: Tensor) -> Tensor:
        return x.float() if self.wide else x

    def __call__(self, x: Tensor) -> Tensor:
        return self._unary(x, "none", "")

    def activated(self, x: Tensor, activation: str) -> Tensor:
        """act(x W^T + b), the activation one of ACTIVATIONS."""
        return self._unary(x, *ACTIVATIONS[activation])

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """(x W^T + b) * other."""
        return self._with(x, other, "mul")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """x W^T + b + other."""
        return self._with(x, other, "add")

    def _unary(self, x: Tensor, step: str, algorithm: str) -> Tensor:
        if self.panels:
            return self._own(x, step, algorithm)
        result: Tensor = self._plain(self._inside(x), self.weight, self.bias, step, [], algorithm)
        return result.to(self.dtype)

    def _with(self, x: Tensor, other: Tensor, step: str) -> Tensor:
        if self.panels:
            return self._own(x, step, "", self._inside(other))
        result: Tensor = self._binary(self._inside(x), self._inside(other), self.weight, self.bias, step)
        return result.to(self.dtype)

    def _own(self, x: Tensor, step: str, algorithm: str, other: Tensor | None = None) -> Tensor:
        inside = self._inside(x)
        found = products.product(inside, self.weight, self.out_features, self.bias, step, algorithm, other)
        return found.to(self.dtype)
