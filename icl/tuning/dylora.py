"""DyLoRA: one training for all ranks up to the highest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from icl.components import check_choice, check_flag, check_number
from icl.protocols import TuningResources, tuners
from icl.training import Network, Root
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.low_rank import LowRank
from icl.tuning.shared.peft_attached import PeftAttached

Updated = Literal["all", "frozen"]
UPDATED = ("all", "frozen")


@tuners.register(
    "dylora",
    paper="Valipour et al. 2022, DyLoRA: Parameter-Efficient Tuning of Pre-trained Models using Dynamic "
    "Search-Free Low-Rank Adaptation",
)
@dataclass(kw_only=True)
class DyLora(LowRank):
    """LoRA whose first b rows of A and columns of B are a LoRA of rank b, for each b up to `rank`.

    Each step draws b from lowest_rank .. rank and runs with the first b alone, scaled by alpha / b. updated:
    "all" of these b, or with "frozen" the b-th alone (published as faster and a little worse). ask_rank: the
    rank that is merged and asked in the end, 0 for the highest. every_rank: whether each rank is tried on the
    validation split in the end; it is kept from training for that. layers, dropout: as of lora.
    """

    name = "dylora"
    lowest_rank: int = 1
    updated: Updated = "all"
    ask_rank: int = 0
    every_rank: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("lowest_rank", self.lowest_rank, low=1, high=self.rank, whole=True)
        check_number("ask_rank", self.ask_rank, low=0, high=self.rank, whole=True)
        check_choice("updated", self.updated, UPDATED)
        check_flag("every_rank", self.every_rank)

    @property
    def chooses(self) -> bool:
        """Whether a validation split is needed."""
        return super().chooses or self.every_rank

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's LoRA, of which a part runs."""
        return _Attached(network, self.peft_settings(network), self)


class _Attached(PeftAttached):
    """`state` holds all ranks, whichever is asked."""

    def __init__(self, network: Network, config: Any, tuner: DyLora) -> None:
        super().__init__(network, config, tuner.name)
        self._tuner = tuner
        self._asked = tuner.ask_rank or tuner.rank
        self._drawn = self._asked
        self._before: dict[str, Tensor] = {}
        self.measures = tuner.every_rank
        for name, parameter in self.parameters().items():
            parameter.register_hook(partial(self._masked, _is_a(name)))  # type: ignore[no-untyped-call]
        for name, module in self.model.named_modules():
            if name.endswith(".lora_A.default"):
                module.register_forward_hook(self._first)

    def _first(self, module: nn.Module, given: Any, found: Tensor) -> Tensor:
        """Of A x [..., rank] the first b, scaled from alpha / rank to alpha / b."""
        b = self._drawn if self.network.training else self._asked
        alive = torch.arange(found.shape[-1], device=found.device) < b
        return found * alive * (found.shape[-1] / b)

    def _masked(self, a: bool, gradient: Tensor) -> Tensor:
        return gradient * self._moves(gradient, a)

    def _moves(self, like: Tensor, a: bool) -> Tensor:
        """1 where this step updates: rows of A [rank, in], columns of B [out, rank]."""
        b, count = self._drawn, like.shape[0 if a else 1]
        at = torch.arange(count, device=like.device)
        moves = at == b - 1 if self._tuner.updated == "frozen" else at < b
        return moves[:, None] if a else moves[None]

    def before_step(self, step: int, of: int, generator: torch.Generator) -> None:
        """Draws b."""
        low, high = self._tuner.lowest_rank, self._tuner.rank
        self._drawn = int(torch.randint(low, high + 1, (), generator=generator))
        self._before = {name: p.detach().clone() for name, p in self.parameters().items()}

    @torch.no_grad()
    def after_step(self, step: int, of: int) -> None:
        """What this step does not update stays: the optimiser's momentum and decay would move it."""
        for name, parameter in self.parameters().items():
            moves = self._moves(parameter, _is_a(name))
            parameter.copy_(torch.where(moves, parameter, self._before[name]))

    def measured(self, look: Callable[[], tuple[float, int]]) -> tuple[dict[str, Any], int]:
        """How good each rank is on the validation split."""
        asked, found, tokens = self._asked, {}, 0
        try:
            for b in range(self._tuner.lowest_rank, self._tuner.rank + 1):
                self._asked = b
                found[str(b)], taken = look()
                tokens += taken
        finally:
            self._asked = asked
        return {"validation_by_rank": {b: round(value, 6) for b, value in found.items()}}, tokens

    def finish(self) -> tuple[Network, Root | None]:
        """Merged at the rank that is asked."""
        with torch.no_grad():
            for name, parameter in self.parameters().items():
                if _is_a(name):
                    parameter[self._asked :] = 0
                    parameter.mul_(self._tuner.rank / self._asked)
        return super().finish()

    def notes(self) -> dict[str, Any]:
        """The rank that is asked."""
        return {"rank": self._asked}

    def peft_config(self) -> dict[str, Any] | None:
        """All ranks together are a LoRA; fewer have no form in peft."""
        return super().peft_config() if self._asked == self._tuner.rank else None


def _is_a(name: str) -> bool:
    return ".lora_A." in name
