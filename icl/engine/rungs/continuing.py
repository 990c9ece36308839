"""How the plain engine writes the next token: with a cache where that is seen to be right, else without.

A cache is not to be trusted unseen. Many networks take any keyword: a `past_key_values` that they do not
know is swallowed, and the next token computed from the last one alone. Some have a state of their own under
another name, some refuse every cache but theirs, and rotary positions that move with the longest text make
a cached prefix another than a forwarded one. So each way is first compared with plain forwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from icl.engine.rungs.plain import plain_logits, takes, virtual_tokens
from icl.engine.rungs.root import PlantedRoot
from icl.types import TokenIds

log = logging.getLogger("icl")

STATES = ("past_key_values", "cache_params", "state")
"""What transformers' networks call the state that they return, and take back."""


class Text(Protocol):
    """A text that grows."""

    def extend(self, ids: Sequence[int]) -> Tensor:
        """Puts `ids` behind the text; fp32 logits [V] of what comes next."""
        ...


class Forwarded:
    """All of it again for every token: always right."""

    says = "each token forwards the whole text again"

    def __init__(self, network: Any, root: PlantedRoot | None = None) -> None:
        self.network = network
        self.root = root
        self.ids: list[int] = []

    def extend(self, ids: Sequence[int]) -> Tensor:
        """See Text."""
        self.ids += ids
        return plain_logits(self.network, self.ids, self.root)[-1]


class Cached:
    """Over a `DynamicCache` that knows the configuration, as `generate` makes it."""

    says = "over a key-value cache"

    def __init__(self, network: Any, root: PlantedRoot | None = None) -> None:
        self.network = network
        config = network.config
        self.cache = DynamicCache(config=config) if root is None else root.cache(config)

    def extend(self, ids: Sequence[int]) -> Tensor:
        """See Text."""
        tokens = torch.tensor([list(ids)], device=self.network.device)
        output = self.network(input_ids=tokens, past_key_values=self.cache, use_cache=True)
        logits: Tensor = output.logits[0, -1].float()
        return logits


class OwnState:
    """Over the state that the network makes itself: recurrent ones, and caches of a class of their own."""

    says = "over the network's own state"

    def __init__(self, network: Any, root: PlantedRoot | None = None) -> None:
        if root is not None:
            raise ValueError("it does not begin with keys and values that are given")
        self.network = network
        self.state: dict[str, Any] = {}

    def extend(self, ids: Sequence[int]) -> Tensor:
        """See Text. ValueError where the network returns no state that it takes back."""
        tokens = torch.tensor([list(ids)], device=self.network.device)
        output = self.network(input_ids=tokens, use_cache=True, **self.state)
        found = [name for name in STATES if getattr(output, name, None) is not None]
        if not found or not takes(self.network, found[0]):
            raise ValueError("it returns no state to go on from")
        self.state = {found[0]: getattr(output, found[0])}
        logits: Tensor = output.logits[0, -1].float()
        return logits


Way = Callable[[Any, PlantedRoot | None], Text]


def difference(
    network: Any, way: Way, text: TokenIds, steps: int, root: PlantedRoot | None = None
) -> tuple[float, float]:
    """Largest one of logits to plain forwards while the last `steps` tokens of `text` are put behind the
    others one by one, and the one that rounding explains."""
    first = len(text) - steps
    expected = plain_logits(network, text, root)
    grown = way(network, root)
    found = torch.stack([grown.extend(text[:first]), *(grown.extend((i,)) for i in text[first:])])
    gap = (found - expected[first - 1 :]).abs()
    largest = float(gap.max()) if bool(gap.isfinite().all()) else float("inf")
    rounding = max(1e-4, 4 * torch.finfo(next(network.parameters()).dtype).eps)
    return largest, rounding * max(1.0, float(expected.abs().max()))


def choose_way(network: Any, text: TokenIds, moving: str, name: str, root: PlantedRoot | None = None) -> Way:
    """The fastest way that agrees with plain forwards on `text`; what is stepped over is said.

    moving: why its positions depend on the whole text, "" where they do not.
    """
    if moving or virtual_tokens(network):
        reason = moving or "virtual tokens stand before every text"
    else:
        reasons = []
        for way in (Cached, OwnState):
            try:
                gap, allowed = difference(network, way, text, max(len(text) // 4, 2), root)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # a foreign network may raise anything at what it does not know
                reasons.append(f"{way.says}: {type(error).__name__}: {_line(error)}")
                continue
            if gap <= allowed:
                log.info("%s writes %s", name, way.says)
                return way
            reasons.append(f"{way.says}: logits are {gap:.2g} off plain forwards' (allowed: {allowed:.2g})")
        reason = "; ".join(reasons)
    log.warning("%s writes slowly, %s: %s", name, Forwarded.says, reason)
    return Forwarded


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""
