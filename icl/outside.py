"""Code that lies outside icl: named in a file as `package.module:Class`, run only where it was allowed.

An experiment, a task file or a run folder may come from anybody. A module that is imported runs, and
a class that is called may do anything, so a name alone must do neither. Who runs icl says that the code
is trusted: `--allow-code`, `icl.run(..., allow_code=True)`, or `with icl.allow_code():`. No file can.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from icl.errors import ConfigError
from icl.printable import shortened

_ALLOWED: ContextVar[bool] = ContextVar("icl_allow_code", default=False)


@contextmanager
def allow_code(allowed: bool = True) -> Iterator[None]:
    """Within it, `package.module:Class` in experiments and task files may be imported and run.

    allowed: False changes nothing, so that what a caller allowed stays so.
    """
    token = _ALLOWED.set(allowed or _ALLOWED.get())
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def code_is_allowed() -> bool:
    """Whether the caller is within `allow_code`."""
    return _ALLOWED.get()


def load_class(path: str, kind: str, contract: type) -> type[Any]:
    """The class that `path` names, looked at and not yet called.

    Raises ConfigError where code is not allowed here (nothing was imported then), where the path is no
    `package.module:Class`, cannot be imported, is no class, or lacks members of the `contract`.
    """
    shown = shortened(repr(path))
    module_name, _, attribute = path.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"{kind} {shown} is no name of a class; allowed: package.module:Class")
    if not code_is_allowed():
        raise ConfigError(
            f"{kind} {shown} is code outside icl, which would run on this machine with your rights; "
            "nothing was imported. If you trust it, add --allow-code; from Python, allow_code=True or "
            '"with icl.allow_code():"'
        )
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # a module may raise whatever it likes while it is imported
        raise ConfigError(f"{kind} {shown} cannot be imported: {_reason(error)}") from error
    if not isinstance(found, type):
        raise ConfigError(f"{kind} {shown} is no class, so it was not called; allowed: package.module:Class")
    missing = [name for name in members(contract) if not _has(found, name, contract)]
    if missing:
        lacking = ", ".join(_as_written(contract, name) for name in missing)
        raise ConfigError(f"{shown} is no {kind}, so it was not called: it lacks {lacking}")
    return found


def members(contract: type) -> tuple[str, ...]:
    """What a protocol asks for: its annotated attributes, properties and methods, in their order."""
    own = (*inspect.get_annotations(contract), *vars(contract))
    return tuple(dict.fromkeys(name for name in own if not name.startswith("_")))


def _has(found: type, name: str, contract: type) -> bool:
    """Looked up without running anything of the class's: no descriptor, no `__getattr__`."""
    value = inspect.getattr_static(found, name, None)
    if value is None:
        return any(name in inspect.get_annotations(base) for base in found.__mro__)
    if _is_set(contract, name):
        return not isinstance(value, str | list | tuple | dict)
    return not callable(vars(contract).get(name)) or callable(value) or hasattr(value, "__get__")


def _is_set(contract: type, name: str) -> bool:
    return "set[" in str(inspect.get_annotations(contract).get(name, ""))


def _as_written(contract: type, name: str) -> str:
    if callable(vars(contract).get(name)):
        return f"{name}()"
    return f"{name} (a set)" if _is_set(contract, name) else name


def _reason(error: BaseException) -> str:
    """The message alone where the module or the name is not there, else with the kind of error."""
    expected = isinstance(error, ImportError | AttributeError)
    return str(error) if expected else f"{type(error).__name__}: {error}"
