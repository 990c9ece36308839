"""What a request costs: label-only scores without the vocabulary, samples of one prompt sharing it."""

from __future__ import annotations

import numpy as np
import pytest

from icl.engine.rungs.ladder import choose_engine
from icl.types import GenerateRequest, ScoreRequest

from .tiny import CONTEXT, IntegerTokenizer, largest_difference, tiny_pair

TOLERANCE = 1e-4


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "falcon"])
def test_relative_scores_are_normalised_over_the_continuations(family: str) -> None:
    """Without the vocabulary product, mixed with requests that need it, and as the naive engine says."""
    pair = tiny_pair(family)
    prompts = [(5, 6, 7), (5, 6, 9), (5, 6, 7, 8)]
    requests = [ScoreRequest(p, ((11,), (12,), (11 + n,)), relative=True) for n, p in enumerate(prompts)]
    requests += [ScoreRequest(p, ((11,), (12,))) for p in prompts]
    requests.append(ScoreRequest(prompts[0], ((11, 12), (13,)), relative=True))  # not of one token each
    engine = choose_engine(
        pair.network, IntegerTokenizer(), name=family, context_length=CONTEXT, fingerprint="-", chunk_rows=3
    )
    found, expected = engine.score(requests), pair.naive.score(requests)
    assert largest_difference(found, expected) < TOLERANCE
    for scores in found[:3]:
        assert np.exp(scores.logprobs).sum() == pytest.approx(1.0)
    [plain] = pair.naive.score([ScoreRequest(prompts[0], ((11,), (12,), (11,)))])
    gap = plain.logprobs[0] - plain.logprobs[1]
    assert found[0].logprobs[0] - found[0].logprobs[1] == pytest.approx(gap, abs=TOLERANCE)


def test_samples_of_a_long_prompt_forward_it_once() -> None:
    """20 samples of 128 tokens after a prompt of 600: at most 600 + 20 x 128 tokens are forwarded."""
    pair = tiny_pair("llama", max_position_embeddings=1024)
    pair.naive.context_length = 1024
    engine = pair.trie()
    engine.context_length = 1024
    prompt = tuple(3 + (7 * i * i + i) % 50 for i in range(600))
    asked = GenerateRequest(prompt, n=20, max_tokens=128, temperature=1.0, ignore_eos=True)
    [generation] = engine.generate([asked])
    assert [len(s.token_ids) for s in generation.samples] == [128] * 20
    assert generation.usage.tokens_unique <= 600 + 20 * 128
    assert generation.usage.tokens_flat == 20 * (600 + 127)


def test_each_request_is_billed_what_it_made_the_engine_forward() -> None:
    """In one call with others: its own samples' rows, and the rows of its prompt that came first with it."""
    engine = tiny_pair("llama").trie()
    common = tuple(range(5, 15))
    asked = [
        GenerateRequest((*common, 20, 21), n=1, max_tokens=9, ignore_eos=True),
        GenerateRequest((*common, 30), n=4, max_tokens=3, temperature=1.0, ignore_eos=True),
        GenerateRequest((40, 41, 42), n=1, max_tokens=1, ignore_eos=True),
        GenerateRequest((*common, 30), n=2, max_tokens=2, temperature=1.0, seed=1, ignore_eos=True),
    ]
    usages = [g.usage for g in engine.generate(asked)]
    # the first token of a sample comes from the prompt's logits, and the last is never forwarded
    assert [u.tokens_unique for u in usages] == [12 + 8, 1 + 4 * 2, 3, 2 * 1]
    assert [u.tokens_flat for u in usages] == [11 + 9, 4 * (10 + 3), 2 + 1, 2 * (10 + 2)]
    assert all(u.seconds > 0 for u in usages)


def test_tokens_are_told_as_they_are_forwarded_and_before_results() -> None:
    engine = tiny_pair("llama").trie()
    engine.runner.rows = 6
    told: list[int] = []
    before_first: list[int] = []
    engine.report_to(told.append)
    scored = engine.score(
        [ScoreRequest((5, 6, 7 + n), ((11, 12), (13,))) for n in range(9)],
        lambda index, result: before_first.append(sum(told)),
    )
    assert sum(told) == sum(s.usage.tokens_unique for s in scored)
    assert 0 < before_first[0] < sum(told)
    told.clear()
    asked = [GenerateRequest((5, 6, 7), n=3, max_tokens=6, temperature=1.0, ignore_eos=True)]
    written = engine.generate(asked, lambda index, result: before_first.append(sum(told)))
    assert sum(told) == before_first[-1] == written[0].usage.tokens_unique
    assert len(told) == 1 + 5


def test_label_scores_do_not_meet_the_whole_head(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny_pair("gpt2").trie()
    widths: list[int] = []
    logits = engine.trunk.logits

    def watched(hidden, tokens=None):  # type: ignore[no-untyped-def]
        result = logits(hidden, tokens)
        widths.append(result.shape[1])
        return result

    monkeypatch.setattr(engine.trunk, "logits", watched)
    engine.score([ScoreRequest((5, 6, n), ((11,), (12,)), relative=True) for n in range(7, 10)])
    assert widths == [2]
