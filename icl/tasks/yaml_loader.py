"""YAML as texts, numbers, true, false, null, lists and mappings, and nothing else.

PyYAML's safe loader with what YAML 1.1 makes of innocent words taken out, and with bounds:

- `yes`, `no`, `on`, `off`, dates (2020-01-31), times (12:30) and 1_000 stay text; 1e-4 is a number.
- Keys are texts as they are written, so that a label `1` is not another one than `"1"`.
- No other types (`!!set`, `!!binary`, `!!timestamp`, `!!python/...`).
- Depth, the number of values after aliases are followed, and the length of a file are bounded, and an
  alias cannot stand within what it names.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode

from icl.printable import visible

LONGEST_FILE = 1 << 20
"""Characters. A task with ten thousand labels has a fifth of it."""
DEEPEST = 64
"""Levels of lists and mappings. A method within a method takes two."""
LONGEST_NUMBER = 1000
"""Digits of a whole number. Python refuses to write out what has more than 4,300, in base 10 alone."""
MOST_VALUES = 200_000
"""With every alias counted as what it stands for: each level of a "billion laughs" doubles it."""

_TAG = "tag:yaml.org,2002:"
_IMPLICIT_NULL = r"~|null|Null|NULL|"
_IMPLICIT = (
    ("null", _IMPLICIT_NULL, ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
)  # the core schema of YAML 1.2, and merge keys


class Loader(yaml.SafeLoader):
    """The loader; `construct_*` raise what the safe loader's raise, with a place."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """What the safe loader makes; ConstructorError with its place for a value that Python cannot hold."""
        try:
            return super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
            written = getattr(node, "value", "")
            shown = repr(written[:80]) if isinstance(written, str) else "this"
            kind = node.tag.removeprefix(_TAG)
            raise ConstructorError(None, None, f"{shown} is no {kind}", node.start_mark) from error

    def construct_scalar(self, node: ScalarNode | MappingNode) -> Any:
        """The text, whole characters only."""
        value = super().construct_scalar(node)
        return _whole(value, node) if isinstance(value, str) else value

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys as they are written, whatever they could be read as."""
        if not isinstance(node, MappingNode):
            raise ConstructorError(None, None, f"a {node.id} is no mapping", node.start_mark)
        self.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                problem = f"a key must be text, not a {key.id}; a text with a bracket in front needs quotes"
                raise ConstructorError(None, None, problem, key.start_mark)
            found[_whole(key.value, key)] = self.construct_object(value, deep)
        return found


def _construct_map(loader: Loader, node: MappingNode) -> Any:
    found: dict[str, Any] = {}
    yield found
    found.update(loader.construct_mapping(node))


def _construct_null(loader: Loader, node: ScalarNode) -> None:
    """With `!!null` in front too: a word is not dropped in silence."""
    if not re.fullmatch(_IMPLICIT_NULL, loader.construct_scalar(node)):
        raise ValueError


def _construct_int(loader: Loader, node: ScalarNode) -> int:
    text = loader.construct_scalar(node)
    if len(text) > LONGEST_NUMBER:
        raise ValueError
    return int(text, 0 if text[:2] in ("0o", "0x") else 10)


def _construct_float(loader: Loader, node: ScalarNode) -> float:
    text: str = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _whole(text: str, node: Node) -> str:
    """Both halves of a pair as the one character they are. ConstructorError for half a pair."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        problem = "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"
        raise ConstructorError(None, None, problem, node.start_mark) from error


for _name, _pattern, _first in _IMPLICIT:
    Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)
Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in ("bool", "str", "seq")
}
Loader.add_constructor(_TAG + "null", _construct_null)
Loader.add_constructor(_TAG + "map", _construct_map)
Loader.add_constructor(_TAG + "int", _construct_int)
Loader.add_constructor(_TAG + "float", _construct_float)


class Dumper(yaml.SafeDumper):
    """Quotes every text that this loader or a plain one would read as something else."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """The tag by either loader's rules; text only where it is text for both."""
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if kind is ScalarNode and implicit[0] and tag == _TAG + "str":
            for resolved, pattern in Loader.yaml_implicit_resolvers.get(value[:1], []):
                if pattern.match(value):
                    return resolved
        return tag


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Node:
    """In double quotes where a character is not printed: within single ones PyYAML loses U+0085."""
    style = '"' if visible(text, keep="") != text else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


Dumper.add_representer(str, _represent_text)


def dump(data: Any) -> str:
    """`data` as YAML that reads back equal."""
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def check_bounds(text: str) -> None:
    """Raises yaml.YAMLError for a text that is too long, too deep, or too large once aliases are followed.

    Reads the events only: nothing is built, so that nothing can grow.
    """
    if len(text) > LONGEST_FILE:
        raise yaml.YAMLError(f"longer than {LONGEST_FILE:,} characters")
    known: dict[str | None, tuple[int, int]] = {}
    """Anchor -> values and levels of what it names."""
    open_: list[list[Any]] = [[None, 0, 0]]
    """For each list or mapping that is open: its anchor, its values and its levels so far."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append([event.anchor, 1, 0])
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, values, levels = open_.pop()
            known[anchor] = values, levels + 1
            _add(open_, values, levels + 1, event)
        elif isinstance(event, yaml.ScalarEvent):
            known[event.anchor] = 1, 0
            _add(open_, 1, 0, event)
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _, _ in open_):
                _refuse(f"the alias *{event.anchor} stands within what it names", event)
            _add(open_, *known.get(event.anchor, (1, 0)), event)
        if len(open_) > DEEPEST:
            _refuse(f"lists and mappings stand more than {DEEPEST} deep in one another", event)


def _add(open_: list[list[Any]], values: int, levels: int, event: yaml.Event) -> None:
    open_[-1][1] += values
    open_[-1][2] = max(open_[-1][2], levels)
    if sum(entry[1] for entry in open_) > MOST_VALUES:
        _refuse(f"more than {MOST_VALUES:,} values once aliases are followed", event)
    if len(open_) + levels > DEEPEST:
        _refuse(f"lists and mappings stand more than {DEEPEST} deep in one another", event)


def _refuse(problem: str, event: yaml.Event) -> None:
    raise ConstructorError(None, None, problem, event.start_mark)  # type: ignore[arg-type]
