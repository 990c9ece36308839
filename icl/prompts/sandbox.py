"""The sandbox that templates run in: nothing of Python can be reached, and nothing can grow without bound.

jinja2's immutable sandbox sees to the first. It bounds `range` only, so a template that is shared could
still ask for `7 ** 300000`, a text repeated a thousand million times, or loops in loops. Here every value
that is made is measured, every turn of a loop is counted, and what exceeds its share of work is an error.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import GeneratorType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST_TEXT = 4_000_000
"""Characters of one text: an item that fills a context window of a million tokens."""
MOST_PARTS = 100_000
"""Values within one list, counted through all levels, and turns of all loops together."""
MOST_WORK = 40_000_000
"""Characters and values made while one template is rendered."""
LONGEST_SECONDS = 10.0
"""For what no count catches. Nothing that fits a prompt comes near it on any machine."""
LONGEST_NUMBER = 4096
"""Bits of an integer."""
LARGEST_ARGUMENT = 10_000
"""Widths, counts and precisions that filters and methods take."""
GLOBALS = frozenset({"range", "namespace", "joiner"})
NO_FILTERS = frozenset({"random", "urlize", "pprint", "xmlattr", "filesizeformat"})
"""Left out: prompts would differ from run to run, or there is no use for them in a prompt."""
NO_STATEMENTS = (
    nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block,
)  # fmt: skip
"""Left out: a template is one text, and a macro that calls itself has no bound."""
MULTIPLYING = frozenset({"replace", "join", "wordwrap", "format", "format_map", "indent", "expandtabs"})
"""Filters and methods whose result may be as long as one argument times another."""
_WIDTH = re.compile(r"%(\([^)]*\))?[^a-zA-Z%]*(\d{4,}|\*)|\{[^{}]*(\d{4,}|\{)")


class Refused(SecurityError):
    """A template asks for more than it may."""


class Budget:
    """What one rendering has made so far."""

    def __init__(self) -> None:
        self.turns = 0
        self.work = 0
        self._until = time.monotonic() + LONGEST_SECONDS
        self._sizes: dict[int, tuple[Any, int]] = {}
        """id -> the list itself, so that no other takes its id, and the values in it."""

    def spend(self, work: int) -> None:
        """Raises Refused once all is spent."""
        self.work += work
        if self.work > MOST_WORK or time.monotonic() > self._until:
            raise Refused("it makes too much: the work of one template is bounded")

    def turn(self, steps: int = 1) -> None:
        """One turn of a loop of so many steps."""
        self.spend(steps)
        self.turns += 1
        if self.turns > MOST_PARTS:
            raise Refused(f"its loops take more than {MOST_PARTS:,} turns")

    def measured(self, value: Any) -> Any:
        """`value`, or as a list where it was to be made one by one. Raises Refused if it is too large."""
        if isinstance(value, GeneratorType | map | filter | zip):
            value = [item for item in self.counted(value)]  # noqa: C416
        if isinstance(value, str | bytes):
            if len(value) > LONGEST_TEXT:
                raise Refused(f"it makes a text of more than {LONGEST_TEXT:,} characters")
            self.spend(len(value))
        elif isinstance(value, int) and value.bit_length() > LONGEST_NUMBER:
            raise Refused("it makes a number that is too large")
        elif isinstance(value, list | tuple | dict | set | frozenset):
            self.spend(self._parts(value))
        return value

    def counted(self, items: Iterable[Any], steps: int = 1) -> Iterator[Any]:
        """The items, a turn of so many steps each."""
        for item in items:
            self.turn(steps)
            yield item

    def _parts(self, value: Any) -> int:
        """Values through all levels; a list that stands in several places counts in each."""
        known = self._sizes.get(id(value))
        if known is not None:
            return known[1]
        inside = value.values() if isinstance(value, Mapping) else value
        size = 1 + sum(self._size(item) for item in inside)
        if size > MOST_PARTS:
            raise Refused(f"it makes a list of more than {MOST_PARTS:,} values")
        self._sizes[id(value)] = (value, size)
        return size

    def _size(self, value: Any) -> int:
        if isinstance(value, list | tuple | dict | set | frozenset):
            return self._parts(value)
        return 1 + len(value) // 1000 if isinstance(value, str) else 1


_BUDGET: ContextVar[Budget | None] = ContextVar("icl_template_budget", default=None)


def budget() -> Budget:
    """That of the rendering in progress; a fresh one where constants are folded."""
    return _BUDGET.get() or Budget()


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # prompts are plain text; "&" must stay "&"
            # Every line break stands where it was written: "Label:\n" asks for the answer on the next line.
            keep_trailing_newline=True,
            finalize=_shown,
        )
        self.globals = {name: value for name, value in self.globals.items() if name in GLOBALS}
        self.filters = {n: _bounded(n, f) for n, f in self.filters.items() if n not in NO_FILTERS}
        self.filters |= {"_turns": _turns, "_measured": _measured, "_joined": _joined}

    def guarded(self, source: str) -> nodes.Template:
        """The template's tree with every loop counted and every list, mapping and joint measured.

        Raises jinja2.TemplateSyntaxError for what is no template, or uses what is left out here.
        """
        tree = self.parse(source)
        for kind in NO_STATEMENTS:
            for node in tree.find_all(kind):
                word = type(node).__name__.lower()
                raise jinja2.TemplateSyntaxError(f"{word} is left out of templates here", node.lineno)
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise jinja2.TemplateSyntaxError("recursive loops are left out here", loop.lineno)
            steps = nodes.Const(sum(1 for _ in loop.find_all(nodes.Node)), lineno=loop.lineno)
            loop.iter = nodes.Filter(loop.iter, "_turns", [steps], [], None, None, lineno=loop.lineno)
        _rewrite(tree)
        return tree

    def call(self, context: Any, called: Any, *args: Any, **kwargs: Any) -> Any:
        """A method or global with its arguments and its result measured."""
        method = getattr(called, "__wrapped__", called)  # the sandbox wraps str.format
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str):
            _check(getattr(method, "__name__", ""), (owner, *args), kwargs)
        else:
            _check("", args, kwargs)
        return budget().measured(super().call(context, called, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """An operator that can make something large out of something small."""
        if operator == "**":
            _check_power(left, right)
        if operator == "*":
            _check_product(left, right)
        if operator == "%" and isinstance(left, str):
            _check("format", (left, *(right if isinstance(right, tuple) else (right,))), {})
        return budget().measured(super().call_binop(context, operator, left, right))

    def rendered(self, template: jinja2.Template, values: Mapping[str, Any]) -> str:
        """The text of one template. Raises Refused where it would take too much."""
        token = _BUDGET.set(Budget())
        try:
            pieces, length = [], 0
            for piece in template.generate(values):
                length += len(piece)
                if length > LONGEST_TEXT:
                    raise Refused(f"its text is longer than {LONGEST_TEXT:,} characters")
                pieces.append(piece)
            return "".join(pieces)
        finally:
            _BUDGET.reset(token)


def _rewrite(node: nodes.Node) -> None:
    """Lists, tuples and mappings that are read, and joints (`a ~ b`), measured when they are made."""
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _rewritten(value))
        elif isinstance(value, list):
            setattr(node, name, [_rewritten(v) if isinstance(v, nodes.Node) else v for v in value])


def _rewritten(node: nodes.Node) -> nodes.Node:
    _rewrite(node)
    if isinstance(node, nodes.Concat):
        items = nodes.List(node.nodes, lineno=node.lineno)
        return _filter(items, "_joined")
    stored = isinstance(node, nodes.Tuple) and node.ctx != "load"
    if isinstance(node, nodes.List | nodes.Tuple | nodes.Dict) and not stored:
        return _filter(node, "_measured")
    return node


def _filter(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _turns(items: Any, steps: int) -> Any:
    return budget().counted(items, steps) if not isinstance(items, jinja2.Undefined) else items


def _measured(value: Any) -> Any:
    return budget().measured(value)


def _joined(items: list[Any]) -> str:
    """What `~` makes: texts of all items, one after another."""
    budget().measured(items)
    text: str = budget().measured("".join(map(str, items)))
    return text


def _shown(value: Any) -> Any:
    """What stands in `{{ ... }}`, measured before it is written down."""
    return value if isinstance(value, jinja2.Undefined) else budget().measured(value)


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter with its arguments and its result measured."""

    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check(name, args, kwargs)
        return budget().measured(function(*args, **kwargs))

    return bounded


def _check(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
    """Arguments of a filter, or the text that a method belongs to and the method's."""
    values = [budget().measured(value) for value in (*args, *kwargs.values())]
    numbers = [abs(value) for value in values if isinstance(value, int)]
    if max(numbers, default=0) > LARGEST_ARGUMENT:
        raise Refused(f"a filter or method is given {max(numbers):,} (at most {LARGEST_ARGUMENT:,})")
    texts = [value for value in values if isinstance(value, str)]
    if name in ("format", "format_map") and texts:
        _check_width(texts[0])
    if name in MULTIPLYING:
        lengths = [len(v) for v in values if isinstance(v, str | list | tuple | dict)]
        factors = sorted([*lengths, *(numbers if name in ("indent", "expandtabs") else [])])
        if len(factors) > 1 and factors[-1] * factors[-2] > 5 * LONGEST_TEXT:
            raise Refused(f"what {name} makes may be {factors[-1]:,} times {factors[-2]:,} characters long")


def _check_width(pattern: str) -> None:
    if _WIDTH.search(pattern):
        raise Refused("it asks for a field of a thousand characters or more, or of a width from elsewhere")


def _check_power(base: Any, exponent: Any) -> None:
    if not (isinstance(base, int | float) and isinstance(exponent, int | float)):
        raise Refused("** takes numbers")
    if isinstance(base, int) and base.bit_length() * abs(exponent) > LONGEST_NUMBER:
        raise Refused("it makes a number that is too large")


def _check_product(left: Any, right: Any) -> None:
    for repeated, times in ((left, right), (right, left)):
        if isinstance(repeated, str | list | tuple) and isinstance(times, int):
            most = LONGEST_TEXT if isinstance(repeated, str) else MOST_PARTS
            if len(repeated) * times > most:
                raise Refused(f"it repeats something {times:,} times")
