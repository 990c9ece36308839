"""What every component needs and no contract has to say: its parameters, and checks on them.

Constructors only store what they are given; the checks here raise ValueError, which the registry
turns into one line that names the component.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, Self

from icl.errors import ModelError
from icl.protocols import ALL_KINDS, Resources
from icl.types import Example, Outcome, TaskKind

LARGEST = 2**63 - 1
"""Of integers that torch and numpy take."""


def parameters_of(component: object) -> dict[str, Any]:
    """The keywords with which `component` was built; `type(component)(**parameters)` rebuilds it.

    Reads the attributes that have the names of the constructor's keywords.
    """
    names = inspect.signature(type(component)).parameters
    return {name: getattr(component, name) for name in names}


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raises ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")


def if_said(logprob: float) -> float | None:
    """A log-probability, or None for nan: some servers write texts without saying it, and JSON has no nan."""
    return None if math.isnan(logprob) else logprob


def needed(logprob: float, who: str) -> float:
    """A log-probability that `who` decides by. Raises ModelError where the model does not say it."""
    if math.isnan(logprob):
        raise ModelError(
            f"{who} goes by the log-probabilities of what the model writes, and this server does not "
            "say them: use another component, or a server that answers with logprobs"
        )
    return logprob


def check_flag(name: str, value: object) -> None:
    """Raises ValueError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; allowed: true, false")


def check_number(
    name: str,
    value: object,
    *,
    low: float | None = None,
    high: float | None = None,
    whole: bool = False,
) -> None:
    """Raises ValueError unless `value` is a finite number (`whole`: an integer) within [low, high]."""
    if high is None and isinstance(value, int) and value > LARGEST:
        high = LARGEST
    kinds = (int,) if whole else (int, float)
    good = isinstance(value, kinds) and not isinstance(value, bool)
    good = good and (isinstance(value, int) or math.isfinite(value))  # type: ignore[arg-type]
    if good and low is not None:
        good = value >= low  # type: ignore[operator]
    if good and high is not None:
        good = value <= high  # type: ignore[operator]
    if not good:
        bounds = [f">= {low}"] if low is not None else []
        bounds += [f"<= {high}"] if high is not None else []
        endless = isinstance(value, float) and not math.isfinite(value)
        noun = "an integer" if whole else "a finite number" if endless else "a number"
        raise ValueError(f"{name} is {value!r}; allowed: {noun} {' and '.join(bounds)}".rstrip())


def check_numbers(*, low: float, whole: bool = False, **values: object) -> None:
    """`check_number` for several parameters with one lower bound."""
    for name, value in values.items():
        check_number(name, value, low=low, whole=whole)


def check_texts(name: str, value: object) -> None:
    """Raises ValueError unless `value` is a list of texts."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is {value!r}; allowed: a list of texts")


def check_stops(value: object) -> None:
    """Raises ValueError unless `value` is a list of texts that can end an answer."""
    check_texts("stop", value)
    if "" in value:  # type: ignore[operator]
        raise ValueError(f"stop is {value!r}; allowed: a list of texts of at least one character")


class MethodDefaults:
    """The parts of the Method contract that most methods leave as they are: nothing to fit,
    nothing to look at once all queries are answered."""

    kinds: frozenset[TaskKind] = ALL_KINDS
    needs: frozenset[str] = frozenset({"renderer"})
    shows_selected = True
    asks_model = True

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Nothing to prepare."""
        return self

    def finish(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes as they are."""
        return outcomes
