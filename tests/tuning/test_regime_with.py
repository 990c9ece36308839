"""What a regime says about how parameters are adapted, and what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icl.errors import ConfigError
from icl.protocols import tuners
from icl.tuning.shared.regime import Regime

OTHERS: dict[str, dict[str, Any]] = {
    "metaicl": {"tasks": ["trec"]},
    "rpt": {"pool": True},
    "sft": {"pool": True},
}
REGIMES = [
    name
    for name in tuners
    if isinstance(tuners.entry(name).factory, type) and issubclass(tuners.entry(name).factory, Regime)
]


def made(name: str, **parameters: Any) -> Any:
    return tuners.create(name, {**OTHERS.get(name, {}), **parameters})


@pytest.mark.parametrize("name", REGIMES)
def test_the_inner_method_is_a_name_or_a_mapping(name: str) -> None:
    assert made(name).inner.name == "lora"
    assert made(name, **{"with": "full"}).inner.name == "full"
    inner = made(name, **{"with": {"lora": {"rank": 3, "steps": 5}}}).inner
    assert (inner.rank, inner.steps) == (3, 5)


@pytest.mark.parametrize("name", REGIMES)
def test_its_record_builds_it_again(name: str) -> None:
    tuner = made(name, **{"with": {"lora": {"rank": 3}}})
    record = json.loads(json.dumps(tuner.config))
    again = tuners.create(record["tuner"], record["parameters"])
    assert again.inner == tuner.inner
    assert again.config == record


@pytest.mark.parametrize("name", REGIMES)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("lorra", "Did you mean 'lora'"),
        ({"lora": {"rnak": 2}}, "Did you mean 'rank'"),
        ({"lora": {"rank": 0}}, "rank is 0"),
        ({"lora": {}, "full": {}}, "{name: {parameters}}"),
        ({"sft": {"pool": True}}, "what to train on, not how; allowed: "),
        (7, "with is 7"),
    ],
)
def test_what_is_no_method_is_said(name: str, given: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(name, **{"with": given})
    assert str(caught.value).startswith(f"tuner {name!r}: with")
    assert said in str(caught.value)
