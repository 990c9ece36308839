"""Seeded mutations of texts and of trees of plain data (what YAML and JSON files hold)."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

TOKENS = (
    "null", "~", "true", "no", "0", "-1", "1e999", ".nan", "-.inf", "0b_", "0x_", "1_000", "9" * 40,
    "2020-13-45", "2020-01-31", "2020-01-01T25:61:61Z", "12:30:45", "!!int x", "!!float y", "!!binary @",
    "!!set {a, b}", "!!python/name:os.getcwd", "!!timestamp z", "&a [*a]", "*a", "&b", "<<: *a", "<<: 3",
    "{[a]: b}", "{{a: 1}: 2}", "? [x, y]", "[", "]", "{", "}", ": ", "- ", "---", "...", "%YAML 9.9", "|",
    ">-",     '"', "'", "#", "\t", "\ufeff", "\x00", "\x1b[31m", "\x07", "\u202e", "\u2028", "\x85",
    '"\\ud83d"', '"\\e[2J"',
    "a" * 5000, "[" * 300, "{a: " * 200, "{{ text }}", "{{ 7 ** 300000 }}", "{{ 'x' * 999999999 }}",
    "{% for i in range(99999999) %}x{% endfor %}", "{{ ''.__class__ }}", "{{", "%}", "é",
    "日本語", "\U0001f600",
    "subprocess:Popen", "os:getcwd", "a.b:C", "../..", "/", ".", "/dev/zero", "=", "a=b", "a,b", "(",
    "random", "accuracy", "direct", "zero_shot",
)  # fmt: skip
"""What a text may hold where nobody expects it."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 10**30, 0.5, -0.0, float("nan"), float("inf"), "", " ", "x", "yes", "1",
    "a" * 5000, "\x1b[2J", "\u202eabc", "two\nlines", "\x00", "os:getcwd", "subprocess:Popen", "random",
    "zero_shot", "few_shot", "direct", "accuracy", "{{ x }}", "{{ 9 ** 999999 }}", "../x", "/",
    [], [[]], [None], ["a", "a"], [1, 2], {}, {"a": 1}, {"a": {"b": {}}}, {"": 0}, {"random": None},
    {"x": [1, {"y": 2}]}, {1: 2}, {None: None}, {True: "t"},
)  # fmt: skip


def mutated_text(text: str, rng: random.Random, times: int | None = None) -> str:
    """One to three of the text mutations, one after another; most often one, so that some of it is read."""
    for _ in range(times or rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice(TEXT_MUTATIONS)(text, rng)
    return text


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes changed, put in, taken out, or cut off: a damaged file."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 2:
                del data[at : at + rng.randint(1, 20)]
            case _ if rng.random() < 0.2:
                del data[at:]
    return bytes(data)


def _at(text: str, rng: random.Random) -> int:
    return rng.randrange(len(text) + 1)


def _inserted(text: str, rng: random.Random) -> str:
    at = _at(text, rng)
    return text[:at] + rng.choice(TOKENS) + text[at:]


def _cut(text: str, rng: random.Random) -> str:
    at = _at(text, rng)
    return text[:at] + text[at + rng.randint(1, 12) :]


def _truncated(text: str, rng: random.Random) -> str:
    return text[: _at(text, rng)] if rng.random() < 0.3 else text


def _swapped_letters(text: str, rng: random.Random) -> str:
    at = _at(text, rng)
    return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


def _on_lines(change: Callable[[list[str], int, random.Random], None]) -> Callable[[str, random.Random], str]:
    def mutation(text: str, rng: random.Random) -> str:
        lines = text.split("\n")
        change(lines, rng.randrange(len(lines)), rng)
        return "\n".join(lines)

    return mutation


def _drop(lines: list[str], at: int, rng: random.Random) -> None:
    del lines[at]


def _double(lines: list[str], at: int, rng: random.Random) -> None:
    lines.insert(rng.randrange(len(lines) + 1), lines[at])


def _swap(lines: list[str], at: int, rng: random.Random) -> None:
    other = rng.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _indent(lines: list[str], at: int, rng: random.Random) -> None:
    lines[at] = rng.choice(("  ", " ", "\t", "    - ")) + lines[at]


def _dedent(lines: list[str], at: int, rng: random.Random) -> None:
    lines[at] = lines[at].lstrip()


def _value(lines: list[str], at: int, rng: random.Random) -> None:
    """What stands behind the first colon of a line gives way to something else."""
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {rng.choice(TOKENS)}"


TEXT_MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (
    _inserted,
    _cut,
    _truncated,
    _swapped_letters,
    *map(_on_lines, (_drop, _double, _swap, _indent, _dedent, _value, _value, _value)),
)


def mutated_tree(tree: Any, rng: random.Random, times: int | None = None) -> Any:
    """A copy of plain data with one to three nodes changed: value, key, place, shape."""
    holder = [copy.deepcopy(tree)]
    for _ in range(times or rng.choice((1, 1, 1, 2, 3))):
        parent, key = rng.choice(list(_places(holder)))
        rng.choice(TREE_MUTATIONS)(parent, key, rng, holder)
    return holder[0]


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every (parent, key or index) below a node, parents before children."""
    found: list[tuple[Any, Any]] = []
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        found.append((node, key))
        found += _places(node[key])
    return found


def _other_value(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    parent[key] = copy.deepcopy(rng.choice(VALUES))


def _taken_out(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    if parent is not holder:
        del parent[key]


def _listed(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    parent[key] = [parent[key]] * rng.randint(1, 3)


def _named(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    parent[key] = {rng.choice(("name", "x", "random", "few_shot", "of")): parent[key]}


def _as_text(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    parent[key] = str(parent[key])


def _mistyped_key(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    if isinstance(parent, dict) and isinstance(key, str) and key:
        parent[mutated_text(key, rng, 1)] = parent.pop(key)


def _moved(parent: Any, key: Any, rng: random.Random, holder: list[Any]) -> None:
    """A copy of a node at a place of another one: a key on the wrong level."""
    value = copy.deepcopy(parent[key])
    other, place = rng.choice(_places(holder))
    if isinstance(other, dict) and isinstance(key, str):
        other[key] = value
    else:
        other[place] = value


TREE_MUTATIONS: tuple[Callable[[Any, Any, random.Random, list[Any]], None], ...] = (
    _other_value,
    _other_value,
    _other_value,
    _taken_out,
    _listed,
    _named,
    _as_text,
    _mistyped_key,
    _moved,
)
