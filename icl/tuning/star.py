"""STaR and LMSI: trained on the model's own chains of thought, round after round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

from icl.components import check_flag, check_number
from icl.cot.self_training import training_rows
from icl.cot.shared.nested import Spec, chain_method
from icl.cot.shared.sampled import check_sampling
from icl.errors import ConfigError
from icl.protocols import Resources, TuningResources, tuners
from icl.tasks import TaskData
from icl.training import Network, Root, TrainingCost, TrainingRow, Tuned
from icl.tuning.shared.asking import engine_of, fresh_network
from icl.tuning.shared.regime import Regime
from icl.tuning.shared.rounds import Rounds, digest_of
from icl.tuning.shared.tuner import AdaptingTuner, RowWork, check_pool
from icl.tuning.shared.validation import Validation
from icl.types import Example, Task


@tuners.register("star", paper="Zelikman et al. 2022, STaR: Bootstrapping Reasoning With Reasoning")
@dataclass(kw_only=True)
class Star(Regime):
    """Rounds: draw chains for the pool's questions, keep the good ones, train on them.

    method: what draws the chains, as in the grid; demonstrations are the method's own (`few_shot` with
    manual, prompts or a selector in it). rounds: how many at most; a round that keeps nothing is the end.
    labels: True keeps chains that reach the example's target (STaR); False those that reach the answer of
    most chains, targets unseen (LMSI, Huang et al. 2023). n, temperature, top_k: chains a question; by
    default one greedy chain, without labels 32 at 0.7. agreement: without labels, the smallest share of the
    chains that must agree. rationalise: whether questions without a right chain are asked again with a hint;
    by default where there are labels. from_base: whether each round trains the base model anew, as published,
    or goes on from the last.
    """

    name = "star"
    example_parameters: ClassVar[dict[str, Any]] = {"rounds": 1}
    method: Spec = "zero_shot"
    rounds: int = 3
    labels: bool = True
    n: int | None = None
    temperature: float | None = None
    top_k: int = 0
    agreement: float = 0.0
    rationalise: bool | None = None
    from_base: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_refit()
        check_number("rounds", self.rounds, low=1, whole=True)
        check_flag("labels", self.labels)
        check_flag("from_base", self.from_base)
        check_sampling(*self._sampling, self.top_k)
        check_number("agreement", self.agreement, low=0, high=1)
        if self.rationalise is not None:
            check_flag("rationalise", self.rationalise)
        if self.rationalise and not self.labels:
            raise ValueError("rationalise hints at targets, which labels: false does not look at")
        if "encoder" in chain_method(self.method, "method").needs:
            raise ValueError(f"method is {self.method!r}, which needs an encoder; there is none in training")

    @property
    def _sampling(self) -> tuple[int, float]:
        """(n, temperature) with their defaults."""
        n = (1 if self.labels else 32) if self.n is None else self.n
        by_count = 0.0 if n == 1 else 0.7
        return n, by_count if self.temperature is None else self.temperature

    def check(self, task: Task, load: Callable[[str], TaskData]) -> None:
        """Whether the method writes chains for tasks of this kind."""
        kinds = chain_method(self.method, "method").kinds
        if task.kind not in kinds:
            raise ConfigError(
                f"tuner {self.name!r}: method {self.method!r} is for {', '.join(sorted(kinds))} tasks; "
                f"{task.name!r} is {task.kind}"
            )

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner. Raises ConfigError where the first round keeps no chain."""
        check_pool(self.name, pool, resources)
        kept, held = self.inner.split(pool, resources)
        validation = self.inner.validation_of(held, resources)
        rounds = Rounds(self, resources, digest_of(pool))
        network, root, last = resources.network, None, None
        cost, told, said = TrainingCost(), [], {}
        for number in range(1, self.rounds + 1):
            draw = partial(self._drawn, kept, network, root, resources)
            drawn = rounds.data(f"chains of round {number}", draw)
            cost += TrainingCost(**drawn["cost"])
            if not drawn["rows"]:
                said = {"ended": f"round {number} kept no chain"}
                break
            if number > 1:
                del network, draw  # gone before another is opened
            train = partial(self._trained, drawn, last, validation, resources, number)
            last = rounds.trained(f"round {number}", train)
            network, root = last.network, last.root
            cost += last.cost
            rate = last.notes["learning_rate"]
            told.append({**drawn["counts"], "learning_rate": rate, "loss": last.notes["losses"][-1]})
        if last is None:
            counts = drawn["counts"]
            raise ConfigError(
                f"tuner {self.name!r}: no chain of {counts['questions']} questions of task "
                f"{resources.task.name!r} was right, so there is nothing to train on"
            )
        rounds.clear()
        return replace(last, cost=cost, notes={**last.notes, "rounds": told, **said})

    def _drawn(
        self, pool: Sequence[Example], network: Network, root: Root | None, resources: TuningResources
    ) -> Mapping[str, Any]:
        """The rows of a round as plain data, counts, and what sampling them cost."""
        model = engine_of(resources, network, root)
        given = Resources(
            resources.task, seed=resources.seed, model=model, renderer=resources.renderer, pool=pool
        )
        n, temperature = self._sampling
        rows = training_rows(
            self.method,  # type: ignore[arg-type]
            pool,
            given,
            keep="correct" if self.labels else "agreement",
            n=n,
            temperature=temperature,
            top_k=self.top_k,
            agreement=self.agreement,
            rationalise=self.labels and self.rationalise is not False,
        )
        hinted = [row for row in rows if row.source == "rationalised"]
        counts = {
            "questions": len(pool),
            "solved": len({row.id for row in rows} - {row.id for row in hinted}),
            "chains": len(rows),
            "rationalised": len(hinted),
            "tokens_sampling": model.tokens,
        }
        return {"rows": [asdict(row) for row in rows], "counts": counts, "cost": model.cost.plain}

    def _trained(
        self,
        drawn: Mapping[str, Any],
        last: Tuned | None,
        validation: Validation | None,
        resources: TuningResources,
        number: int,
    ) -> Tuned:
        renderer = resources.renderer
        end = "" if self.inner.end == "never" else renderer.end
        in_chat = not renderer.stops(chain=True)
        rows = [
            TrainingRow(
                f"{row['id']}.{at}",
                row["prompt"],
                (row["completion"].lstrip() if in_chat else row["completion"]) + end,
                row["source"],
            )
            for at, row in enumerate(drawn["rows"])
        ]
        if number > 1:
            resources = replace(resources, network=fresh_network(resources))
        start = None if self.from_base or last is None else last.state
        work = RoundWork(rows, self.inner, resources, validation, number)
        return self.learn(work, resources, work.notes, start=start)


class RoundWork(RowWork):
    """Rows of one round: the same rows in another round are another run."""

    def __init__(
        self, rows: Sequence[TrainingRow], settings: AdaptingTuner, resources: TuningResources,
        validation: Validation | None, number: int,
    ) -> None:  # fmt: skip
        super().__init__(rows, settings, resources, validation)
        self._number = number

    @property
    def of(self) -> str:
        """See search.Work."""
        return f"{super().of} round {self._number}"
