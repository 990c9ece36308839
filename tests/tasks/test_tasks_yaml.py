"""What a YAML file may hold, and how everything else is refused: one line with file and line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from icl.errors import ConfigError
from icl.tasks.strict_yaml import read_value, read_yaml
from icl.tasks.yaml_loader import DEEPEST, MOST_VALUES, dump


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return read_yaml(path)[0]


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 2500
    return message.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"), ("off", "off"), ("2020-01-31", "2020-01-31"), ("2020-13-45", "2020-13-45"),
        ("12:30", "12:30"), ("1_000", "1_000"), ("0b_", "0b_"), ("0b11", "0b11"), ("+", "+"), (".", "."),
        ("true", True), ("False", False), ("~", None), ("", None), ("007", 7), ("-3", -3), ("0x1F", 31),
        ("0o17", 15), ("1e-4", 1e-4), ("1.", 1.0), (".5", 0.5), ("-.inf", float("-inf")), ("'1'", "1"),
        ('"\\ud83d\\ude00"', "\U0001f600"), ("!!str 1", "1"), ("!!int 0x10", 16), ("!!float 1", 1.0),
    ],
)  # fmt: skip
def test_words_and_numbers(tmp_path: Path, written: str, value: object) -> None:
    got = read(tmp_path, f"key: {written}")["key"]
    assert (type(got), got) == (type(value), value)


def test_keys_are_texts_as_they_stand_and_anchors_and_merges_work(tmp_path: Path) -> None:
    text = (
        "1: a\ntrue: b\nnull: c\n2020-01-01: d\nbase: &x {p: 1, q: 2}\nmore: {<<: *x, q: 3}\nsame: [*x, *x]\n"
    )
    found = read(tmp_path, text)
    assert list(found)[:4] == ["1", "true", "null", "2020-01-01"]
    assert found["more"] == {"p": 1, "q": 3}
    assert found["same"] == [{"p": 1, "q": 2}] * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: !!int x", "any.yaml:2: not valid YAML: 'x' is no int"),
        ("a: !!float y", "any.yaml:1: not valid YAML: 'y' is no float"),
        ("a: !!bool maybe", "'maybe' is no bool"),
        ("a: !!null word", "any.yaml:1: not valid YAML: 'word' is no null"),
        ("a: [!!null []]", "any.yaml:1"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!int [1]", "any.yaml:1"),
        ("a: !!map 1", "any.yaml:1"),
        ("a: " + "9" * 5000, "is no int"),
        ("a: 0x" + "f" * 5000, "is no int"),
        ("a: 0o" + "7" * 5000, "is no int"),
        ("a: !!set {x, y}", "the type !!set is not allowed; allowed: texts, numbers"),
        ("a: !!binary aGk=", "!!binary is not allowed"),
        ("a: !!timestamp 2020-01-01", "!!timestamp is not allowed"),
        ("a: !!python/name:os.getcwd", "!!python/name:os.getcwd is not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "is not allowed"),
        ("a: !mine x", "the type !mine is not allowed"),
        ("a: 1\nb: &x [1, *x]", "any.yaml:2: not valid YAML: the alias *x stands within what it names"),
        ("a: &x {<<: *x}", "the alias *x stands within what it names"),
        ("a: *nowhere", "any.yaml:1: not valid YAML: found undefined alias"),
        ("a: 1\n{[b]: c}", "any.yaml:2"),
        ("a: {[b]: c}", "any.yaml:1: not valid YAML: a key must be text, not a sequence"),
        ("? {b: 1}\n: c", "a key must be text, not a mapping"),
        ("a: 1\na: 2", "any.yaml:2: key 'a' is given twice (first on line 1)"),
        ("a: <<: 3", "any.yaml:1"),
        ("a: {<<: 3}", "any.yaml:1: not valid YAML: expected a mapping"),
        ('a: "\\ud83d"', "half of a surrogate pair"),
        ('"\\ude00": 1', "half of a surrogate pair"),
        ("a: \x07", "any.yaml"),
        ("- 1", "must hold a mapping of keys to values, not a list"),
        ("x" * 5000, "must hold a mapping of keys to values, not 'xxx"),
        ("a: 1\n---\nb: 2", "any.yaml:2"),
        ("# nothing", "the file is empty"),
        ("a: b: c", "a text with a colon in it needs quotes"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refused(tmp_path, text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "!!seq ["])
def test_depth_is_bounded(tmp_path: Path, opening: str) -> None:
    for depth in (DEEPEST + 1, 1000, 4000):
        assert refused(tmp_path, "a:\n  " + opening * depth).startswith("/any.yaml")
    inside = "a: " + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2)
    assert read(tmp_path, inside)


def test_aliases_that_multiply_are_bounded(tmp_path: Path) -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 30))
    began = time.monotonic()
    assert f"more than {MOST_VALUES:,} values once aliases are followed" in refused(
        tmp_path, f"l0: &l0 x\n{levels}"
    )
    chain = "\n".join(f"l{i}: &l{i} [*l{i - 1}]" for i in range(1, 500))
    assert f"more than {DEEPEST} deep" in refused(tmp_path, f"l0: &l0 x\n{chain}")
    merges = "\n".join(f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}, *m{i - 1}]}}" for i in range(1, 30))
    assert "once aliases are followed" in refused(tmp_path, f"m0: &m0 {{x: 1}}\n{merges}")
    assert time.monotonic() - began < 5


def test_files_without_end_and_names_that_are_none(tmp_path: Path) -> None:
    for path in (Path("/dev/zero"), tmp_path / "a\x00b.yaml", tmp_path / ("n" * 5000), tmp_path):
        with pytest.raises(ConfigError) as caught:
            read_yaml(path)
        assert "\x00" not in str(caught.value)
        assert len(str(caught.value)) < 2500
    assert "longer than" in refused(tmp_path, "a: " + "x" * (1 << 20))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["1e-4", "yes", "0o7", "2020-01-31", "12:30", "1_0", "~", "<<", "0x1", "-.inf", "\u202e"]
    )
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_what_is_dumped_reads_back_equal(data: object) -> None:
    text = dump({"key": data})
    assert read_value(text, "dumped") == {"key": data}
    assert yaml.safe_load(text) == {"key": data}
