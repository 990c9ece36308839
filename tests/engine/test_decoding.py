"""The decode loop against the naive engine: prompts that branch, fork, and wait for free slots."""

from __future__ import annotations

import random

import pytest

from icl.types import GenerateRequest

from .tiny import tiny_pair

PAIR = tiny_pair("llama")


def drawn(rng: random.Random) -> list[GenerateRequest]:
    """Requests over a few common openings, so that prompts branch, repeat and begin one another."""
    openings = [tuple(rng.randrange(3, 50) for _ in range(rng.randrange(1, 6))) for _ in range(3)]
    requests = []
    for _ in range(rng.randrange(2, 9)):
        prompt = (*rng.choice(openings), *(rng.randrange(3, 50) for _ in range(rng.randrange(0, 5))))
        n = rng.choice([1, 1, 2, 4])
        requests.append(
            GenerateRequest(
                prompt,
                n=n,
                max_tokens=rng.randrange(1, 9),
                temperature=0.0 if n == 1 else 1.0,
                first_sample=rng.choice([0, 0, 2]),
                ignore_eos=rng.random() < 0.7,
                continued=rng.random() < 0.3,
            )
        )
    return requests


@pytest.mark.parametrize("seed", range(40))
def test_any_mix_of_requests_reads_as_the_naive_engine_says(seed: int) -> None:
    """Twice in a row: the second call goes on from what the first has left behind."""
    rng = random.Random(seed)
    engine = PAIR.trie()
    engine.max_slots = rng.choice([2, 3, 5, 8])
    requests = drawn(rng)
    for _ in range(2):
        found, expected = engine.generate(requests), PAIR.naive.generate(requests)
        for one, other in zip(found, expected, strict=True):
            assert [s.token_ids for s in one.samples] == [s.token_ids for s in other.samples]
            for mine, plain in zip(one.samples, other.samples, strict=True):
                assert mine.logprobs == pytest.approx(plain.logprobs, abs=1e-3)
        requests = [
            GenerateRequest((*request.prompt, *generation.samples[0].token_ids, 7), max_tokens=3)
            for request, generation in zip(requests, found, strict=True)
        ]


def test_a_late_sample_finds_all_of_its_prompt() -> None:
    """Its siblings were admitted before it, and the path to its prompt has left the stack: the short node
    that it shares with other prompts must have been kept."""
    greedy = {"temperature": 0.0, "ignore_eos": True}
    requests = [
        GenerateRequest((48, 43, 25, 27, 8, 11), max_tokens=8, **greedy),
        GenerateRequest((48, 43, 25, 27, 22, 40), n=2, max_tokens=8, temperature=1.0, ignore_eos=True),
        GenerateRequest((48, 43, 25, 27), max_tokens=1, **greedy),
    ]
    for slots in (1, 2, 3, 4):
        engine = PAIR.trie()
        engine.max_slots = slots
        found = [[s.token_ids for s in g.samples] for g in engine.generate(requests)]
        assert found == [[s.token_ids for s in g.samples] for g in PAIR.naive.generate(requests)]


def test_a_text_that_ends_at_once_can_be_continued() -> None:
    """Two samples of one prompt: all of it is shared, and no tail was ever made."""
    engine = PAIR.trie()
    prompt = (5, 6, 7, 8)
    asked = GenerateRequest(prompt, n=2, max_tokens=1, temperature=1.0, ignore_eos=True, continued=True)
    [generation] = engine.generate([asked])
    following = GenerateRequest((*prompt, *generation.samples[0].token_ids, 9), max_tokens=3)
    [found], [expected] = engine.generate([following]), PAIR.naive.generate([following])
    assert found.samples[0].token_ids == expected.samples[0].token_ids
