"""Rationales for examples that have none, written by the model itself without demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from icl.cot.shared.chain import GREEDY, Chain, drive, rationale_of, side_by_side
from icl.cot.zero_shot import ZeroShot
from icl.errors import ConfigError
from icl.prompts.answers import is_right
from icl.protocols import LanguageModel, Resources
from icl.types import Example

TRIED = 4
"""Examples tried for each one wanted, at most: a weak model must not be asked for ever."""


def model_of(resources: Resources) -> LanguageModel:
    """The model; ConfigError where the caller gave none."""
    if resources.model is None:
        raise ConfigError("this method asks the model to be fitted: Resources.model is missing")
    return resources.model


def reason(examples: Sequence[Example], resources: Resources, method: ZeroShot) -> list[Chain]:
    """One greedy zero-shot chain an example, all asked together."""
    talks = [method.chains(example.query, (), resources, GREEDY) for example in examples]
    return [chains[0] for chains in drive(side_by_side(talks), model_of(resources))]


def self_taught(
    candidates: Sequence[Example], wanted: int, resources: Resources, *, max_tokens: int
) -> list[Example]:
    """The first `wanted` candidates whose zero-shot chain reaches their answer, with that chain.

    Asked in rounds; gives up after `TRIED` times as many, so there can be fewer.
    """
    found: list[Example] = []
    method = ZeroShot(max_tokens=max_tokens)
    tried = candidates[: TRIED * wanted]
    for start in range(0, len(tried), max(wanted, 1)):
        batch = tried[start : start + wanted]
        for example, chain in zip(batch, reason(batch, resources, method), strict=True):
            text = rationale_of(chain.text)
            if text and is_right(chain.answer, example, resources.task):
                found.append(replace(example, rationale=text))
        if len(found) >= wanted:
            break
    return found[:wanted]
