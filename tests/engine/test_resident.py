"""Going on from what an earlier call has left behind."""

from __future__ import annotations

import pytest
import torch

from icl.engine.forward.resident import Kept, Resident
from icl.types import GenerateRequest, TokenIds

from .tiny import tiny_pair


def kept(length: int) -> Kept:
    return Kept({0: torch.zeros(1, length, 2)}, {0: torch.zeros(1, length, 2)})


def test_the_longest_kept_beginning_is_found_and_the_oldest_goes_first() -> None:
    resident = Resident(budget=kept(5).bytes + kept(3).bytes)
    resident.add((1, 2, 3), kept(3))
    resident.add((1, 2, 3, 4, 5), kept(5))
    assert resident.longest((1, 2, 3, 4, 5, 6))[0] == 5  # type: ignore[index]
    assert resident.longest((1, 2, 3, 9))[0] == 3  # type: ignore[index]
    assert resident.longest((2, 2, 3)) is None
    resident.add((7, 7), kept(2))  # no room: the oldest text goes
    assert resident.longest((1, 2, 3, 9)) is None
    assert resident.longest((7, 7, 1))[0] == 2  # type: ignore[index]
    resident.add(tuple(range(99)), kept(99))  # never fits
    assert resident.longest(tuple(range(99))) is None


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mistral"])
@pytest.mark.parametrize("chunk_rows", [3, 64])
def test_the_second_stage_forwards_only_what_is_new(family: str, chunk_rows: int) -> None:
    """Prompt and chain are forwarded once: the second call pays for the last token drawn, which was
    never forwarded, and the trigger; and says what the naive engine says."""
    pair = tiny_pair(family)
    engine, naive = pair.trie(chunk_rows=chunk_rows), pair.naive
    prompts = [(5, 6, 7, 8, 9, 10), (5, 6, 7, 11, 12), (20, 21, 22)]
    first = [GenerateRequest(p, max_tokens=6, ignore_eos=True, continued=True) for p in prompts]
    chains = engine.generate(first)
    trigger: TokenIds = (30, 31, 32)
    second = [
        GenerateRequest((*p, *c.samples[0].token_ids, *trigger), max_tokens=4, ignore_eos=True)
        for p, c in zip(prompts, chains, strict=True)
    ]
    answers = engine.generate(second)
    expected = naive.generate(second)
    for answer, oracle in zip(answers, expected, strict=True):
        assert answer.samples[0].token_ids == oracle.samples[0].token_ids
        assert answer.samples[0].logprobs == pytest.approx(oracle.samples[0].logprobs, abs=1e-4)
    forwarded = sum(a.usage.tokens_unique for a in answers)
    without = sum(a.usage.tokens_unique for a in pair.trie(chunk_rows=chunk_rows).generate(second))
    if chunk_rows == 64:  # a smaller chunk that ends inside a loan computes one row of it
        assert forwarded == len(prompts) * (1 + len(trigger) + 3)
    assert forwarded < without
