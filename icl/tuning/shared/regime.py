"""Base of the regimes: what is trained on is theirs, how parameters are adapted is that of a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from icl.components import parameters_of
from icl.cot.shared.nested import Spec, named
from icl.errors import ConfigError, IclError
from icl.protocols import ALL_KINDS, TuningResources, tuners
from icl.training import Network, Tuned
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.objective import NegativeLogLikelihood, Objective
from icl.tuning.shared.search import Work, fit
from icl.tuning.shared.tuner import NO_NEEDS, AdaptingTuner


@dataclass(kw_only=True)
class Regime:
    """with: the method that adapts the parameters, a name or {name: {parameters}}; steps, batch_size,
    learning_rate and the other settings of training are its own, and are written inside it."""

    kinds = ALL_KINDS
    needs = NO_NEEDS
    name = ""

    with_: Spec = "lora"
    inner: AdaptingTuner = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.inner = inner_tuner(self.with_, self.name)

    @property
    def uses_pool(self) -> bool:
        """See protocols.Tuner."""
        return True

    @property
    def keeps(self) -> int:
        """Examples of the pool that are kept from training."""
        return self.inner.keeps

    @property
    def config(self) -> dict[str, Any]:
        """For `Tuned.config`: plain, with every parameter of the inner method."""
        given = {key.rstrip("_"): value for key, value in parameters_of(self).items()}
        inner = {self.inner.name: parameters_of(self.inner)}
        return {"tuner": self.name, "parameters": {**given, "with": inner}}

    def learn(
        self,
        work: Work,
        resources: TuningResources,
        notes: Mapping[str, Any],
        *,
        whole: Work | None = None,
        objective: Objective | None = None,
        start: Mapping[str, Tensor] | None = None,
    ) -> Tuned:
        """Trains by the inner method. start: a state to begin from, instead of the untrained one."""

        def attach(network: Network) -> Attached:
            attached = self.inner.attach(network, resources)
            if start is not None:
                attached.load(start)
            return attached

        loss = objective or NegativeLogLikelihood(self.inner.loss)
        return fit(attach, work, whole, loss, self.inner, resources, self.config, notes)

    def restore(self, state: Mapping[str, Tensor], network: Network) -> Tuned:
        """See protocols.Tuner: the inner method makes the network."""
        made = self.inner.restore(state, network)
        peft = made.config.get("peft")
        return replace(made, config={**self.config, **({"peft": peft} if peft else {})})

    def refuse_refit(self) -> None:
        """ValueError where the inner method is told what this regime has no use for."""
        if self.inner.refit:
            raise ValueError("refit is for methods that train on the pool's own rows; allowed here: false")


def inner_tuner(spec: Spec, regime: str) -> AdaptingTuner:
    """The method in `with`. Raises ConfigError naming it for what adapts no parameters: an unknown name (with
    the nearest), a wrong parameter, another regime."""
    if isinstance(spec, AdaptingTuner):
        return spec
    try:
        parts = named(spec, "with")
        if parts is None:
            raise ConfigError(f"with is {spec!r}; allowed: a name, or {{name: {{parameters}}}}")
        name, parameters = parts
        if not _adapts(tuners.entry(name).factory):
            known = ", ".join(n for n in tuners if _adapts(tuners.entry(n).factory))
            raise ConfigError(f"with: {name!r} says what to train on, not how; allowed: {known}")
        built = tuners.create(name, parameters)
    except IclError as error:
        raise ConfigError(f"tuner {regime!r}: {_within(str(error))}") from error
    assert isinstance(built, AdaptingTuner)
    return built


def _within(message: str) -> str:
    return message if message.startswith("with") else f"with: {message}"


def _adapts(factory: object) -> bool:
    return isinstance(factory, type) and issubclass(factory, AdaptingTuner)
