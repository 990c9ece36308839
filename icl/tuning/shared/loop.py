"""The training loop: batches, gradients added up by memory, schedule, looks at the validation split."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import psutil
import torch
from torch import Tensor

from icl.engine.forward.chunks import out_of_memory
from icl.engine.trie.preorder import as_arrays, count_unique
from icl.errors import ModelError
from icl.seeding import stream_key
from icl.training import TrainingCost, TrainingStep
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.checkpoint import Checkpoint, parted
from icl.tuning.shared.forward import Layout, token_logprobs, virtual_length
from icl.tuning.shared.objective import Objective
from icl.tuning.shared.settings import TrainingSettings
from icl.tuning.shared.tokens import TokenRow, seam

Batches: TypeAlias = Callable[[int], Sequence[TokenRow]]
"""The rows of a step. They depend on the step (and the weights as they are then) alone."""
Look: TypeAlias = Callable[[], tuple[float, int]]
"""How good the network is on the validation split (higher is better), and the tokens that took."""


class Diverged(ModelError):
    """The loss is not a finite number."""

    cost = TrainingCost()
    """Of the run until then."""


def diverged(what: str, rate: float, cost: TrainingCost) -> Diverged:
    """What to raise. cost: of the run until then."""
    error = Diverged(f"{what} with learning rate {rate:g}; try a smaller one, or a longer warmup")
    error.cost = cost
    return error


@dataclass(slots=True)
class Trained:
    """What one run came to."""

    losses: list[float] = field(default_factory=list)
    """Of each step, the extra loss left out."""
    extra: list[float] = field(default_factory=list)
    looks: list[tuple[int, float]] = field(default_factory=list)
    """(steps done, how good)."""
    best_step: int = 0
    cost: TrainingCost = field(default_factory=TrainingCost)


def train(
    attached: Attached,
    batches: Batches,
    objective: Objective,
    settings: TrainingSettings,
    rate: float,
    *,
    seed: int,
    layout: Layout = "trie",
    look: Look | None = None,
    checkpoint: Checkpoint | None = None,
    report: Callable[[TrainingStep], None] | None = None,
    run: str = "",
) -> Trained:
    """Trains what is attached, in place, for settings.steps steps, or until `look` has not gained for
    settings.patience looks; the best weights that a look has seen are left in it.

    Raises Diverged, with what is attached as it was before the step.
    """
    return _Loop(
        attached, batches, objective, settings, rate, seed, layout, look, checkpoint or Checkpoint(None, ""),
        report, run,
    ).run()  # fmt: skip


@dataclass(slots=True)
class _Loop:
    attached: Attached
    batches: Batches
    objective: Objective
    settings: TrainingSettings
    rate: float
    seed: int
    layout: Layout
    look: Look | None
    checkpoint: Checkpoint
    report: Callable[[TrainingStep], None] | None
    name: str
    done: int = 0
    trained: Trained = field(default_factory=Trained)
    best: dict[str, Tensor] = field(default_factory=dict)
    virtual: int = 0
    """Tokens before each text."""

    def run(self) -> Trained:
        parameters = self.attached.parameters()
        optimiser = torch.optim.AdamW(
            parameters.values(), lr=self.rate, weight_decay=self.settings.weight_decay
        )
        self.trained.cost = TrainingCost(trainable=sum(p.numel() for p in parameters.values()))
        self._resume(optimiser)
        with torch.no_grad():
            self.virtual = virtual_length(self.attached.root())
        self.attached.network.train()
        began = time.perf_counter()
        while self.done < self.settings.steps and not self._tired():
            self._step(optimiser)
            taken, began = time.perf_counter() - began, time.perf_counter()
            self.trained.cost += TrainingCost(
                steps=1, seconds=taken, peak_bytes=_memory(self.attached.network)
            )
            if self.checkpoint.due:
                self._keep(optimiser)
        if self.best and self.trained.best_step != self.done:
            self.attached.load(self.best)
        self.attached.network.eval()
        return self.trained

    def _step(self, optimiser: torch.optim.Optimizer) -> None:
        step, settings, network = self.done, self.settings, self.attached.network
        draws = torch.Generator().manual_seed(stream_key(self.seed, "training step", str(step)) % 2**63)
        torch.manual_seed(stream_key(self.seed, "dropout", str(step)) % 2**63)
        rows = self.batches(step)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate_at(step, self.rate)
        self.attached.before_step(step, settings.steps, draws)
        loss = self._backward(rows)
        extra = self.attached.extra_loss()
        if extra is not None:
            torch.autograd.backward(extra)
        parameters = [p for p in self.attached.parameters().values() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
        tokens = sum(len(row.ids) + self.virtual for row in rows)
        self.trained.cost += TrainingCost(tokens=tokens)
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            optimiser.zero_grad()
            what = f"the loss is not finite at step {step + 1} of {settings.steps}"
            raise diverged(what, self.rate, self.trained.cost)
        try:
            optimiser.step()
        except RuntimeError as error:
            if "overflow" not in str(error):
                raise
            what = f"step {step + 1} of {settings.steps} is larger than a number can be"
            raise diverged(what, self.rate, self.trained.cost) from error
        self.attached.after_step(step, settings.steps)
        optimiser.zero_grad()
        self.done += 1
        self.trained.losses.append(loss)
        self.trained.extra += [] if extra is None else [float(extra.detach())]
        if self.look is not None and (
            self.done == settings.steps
            or (settings.evaluate_every and self.done % settings.evaluate_every == 0)
        ):
            self._looked()
            network.train()
        if self.report is not None:
            self.report(TrainingStep(self.done, settings.steps, loss, tokens, self.name))

    def _backward(self, rows: Sequence[TokenRow]) -> float:
        """The loss of a batch, its gradients added up over parts that fit into memory. Where one does not,
        all begin anew: of a pass that breaks off, some gradients may have been added already."""
        norm, cost = self.objective.norm(rows), self.trained.cost
        parts = cut(rows, self.settings.rows_at_once, shares=self.layout == "trie")
        total, at = 0.0, len(parts) - 1
        while at >= 0:
            part = parts[at]
            try:
                total, at = total + self._part(part, norm), at - 1
            except Exception as error:
                if not out_of_memory(error) or len(part) == 1:
                    raise
                parts[at : at + 1] = [part[: len(part) // 2], part[len(part) // 2 :]]
                for parameter in self.attached.parameters().values():
                    parameter.grad = None
                total, at, self.trained.cost = 0.0, len(parts) - 1, cost
        return total

    def _part(self, rows: Sequence[TokenRow], norm: float) -> float:
        network = self.attached.network
        half = network.device.type == "cuda" and network.dtype == torch.float32
        with torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext():
            logprobs = token_logprobs(network, rows, self.attached.root(), self.layout)
            loss = torch.stack(
                [self.objective.of(found, row) for found, row in zip(logprobs, rows, strict=True)]
            ).sum()
        torch.autograd.backward(loss / norm)
        ids = [row.ids for row in rows]
        shares = self.layout == "trie"
        forwarded = count_unique(as_arrays(ids)) if shares else sum(map(len, ids))
        forwarded += self.virtual * (1 if shares else len(rows))
        self.trained.cost += TrainingCost(tokens_forwarded=forwarded)
        return float(loss.detach()) / norm

    # looks at the validation split

    def _looked(self) -> None:
        assert self.look is not None
        self.attached.network.eval()
        with torch.no_grad():
            value, tokens = self.look()
        self.trained.looks.append((self.done, value))
        self.trained.cost += TrainingCost(tokens_validation=tokens)
        if not math.isfinite(value):
            raise diverged(
                f"what it says of the validation split is not finite after step {self.done} of "
                f"{self.settings.steps}", self.rate, self.trained.cost,
            )  # fmt: skip
        if value == max(v for _, v in self.trained.looks) and self._first_with(value) == self.done:
            self.best, self.trained.best_step = self.attached.state(), self.done

    def _first_with(self, value: float) -> int:
        return next(step for step, v in self.trained.looks if v == value)

    def _tired(self) -> bool:
        looks, patience = self.trained.looks, self.settings.patience
        return bool(patience) and len([s for s, _ in looks if s > self.trained.best_step]) >= patience

    # going on after a kill

    def _keep(self, optimiser: torch.optim.Optimizer) -> None:
        tensors = {f"weights/{k}": v for k, v in self.attached.state().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        names = list(self.attached.parameters())
        for index, held in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{names[index]}/{k}": v.cpu() for k, v in held.items()}
        schedule: dict[str, Any] = {}
        for key, value in self.attached.schedule_state().items():
            if isinstance(value, Tensor):
                tensors[f"schedule/{key}"] = value.cpu()
            else:
                schedule[key] = value
        trained = self.trained
        self.checkpoint.write(
            tensors,
            {
                "done": self.done, "losses": trained.losses, "extra": trained.extra, "looks": trained.looks,
                "best_step": trained.best_step, "cost": trained.cost.plain, "schedule": schedule,
            },
        )  # fmt: skip

    def _resume(self, optimiser: torch.optim.Optimizer) -> None:
        held = self.checkpoint.read()
        if held is None:
            return
        tensors, plain = held
        self.attached.load_schedule_state({**plain["schedule"], **parted(tensors, "schedule/")})
        self.attached.load(parted(tensors, "weights/"))
        self.best = parted(tensors, "best/")
        state = {
            index: parted(tensors, f"optimiser/{name}/")
            for index, name in enumerate(self.attached.parameters())
        }
        optimiser.load_state_dict(
            {
                "state": {k: v for k, v in state.items() if v},
                "param_groups": optimiser.state_dict()["param_groups"],
            }
        )
        self.done = int(plain["done"])
        self.trained = Trained(
            plain["losses"], plain["extra"], [(int(s), v) for s, v in plain["looks"]], plain["best_step"],
            TrainingCost(**plain["cost"]),
        )  # fmt: skip


def cut(rows: Sequence[TokenRow], most: int, *, shares: bool = False) -> list[list[TokenRow]]:
    """Rows in parts of at most `most` tokens, or of one row, those that share most beside one another.

    shares: whether what the rows of a part share counts once, as the trie forwards it.
    """
    parts: list[list[TokenRow]] = [[]]
    held = 0
    for row in sorted(rows, key=lambda r: r.ids):
        own = len(row.ids) - (seam(parts[-1][-1].ids, row.ids) if shares and parts[-1] else 0)
        if parts[-1] and held + own > most:
            parts.append([])
            held, own = 0, len(row.ids)
        parts[-1].append(row)
        held += own
    return parts


def _memory(network: Any) -> int:
    if network.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return int(psutil.Process().memory_info().rss)
