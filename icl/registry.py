"""Components by name. A new component is one new file with one decorator.

A registry knows the sub-packages where its components live and imports them on first use, so a
file dropped there appears in YAML, `icl list` and the conformance suite without another edit.
`package.module:Class` reaches components outside icl where that is allowed (`icl.outside`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from icl.errors import ConfigError, nearest, unknown_name
from icl.outside import load_class
from icl.printable import shortened

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword of a component's constructor."""

    name: str
    default: Any
    annotation: str

    @property
    def required(self) -> bool:
        """True when the YAML must give it."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A registered component class or factory."""

    name: str
    factory: Callable[..., T]
    paper: str

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.factory) or "").split("\n", 1)[0]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Keywords of the constructor, in order."""
        signature = inspect.signature(self.factory)
        return tuple(
            Parameter(p.name, p.default, str(p.annotation).replace("typing.", ""))
            for p in signature.parameters.values()
            if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        )


class Registry(Generic[T]):
    """Name -> component, for one kind of component.

    `kind` is the word used in messages; `packages` are imported, modules and all, on first use; a class
    from outside icl must have the members of the protocol `contract`.
    """

    def __init__(self, kind: str, packages: tuple[str, ...], contract: type) -> None:
        self.kind = kind
        self.contract = contract
        self.packages = packages
        self._entries: dict[str, Entry[T]] = {}
        self._loaded = False

    def register(self, name: str, *, paper: str = "") -> Callable[[Callable[..., T]], Any]:
        """Decorator: files the class under `name` and returns it. Duplicates are refused."""

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            known = self._entries.get(name)
            if known is not None and known.factory is not factory:
                raise ConfigError(f"{self.kind} {name!r} is registered twice: {known.factory} and {factory}")
            self._entries[name] = Entry(name, factory, paper)
            return factory

        return add

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for package_name in self.packages:
            package = importlib.import_module(package_name)
            for module in pkgutil.iter_modules(package.__path__, package_name + "."):
                importlib.import_module(module.name)

    def files(self) -> list[tuple[str, Path]]:
        """The file of each component of icl's own by the component's name, sorted; none is imported."""
        found = []
        for package_name in self.packages:
            for folder in importlib.import_module(package_name).__path__:
                found += [(path.stem, path) for path in Path(folder).glob("*.py") if _registers(path)]
        return sorted(found)

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def entry(self, name: str) -> Entry[T]:
        """The entry filed under `name`, or a class from outside at `package.module:Class`.

        Raises ConfigError naming the nearest registered name, or saying what is wrong with the class, or
        that code from outside is not allowed here.
        """
        self._load()
        if name in self._entries:
            return self._entries[name]
        if ":" in name:
            return Entry(name, load_class(name, self.kind, self.contract), "")
        raise ConfigError(unknown_name(self.kind, name, self._entries))

    def create(self, name: str, parameters: Mapping[str, Any] | None = None) -> T:
        """Builds the component; an unknown or missing keyword is a ConfigError with the nearest name.

        A ValueError or TypeError of the constructor (a value out of range) becomes a ConfigError too.
        """
        entry = self.entry(name)
        given = dict(parameters or {})
        try:
            allowed = {p.name.rstrip("_"): p for p in entry.parameters}
        except ValueError as error:  # a class from outside may have no signature
            raise ConfigError(f"{self.kind} {name!r} does not say what parameters it has: {error}") from error
        for key in given:
            if key not in allowed:
                guess = nearest(key, allowed)
                hint = f" Did you mean {guess!r}?" if guess else ""
                raise ConfigError(
                    f"{self.kind} {name!r} has no parameter {shortened(repr(key))}.{hint} "
                    f"Allowed: {', '.join(allowed) or 'none'}"
                )
        missing = [key for key, p in allowed.items() if p.required and key not in given]
        if missing:
            raise ConfigError(f"{self.kind} {name!r} needs the parameter {missing[0]!r}")
        try:
            return entry.factory(**{allowed[key].name: value for key, value in given.items()})
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self.kind} {name!r}: {error}") from error


def _registers(path: Path) -> bool:
    """Whether a file files a component; contracts and what several share stand beside them."""
    return ".register(" in path.read_text(encoding="utf-8")
