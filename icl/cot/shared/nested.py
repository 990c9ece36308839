"""Methods inside methods: `self_consistency: {of: {few_shot: {}}}`, or objects in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from icl.cot.shared.chain import REASONING, ChainMethod
from icl.errors import ConfigError, IclError
from icl.protocols import Selector, methods, selectors
from icl.registry import Registry
from icl.types import TaskKind

Spec: TypeAlias = str | Mapping[str, Any] | object
"""A name, {name: {parameters}}, or the object itself."""


DEEPEST = 5
"""Methods within one another. Each level is built several times by the one above, to ask what it needs."""


def _levels(spec: object) -> int:
    """How many mappings stand in one another, parameters and all."""
    return 1 + max(map(_levels, spec.values()), default=0) if isinstance(spec, Mapping) else 0


def named(spec: Spec, key: str) -> tuple[str, dict[str, Any]] | None:
    """Name and parameters of a specification; None where it is an object.

    Raises ConfigError naming `key` for a mapping that is no specification.
    """
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping):
        return None
    if _levels(spec) > 2 * DEEPEST:
        raise ConfigError(f"{key}: components stand more than {DEEPEST} deep in one another")
    if len(spec) != 1:
        raise ConfigError(f"{key} is {dict(spec)!r}; allowed: a name, or {{name: {{parameters}}}}")
    ((name, parameters),) = spec.items()
    if not isinstance(name, str) or not (parameters is None or isinstance(parameters, Mapping)):
        raise ConfigError(f"{key}: the parameters of {name!r} must be a mapping, not {parameters!r}")
    return name, dict(parameters or {})


def _created(registry: Registry[Any], name: str, parameters: dict[str, Any], key: str) -> Any:
    try:
        return registry.create(name, parameters)
    except IclError as error:
        raise ConfigError(f"{key}: {error}") from error


def chain_method(spec: Spec, key: str = "of") -> ChainMethod:
    """The method that a combinator draws chains of.

    Raises ConfigError naming `key` for what is no method, or writes no chains.
    """
    parts = named(spec, key)
    built: object = spec if parts is None else _created(methods, *parts, key)
    if isinstance(built, type) or not isinstance(built, ChainMethod):
        writing = [name for name in methods if hasattr(methods.entry(name).factory, "chains")]
        raise ConfigError(
            f"{key} is {spec!r}, which writes no chains of thought; allowed: {', '.join(writing)}"
        )
    return built


def inner_selector(spec: Spec, key: str = "selector") -> Selector:
    """A selector of a method's own. Raises ConfigError naming `key` for what is none."""
    parts = named(spec, key)
    built: Any = spec if parts is None else _created(selectors, *parts, key)
    if isinstance(built, type) or not (hasattr(built, "select") and hasattr(built, "fit")):
        raise ConfigError(f"{key} is {spec!r}; allowed: the name of a selector, or {{name: {{parameters}}}}")
    selector: Selector = built
    return selector


class InnerNeeds:
    """Class attribute `needs` of a combinator: its own resources and those of its inner method."""

    def __init__(self, *own: str) -> None:
        self.own = frozenset({"renderer", *own})

    def __get__(self, combinator: Any, owner: type) -> frozenset[str]:
        return self.own if combinator is None else self.own | chain_method(combinator.of).needs


class InnerShows:
    """Attribute `shows_selected` of a combinator: that of its inner method."""

    def __get__(self, combinator: Any, owner: type) -> bool:
        return combinator is None or getattr(chain_method(combinator.of), "shows_selected", True)


class InnerKinds:
    """Class attribute `kinds` of a combinator: those of its inner method."""

    def __get__(self, combinator: Any, owner: type) -> frozenset[TaskKind]:
        return REASONING if combinator is None else chain_method(combinator.of).kinds
