"""Direct discriminative optimisation: trained to tell its data from samples of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from icl.components import check_number
from icl.protocols import TuningResources, tuners
from icl.training import Network, Root, TrainingCost, TrainingRow, Tuned
from icl.tuning.shared.asking import engine_of, fresh_network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.forward import Layout, choose_layout, token_logprobs, virtual_length
from icl.tuning.shared.loop import cut
from icl.tuning.shared.regime import Regime
from icl.tuning.shared.rounds import Rounds, digest_of
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import TokenRow, tokenised
from icl.tuning.shared.tuner import RowWork, check_pool, hash_of
from icl.tuning.shared.validation import Validation
from icl.types import Example, GenerateRequest

SAMPLE = "sample"
"""The source of a row that the reference wrote."""


@tuners.register(
    "ddo",
    paper="Zheng et al. 2025, Direct Discriminative Optimization: Your Likelihood-Based Visual Generative "
    "Model is Secretly a GAN Discriminator",
)
@dataclass(kw_only=True)
class DDO(Regime):
    """Rounds: sample answers from the model as it stands, then train it to tell the pool's answers from them.

    L = -E_data log s(beta D) - alpha E_samples log(1 - s(beta D)), s the logistic function and D = log p(x) -
    log p_ref(x), the likelihood ratio, of a whole answer with its end. alpha, beta: how much samples count,
    how steep s is; the formula is of 1 and 1. rounds: after each the model becomes the reference. samples: a
    row of the pool each round. temperature: of sampling; the formula is of 1. max_tokens_sampled: of an
    answer, 0 for the task's own limit.
    """

    name = "ddo"
    example_parameters: ClassVar[dict[str, Any]] = {"rounds": 1}
    alpha: float = 1.0
    beta: float = 1.0
    rounds: int = 1
    samples: int = 1
    temperature: float = 1.0
    max_tokens_sampled: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_refit()
        for name in ("alpha", "beta", "temperature"):
            check_number(name, getattr(self, name), low=0)
            if getattr(self, name) == 0:
                raise ValueError(f"{name} is 0; allowed: a number > 0")
        check_number("rounds", self.rounds, low=1, whole=True)
        check_number("samples", self.samples, low=1, whole=True)
        check_number("max_tokens_sampled", self.max_tokens_sampled, low=0, whole=True)

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner."""
        check_pool(self.name, pool, resources)
        kept, held = self.inner.split(pool, resources)
        validation = self.inner.validation_of(held, resources)
        # both sides are whole answers, or their likelihoods are of unlike things
        rows = task_rows(kept, resources.task, resources.renderer, "always")
        rounds = Rounds(self, resources, digest_of(pool))
        network, root, last = resources.network, None, None
        cost, told = TrainingCost(), []
        for number in range(1, self.rounds + 1):
            draw = partial(self._drawn, rows, network, root, resources, number)
            drawn = rounds.data(f"samples of round {number}", draw)
            cost += TrainingCost(**drawn["cost"])
            if number > 1:
                del network, draw  # gone before another is opened
            train = partial(self._trained, rows, drawn, last, validation, resources, number)
            last = rounds.trained(f"round {number}", train)
            network, root = last.network, last.root
            cost += last.cost
            rate = last.notes["learning_rate"]
            told.append({**drawn["counts"], "learning_rate": rate, "loss": last.notes["losses"][-1]})
        assert last is not None
        rounds.clear()
        return replace(last, cost=cost, notes={**last.notes, "rounds": told})

    def _drawn(
        self,
        rows: Sequence[TrainingRow],
        network: Network,
        root: Root | None,
        resources: TuningResources,
        number: int,
    ) -> Mapping[str, Any]:
        """Answers of the reference as plain data, its log-probabilities of all answers, and the cost."""
        model = engine_of(resources, network, root)
        end = resources.renderer.end
        requests = [
            GenerateRequest(
                row.prompt,
                n=self.samples,
                max_tokens=self.max_tokens_sampled or resources.task.max_answer_tokens,
                temperature=self.temperature,
                stop=(end,),
                seed=int(resources.generator("ddo samples", f"{number}/{row.id}").integers(2**31)),
            )
            for row in rows
        ]
        written: list[dict[str, Any]] = []
        cut_short = same = 0
        for row, found in zip(rows, model.generate(requests), strict=True):
            for at, sample in enumerate(found.samples):
                whole = sample.stop_reason != "length"
                text = sample.text + (end if whole else "")
                cut_short += not whole
                same += text == row.completion
                written.append(asdict(replace(row, id=f"{row.id}/{at}", completion=text, source=SAMPLE)))
        samples = [TrainingRow(**row) for row in written]
        limit = self.inner.limit(resources)
        everything = tokenised([*rows, *samples], resources.tokenizer, limit).rows
        reference, tokens = logprobs_of(network, root, everything, self.inner.rows_at_once)
        counts = {
            "samples": len(samples), "samples_cut": cut_short, "samples_equal_to_data": same,
            "tokens_sampling": model.tokens,
        }  # fmt: skip
        cost = model.cost + TrainingCost(tokens_validation=tokens)
        return {"samples": written, "reference": reference, "counts": counts, "cost": cost.plain}

    def _trained(
        self,
        rows: Sequence[TrainingRow],
        drawn: Mapping[str, Any],
        last: Tuned | None,
        validation: Validation | None,
        resources: TuningResources,
        number: int,
    ) -> Tuned:
        if number > 1:
            resources = replace(resources, network=fresh_network(resources))
        samples = [TrainingRow(**row) for row in drawn["samples"]]
        work = PairedWork(rows, samples, self, resources, validation, number)
        objective = Discrimination(self.alpha, self.beta, self.samples, drawn["reference"])
        start = None if last is None else last.state
        return self.learn(work, resources, work.notes, objective=objective, start=start)


class Discrimination:
    """The loss of `DDO`. reference: row id -> log p_ref of its whole answer, in nats."""

    def __init__(self, alpha: float, beta: float, samples: int, reference: Mapping[str, float]) -> None:
        self._alpha, self._beta, self._samples, self._reference = alpha, beta, samples, reference

    def norm(self, rows: Sequence[TokenRow]) -> float:
        """Rows of data; of samples there are `samples` times as many."""
        return float(max(sum(row.row.source != SAMPLE for row in rows), 1))

    def of(self, logprobs: Tensor, row: TokenRow) -> Tensor:
        """-log s(beta D) of data, -alpha log(1 - s(beta D)) / samples of a sample."""
        ratio = self._beta * (logprobs.sum() - self._reference[row.row.id])
        if row.row.source == SAMPLE:
            return self._alpha / self._samples * F.softplus(ratio)
        return F.softplus(-ratio)


class PairedWork(RowWork):
    """Rows of the pool in epochs, each beside what the reference wrote for it."""

    def __init__(
        self, rows: Sequence[TrainingRow], samples: Sequence[TrainingRow], regime: DDO,
        resources: TuningResources, validation: Validation | None, number: int,
    ) -> None:  # fmt: skip
        super().__init__(rows, regime.inner, resources, validation)
        made = tokenised(samples, resources.tokenizer, regime.inner.limit(resources))
        by_row: dict[str, list[TokenRow]] = {}
        for sample in made.rows:
            by_row.setdefault(sample.row.id.rpartition("/")[0], []).append(sample)
        self._samples, self._number = by_row, number
        self.notes |= {f"samples_{key}": count for key, count in made.notes.items()}

    @property
    def of(self) -> str:
        """See search.Work."""
        everything = [sample for group in self._samples.values() for sample in group]
        return f"{super().of} {hash_of(everything)} round {self._number}"

    def batch(self, step: int, attached: Attached) -> Sequence[TokenRow]:
        """batch_size rows of the pool, and the samples of each."""
        rows = super().batch(step, attached)
        return [*rows, *(sample for row in rows for sample in self._samples.get(row.row.id, []))]


@torch.no_grad()
def logprobs_of(
    network: Network, root: Root | None, rows: Sequence[TokenRow], at_once: int
) -> tuple[dict[str, float], int]:
    """(row id -> log-probability of all that is learned of it, tokens forwarded)."""
    network.eval()
    layout: Layout = choose_layout(network, rows[:4], root)[0]
    found: dict[str, float] = {}
    for part in cut(rows, at_once):
        for row, logprobs in zip(part, token_logprobs(network, part, root, layout), strict=True):
            found[row.row.id] = float(logprobs.sum())
    return found, sum(len(row.ids) + virtual_length(root) for row in rows)
