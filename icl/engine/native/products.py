"""Products of rows with weights in panels, fp32: each number summed in one order, whatever rows there are."""

from __future__ import annotations

from torch import Tensor

from icl.engine.native.library import ops


def lay_out(weight: Tensor) -> Tensor:
    """weight [out, in] in fp32 -> its panels [out / width rounded up, in, width]; width: the kernels' own."""
    panels: Tensor = ops().lay_out(weight)
    return panels


def product(
    x: Tensor,
    panels: Tensor,
    out: int,
    bias: Tensor | None,
    step: str,
    algorithm: str = "",
    other: Tensor | None = None,
) -> Tensor:
    """Rows x [n, in] -> x W^T + b [n, out], and one step more.

    step: "none"; "swish", "relu", "gelu" (algorithm "none" or "tanh"); "mul" or "add" with `other` [n, out].
    """
    result: Tensor = ops().product(x, panels, out, bias, step, algorithm, other)
    return result
