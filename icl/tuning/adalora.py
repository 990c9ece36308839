"""AdaLoRA: one budget of ranks, given to the layers where they matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from icl.components import check_choice, check_number
from icl.errors import ConfigError
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached, check_state
from icl.tuning.shared.peft_attached import PeftAttached, check_rank
from icl.tuning.shared.targets import LAYERS, Layers, targets
from icl.tuning.shared.tuner import AdaptingTuner


@tuners.register(
    "adalora", paper="Zhang et al. 2023, Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning"
)
@dataclass(kw_only=True)
class AdaLora(AdaptingTuner):
    """y = W x + (alpha / init_rank) P diag(l) Q x; l starts at zero: at the base. Merged in the end.

    From init_rank ranks a layer the least important triplets (p, l, q) of all layers together are pruned
    (l = 0) until target_rank a layer are left on average. Importance: the product of the running means
    (beta1, beta2) of |w grad w| and of its deviation. t_init, t_final: shares of steps before pruning begins
    and after it has ended, between them the budget falls with the cube; delta_t: share of steps between two
    prunings, at least one step. orthogonality: weight of the mean |P'P - I|, |QQ' - I|, in the loss of each
    step but logged apart from it. layers, alpha, dropout: as of lora.
    """

    name = "adalora"
    learning_rate: float | Sequence[float] = 1e-3
    init_rank: int = 12
    target_rank: int = 8
    alpha: int = 32
    layers: Layers = "all"
    dropout: float = 0.0
    t_init: float = 0.1
    t_final: float = 0.3
    delta_t: float = 0.01
    beta1: float = 0.85
    beta2: float = 0.85
    orthogonality: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("init_rank", self.init_rank, low=2, whole=True)
        check_number("target_rank", self.target_rank, low=1, whole=True)
        check_number("alpha", self.alpha, low=1, whole=True)
        check_number("dropout", self.dropout, low=0, high=0.99)
        check_number("orthogonality", self.orthogonality, low=0)
        for name in ("t_init", "t_final", "delta_t"):
            check_number(name, getattr(self, name), low=0, high=1)
        for name in ("beta1", "beta2"):
            check_number(name, getattr(self, name), low=0.001, high=0.999)
        check_choice("layers", self.layers, LAYERS)
        if self.target_rank >= self.init_rank:
            raise ValueError(
                f"target_rank is {self.target_rank}; allowed: less than init_rank ({self.init_rank})"
            )
        first, last, _ = self._phases
        if first + last >= self.steps:
            raise ValueError(
                f"t_init {self.t_init} and t_final {self.t_final} leave none of {self.steps} steps to prune "
                "in; allowed: shares of together less than 1"
            )

    @property
    def _phases(self) -> tuple[int, int, int]:
        """Steps before pruning, after it, between two prunings."""
        return (
            round(self.t_init * self.steps),
            round(self.t_final * self.steps),
            max(1, round(self.delta_t * self.steps)),
        )

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's AdaLoRA, its allocator called by us: nothing else calls it."""
        import peft

        check_rank(self.name, self.init_rank, network)
        first, last, between = self._phases
        config = peft.AdaLoraConfig(
            init_r=self.init_rank,
            target_r=self.target_rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(network, self.layers, self.name),
            tinit=first,
            tfinal=last,
            deltaT=between,
            beta1=self.beta1,
            beta2=self.beta2,
            orth_reg_weight=self.orthogonality,
            total_step=self.steps,
            task_type="CAUSAL_LM",
        )
        return _Attached(network, config, self.name)


class _Attached(PeftAttached):
    """All triplets are kept, the pruned ones with l = 0: peft would cut them out of what it saves and change
    its modules when it reads that, parameters of a running optimiser among them."""

    def state(self) -> dict[str, Tensor]:
        """By the names that peft's file has where no rank was cut out."""
        return {_saved(name): p.detach().cpu().clone() for name, p in self.parameters().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Attached."""
        own = {_saved(name): p for name, p in self.parameters().items()}
        check_state({name: p.shape for name, p in own.items()}, state)
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def after_step(self, step: int, of: int) -> None:
        """Importance, and pruning where it is due. peft counts steps from one: at the last step of the
        pruning phase it allots the final budget, by means of the steps before it; where that is the first
        step there are none, and its own are taken."""
        if of != self.config.total_step:
            raise ConfigError(f"adalora: its schedule is of {self.config.total_step} steps, training of {of}")
        allocator = self.model.base_model.rankallocator
        if step == 0 and of - self.config.tfinal <= 1:
            allocator.update_ipt(self.model.base_model.model)
        self.model.base_model.update_and_allocate(step + 1)

    def extra_loss(self) -> Tensor | None:
        """orthogonality * mean over all P and Q of the Frobenius norm of P'P - I, QQ' - I."""
        if self.config.orth_reg_weight == 0:
            return None
        norms = []
        for name, p in self.parameters().items():
            if "lora_E" not in name:
                product = p @ p.T if "lora_A" in name else p.T @ p
                norms.append(torch.linalg.norm(product - torch.eye(len(product), device=p.device)))
        return torch.stack(norms).mean() * float(self.config.orth_reg_weight)

    def schedule_state(self) -> dict[str, Any]:
        """The running means, and which triplets are alive."""
        allocator = self.model.base_model.rankallocator
        held: dict[str, Any] = {"alive": self.config.rank_pattern}
        held |= {f"importance/{name}": mean for name, mean in allocator.exp_avg_ipt.items()}
        return held | {f"deviation/{name}": mean for name, mean in allocator.exp_avg_unc.items()}

    def load_schedule_state(self, state: Mapping[str, Any]) -> None:
        """Takes them over."""
        allocator = self.model.base_model.rankallocator
        allocator.reset_ipt()
        self.config.rank_pattern = state["alive"]
        for key, value in state.items():
            kind, _, name = key.partition("/")
            if kind == "importance":
                allocator.exp_avg_ipt[name] = value.to(self.network.device)
                allocator.ipt[name] = torch.zeros_like(value)  # made anew at the next step
            elif kind == "deviation":
                allocator.exp_avg_unc[name] = value.to(self.network.device)

    def notes(self) -> dict[str, Any]:
        """Ranks that are left, by layer."""
        ranks = {
            name.removeprefix("base_model.model.").removesuffix(".lora_E.default"): int((p != 0).sum())
            for name, p in self.parameters().items()
            if "lora_E" in name
        }
        return {
            "ranks": ranks,
            "rank_total": sum(ranks.values()),
            "rank_budget": self.config.target_r * len(ranks),
        }

    def peft_config(self) -> dict[str, Any] | None:
        """Without the pattern of ranks: what is saved has all of them."""
        plain = super().peft_config()
        return None if plain is None else {**plain, "rank_pattern": None}


def _saved(name: str) -> str:
    return name.removesuffix(".default")
