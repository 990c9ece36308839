"""A digest of what a scripted fake model would say: of its functions' code and of the data they reach."""

from __future__ import annotations

import hashlib
import re
import types
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

DEEPEST = 30
"""Parts within parts; what lies deeper is not looked at."""
PLAIN = (type(None), bool, int, float, complex, str, bytes)


def script_digest(*functions: Callable[..., Any] | None) -> str:
    """16 hexadecimal digits; "" without a function.

    Equal code over equal data is the same script, in another process too. What cannot be looked into
    (an object with a state of its own, a function written in C) makes a digest that no other model has:
    two scripts are never taken for one another.
    """
    if not any(functions):
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for function in functions:
        for part in _parts(function, ()):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\x1f")
        digest.update(b"\x1e")
    return digest.hexdigest()


def _parts(value: Any, above: tuple[object, ...]) -> Iterator[str]:
    """A text for each part that decides what a value does. `above`: what it is a part of."""
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
        return
    depth = next((i for i, held in enumerate(above) if held is value), None)
    if depth is not None:
        yield f"above {depth}"
        return
    inside = (*above, value)
    if len(inside) > DEEPEST:
        yield _unlike_any()
    elif isinstance(value, tuple | list | set | frozenset | Mapping):
        yield f"{type(value).__name__} {len(value)}"
        for item in _items(value):
            yield from _parts(item, inside)
    elif isinstance(value, re.Pattern):
        yield f"pattern {value.pattern!r} {value.flags}"
    elif isinstance(value, types.CodeType):
        yield value.co_code.hex()
        yield " ".join((*value.co_names, *value.co_varnames, *value.co_freevars))
        yield from _parts(value.co_consts, inside)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, inside)
    elif isinstance(value, types.ModuleType):
        yield f"module {value.__name__}"
    elif isinstance(value, types.BuiltinFunctionType | type) and value.__module__ == "builtins":
        yield f"builtin {value.__qualname__}"
    else:
        yield _unlike_any()


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else value


def _function(function: types.FunctionType, above: tuple[object, ...]) -> Iterator[str]:
    """Its code, its defaults, and the variables around it that the code names; of a function that
    comes from another module its name and code alone."""
    yield from _parts(function.__code__, above)
    yield from _parts((function.__defaults__, function.__kwdefaults__), above)
    home = next(f.__module__ for f in above if isinstance(f, types.FunctionType))
    if function.__module__ != home:
        yield f"{function.__module__}.{function.__qualname__}"
        return
    for cell in function.__closure__ or ():
        yield from _parts(cell.cell_contents, above)
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield from _parts(function.__globals__[name], above)


def _names(code: types.CodeType) -> tuple[str, ...]:
    """Global names, those of functions within too."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def _unlike_any() -> str:
    return uuid.uuid4().hex
