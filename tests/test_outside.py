"""Code that a file names: not imported unasked, and never called before it is known to be a component."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import icl
from icl import protocols
from icl.errors import ConfigError
from icl.mechanism.contract import studies
from icl.outside import allow_code, code_is_allowed, load_class, members
from icl.registry import Registry
from icl.tasks.generators import generators

REGISTRIES: list[Registry[Any]] = [
    protocols.selectors, protocols.orderers, protocols.methods, protocols.metrics, generators, studies,
]  # fmt: skip
TRACES = """
from pathlib import Path
trace = Path(__file__).with_suffix(".trace")

def note(what):
    with trace.open("a") as file:
        file.write(what + " ")

note("imported")

def function(*args, **kwargs):
    note("called")

class Class:
    def __init__(self, *args, **kwargs):
        note("called")

class Meta(type):
    def __getattr__(cls, name):
        note("asked for " + name)
        return function

class Agreeable(metaclass=Meta):
    def __init__(self, *args, **kwargs):
        note("called")

class Numbers:
    needs = ("model",)
    kinds = "numeric"
    fit = select = order = solve = finish = score = aggregate = make = 3

    def __init__(self, **kwargs):
        note("called")

thing = object()
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """outside(): what the module `tracing_module`, which can be imported, has done so far."""
    (tmp_path / "tracing_module.py").write_text(TRACES, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    trace = tmp_path / "tracing_module.trace"
    yield lambda: trace.read_text().strip() if trace.exists() else ""
    sys.modules.pop("tracing_module", None)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
def test_nothing_is_imported_unasked(registry: Registry[Any], outside: Callable[[], str]) -> None:
    for name in ("Class", "function", "thing", "nothing"):
        with pytest.raises(ConfigError, match=r"outside icl.*nothing was imported.*--allow-code"):
            registry.create(f"tracing_module:{name}")
    assert outside() == ""
    assert "tracing_module" not in sys.modules


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
@pytest.mark.parametrize("name", ["Class", "Agreeable", "Numbers", "function", "thing", "trace"])
def test_what_is_no_component_is_not_called(
    registry: Registry[Any], name: str, outside: Callable[[], str]
) -> None:
    with (
        allow_code(),
        pytest.raises(ConfigError, match=rf"'tracing_module:{name}' is no .*so it was not called"),
    ):
        registry.create(f"tracing_module:{name}", {"any": 1})
    assert outside() == "imported"


@pytest.mark.parametrize("name", ["subprocess:Popen", "os:getcwd", "builtins:print", "math:pi", "sys:exit"])
@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
def test_names_of_the_standard_library_are_no_components(registry: Registry[Any], name: str) -> None:
    with allow_code(), pytest.raises(ConfigError, match="was not called"):
        registry.create(name)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
def test_every_component_of_icl_has_the_members_of_its_contract(registry: Registry[Any]) -> None:
    with allow_code():
        for name in registry:
            factory = registry.entry(name).factory
            path = f"{factory.__module__}:{factory.__name__}"  # type: ignore[attr-defined]
            assert load_class(path, registry.kind, registry.contract) is factory


def test_members_of_a_contract_are_those_of_its_protocol() -> None:
    assert members(protocols.Selector) == ("needs", "fit", "select")
    assert members(protocols.Method) == ("kinds", "needs", "fit", "solve", "finish")
    assert members(protocols.Metric) == ("score", "aggregate")
    assert set(members(protocols.LanguageModel)) == {
        "name", "tokenizer", "context_length", "fingerprint", "score", "generate",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path", [":C", "a:", "a:b:c", "a b:C", "a..b:C", ".a:C", "a:C()", "a/b:C", "a:1", "ü:\x1b"]
)
def test_what_is_no_path_of_a_class_is_refused_before_it_is_looked_for(path: str) -> None:
    with allow_code(), pytest.raises(ConfigError, match=r"allowed: package\.module:Class") as caught:
        protocols.selectors.create(path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("body", ["1 / 0", "raise SystemExit(0)", "import no_such_thing", "def"])
def test_a_module_that_cannot_be_imported_is_one_line(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    with allow_code(), pytest.raises(ConfigError, match="'broken_module:C' cannot be imported: ") as caught:
        protocols.metrics.create("broken_module:C")
    assert "\n" not in str(caught.value)


def test_it_is_allowed_within_the_block_and_by_nobody_else() -> None:
    assert not code_is_allowed()
    with icl.allow_code():
        assert code_is_allowed()
        with allow_code(False):
            assert code_is_allowed(), "what a caller allowed stays allowed"
    assert not code_is_allowed()
