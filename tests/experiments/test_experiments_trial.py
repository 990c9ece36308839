"""Components tried on the data before a model loads: what they would refuse later is refused now."""

from __future__ import annotations

import pytest

from icl.errors import ConfigError, Problems
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.protocols import orderers, selectors


def wrong(selector="random", orderer="as_selected", shots=2, **keys):
    grid = {"selector": selector, "orderer": orderer, "shots": shots}
    plain = {"name": "x", "model": "fake", "task": "questions", "pool": 60, "test": 5, "grid": grid, **keys}
    with pytest.raises(ConfigError) as error:
        check(*read_experiment(plain), wants_all=True)
    return error.value


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"influence": {"validation": 90}}, "grid.selector.0: selector 'influence' holds 90 examples out"),
        ({"fixed": {"ids": ["train-1", "train-99999"]}}, "grid.selector.0: "),
    ],
)
def test_what_a_selector_refuses_of_the_pool(selector, message):
    assert message in str(wrong(selector=selector))


def test_each_is_told_beside_the_others():
    unknown = {"fixed": {"ids": ["train-1", "train-99999"]}}
    found = wrong(selector=["random", {"influence": {"validation": 90}}, unknown])
    assert isinstance(found, Problems)
    assert [str(one).split(":")[1] for one in found.found] == [" grid.selector.1", " grid.selector.2"]


@pytest.mark.parametrize(
    ("selector", "orderer"),
    [
        ("nearest", "as_selected"),
        ({"bm25": {"b": 7}}, "as_selected"),
        ("random", "similar"),
        ("os:walk", "random"),
    ],
)
def test_what_cannot_be_made_is_told_once(selector, orderer):
    found = wrong(selector=[selector, "random"] if selector != "random" else selector, orderer=orderer)
    assert not isinstance(found, Problems), str(found)


def test_nothing_is_tried_that_stands_in_no_row():
    grid = {"selector": {"influence": {"validation": 90}}, "shots": 0}
    plain = {"name": "x", "model": "fake", "task": "questions", "pool": 60, "test": 5, "grid": grid}
    assert check(*read_experiment(plain)).cells


def test_no_component_of_icl_is_refused_with_a_pool_that_is_large_enough(monkeypatch):
    """And none needs a model or an encoder to be tried."""
    monkeypatch.setattr("icl.encoders.load_encoder", None)
    plain = {"name": "x", "model": "fake", "task": "questions", "pool": "all", "test": 5}
    grid = {"selector": list(selectors), "orderer": [*orderers], "shots": [4]}
    assert check(*read_experiment({**plain, "grid": grid})).cells
