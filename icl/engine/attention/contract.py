"""What a layer asks of an attention: queries, keys and values in, the mixed values out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerCall:
    """What a layer says about its attention beside q, k and v."""

    layer: int
    scaling: float
    window: int | None = None
    """A row sees only keys fewer than `window` positions back."""
    softcap: float | None = None
    """Scores become softcap * tanh(score / softcap)."""
    sinks: Tensor | None = None
    """[H] logits of a key without a value, one a head."""


Attend = Callable[[Tensor, Tensor, Tensor, LayerCall], Tensor]
"""(q [H, T, D], k [Hkv, T, D], v [Hkv, T, D], call) -> [H, T, D]."""
