"""What holds for every component of every kind: its constructor and its documentation."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from icl.components import parameters_of
from icl.errors import ConfigError
from icl.registry import Registry


def test_there_is_something_to_check(registries: dict[str, Registry[Any]]) -> None:
    assert {"zero_shot", "random", "fixed", "bm25", "knn"} <= set(registries["selector"])
    assert {"as_selected", "random", "similarity"} <= set(registries["orderer"])
    assert {"direct", "channel", "pmi", "generate"} <= set(registries["method"])
    assert {"full", "lora", "prefix", "metaicl"} <= set(registries["tuner"])


def test_constructor_only_stores(component_case: Any, registries: dict[str, Registry[Any]]) -> None:
    component = component_case.build()
    entry = registries[component_case.kind].entry(component_case.name)
    expected = {p.name: p.default for p in entry.parameters}
    expected |= {
        key if key in expected else f"{key}_": value for key, value in component_case.parameters.items()
    }
    kept = parameters_of(component)
    assert {name: _listed(value) for name, value in kept.items()} == {
        name: _listed(value) for name, value in expected.items()
    }
    held = set(getattr(component, "__dict__", expected)) - {"inner"}  # a regime's method, built to be checked
    held -= {"_pace"}  # of a study, which measures it once for all its steps
    assert held == set(expected), "fit computes, not the constructor"


def _listed(value: object) -> object:
    """A list that a file gives may be kept as a tuple."""
    return list(value) if isinstance(value, tuple) else value


def test_rebuilt_from_its_parameters(component_case: Any) -> None:
    component = component_case.build()
    parameters = parameters_of(component)
    assert json.loads(json.dumps(parameters)) == json.loads(
        json.dumps(parameters_of(type(component)(**parameters)))
    )


def test_parameters_are_keywords_only(component_case: Any) -> None:
    signature = inspect.signature(type(component_case.build()))
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    assert kinds <= {inspect.Parameter.KEYWORD_ONLY}


def test_wrong_types_are_refused_in_one_line(
    component_case: Any, registries: dict[str, Registry[Any]]
) -> None:
    registry = registries[component_case.kind]
    for parameter in registry.entry(component_case.name).parameters:
        key = parameter.name.rstrip("_")
        with pytest.raises(ConfigError, match=key) as caught:
            registry.create(
                component_case.name, {**component_case.parameters, key: {"no": ["such", "thing"]}}
            )
        assert "\n" not in str(caught.value)


def test_documented(component_case: Any, registries: dict[str, Registry[Any]]) -> None:
    entry = registries[component_case.kind].entry(component_case.name)
    assert 10 < len(entry.summary) < 120
    assert entry.summary.endswith((".", "?")), "the first line of the docstring is a sentence"
    # the settings of every tuner are said once, in its base
    documented = [entry.factory, *getattr(entry.factory, "__mro__", ())]
    words = " ".join(inspect.getdoc(part) or "" for part in documented).replace("`", " ").split()
    for parameter in entry.parameters:
        name = parameter.name.rstrip("_")
        assert name in {word.strip(".,:;()=") for word in words}, f"the docstring does not say what {name} is"


def test_needs_are_resources(component_case: Any) -> None:
    if component_case.kind in ("metric", "judge", "study"):  # they are given no resources
        return
    assert component_case.build().needs <= {"model", "encoder", "renderer", "pool"}
