"""Requests that cannot be answered: one message, the same from every rung and from the fake model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from icl.engine.fake import FakeModel
from icl.engine.rungs.depth_first import CachedDfsModel
from icl.errors import ContextOverflow, RequestError
from icl.protocols import LanguageModel
from icl.types import GenerateRequest, ScoreRequest

from .tiny import CONTEXT, VOCAB, IntegerTokenizer, tiny_pair

GOOD = GenerateRequest((5, 6), max_tokens=2)


@pytest.fixture(scope="module")
def models() -> Sequence[LanguageModel]:
    pair = tiny_pair("llama")
    common = {"name": "llama", "context_length": CONTEXT, "fingerprint": "x"}
    dfs = CachedDfsModel(pair.network, IntegerTokenizer(), **common)
    return [pair.trie(), dfs, pair.naive, FakeModel(context_length=CONTEXT)]


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("top_p", 0, "a number above 0, at most 1"),
        ("top_p", 1.01, "a number above 0, at most 1"),
        ("top_p", math.nan, "a number above 0, at most 1"),
        ("temperature", -0.5, "a finite number >= 0"),
        ("temperature", math.inf, "a finite number >= 0"),
        ("temperature", math.nan, "a finite number >= 0"),
        ("temperature", "warm", "a finite number >= 0"),
        ("max_tokens", 0, "an integer >= 1"),
        ("max_tokens", 2.5, "an integer >= 1"),
        ("n", 0, "an integer >= 1"),
        ("n", True, "an integer >= 1"),
        ("top_k", -1, "an integer >= 0"),
        ("no_repeat_ngram", -2, "an integer >= 0"),
        ("presence_penalty", 2.5, "a number from -2 to 2"),
        ("frequency_penalty", math.nan, "a number from -2 to 2"),
        ("frequency_penalty", "a lot", "a number from -2 to 2"),
        ("template_ids", "ab", "token ids"),
        ("template_ids", (1.5,), "token ids"),
        ("first_sample", -1, "an integer >= 0"),
        ("seed", 0.5, "an integer of 64 bits"),
        ("seed", 2**64, "an integer of 64 bits"),
        ("ignore_eos", 1, "true, false"),
        ("stop", "\n", "a tuple of texts"),
        ("stop", ("a", ""), "a text of at least one character"),
        ("stop", (7,), "a text of at least one character"),
        ("prompt", 3, "a text or token ids"),
        ("prompt", (3.5, 4), "a text or token ids"),
    ],
)
def test_settings_that_draw_nothing_are_refused(
    models: Sequence[LanguageModel], field: str, value: Any, allowed: str
) -> None:
    for model in models:
        with pytest.raises(RequestError) as caught:
            model.generate([GOOD, replace(GOOD, **{field: value})])
        said = str(caught.value)
        assert said.startswith("generate request 1: ")
        assert field in said or field.split("_")[0] in said
        assert repr(value if field != "stop" or isinstance(value, str) else value[-1]) in said
        assert said.endswith(f"allowed: {allowed}")


@pytest.mark.parametrize("outside", [-1, -VOCAB, 10**6, 2**70])
def test_ids_outside_the_vocabulary_are_refused_wherever_they_stand(
    models: Sequence[LanguageModel], outside: int
) -> None:
    asks: list[tuple[ScoreRequest, str]] = [
        (ScoreRequest((5, outside), ((6,),)), "token 1 of the prompt"),
        (ScoreRequest((5,), ((6,), (7, 8, outside))), "token 2 of continuation 1"),
        (ScoreRequest((5,), ((6,), (outside,)), relative=True), "token 0 of continuation 1"),
    ]
    for model in models:
        last = (EOS_OF_FAKE if isinstance(model, FakeModel) else VOCAB) - 1
        for ask, where in asks:
            with pytest.raises(RequestError, match="score request 1: ") as caught:
                model.score([ScoreRequest((5,), ((6,),)), ask])
            assert f"{where} is {outside}; allowed: 0 to {last}" in str(caught.value)
        with pytest.raises(RequestError, match=f"generate request 0: token 0 of the prompt is {outside}"):
            model.generate([GenerateRequest((outside, 5), max_tokens=1)])


EOS_OF_FAKE = 257


def test_a_tokenizer_of_another_model_is_named() -> None:
    """Its ids go beyond the embeddings: an index error in torch."""
    pair = tiny_pair("llama")
    with pytest.raises(RequestError, match=r"has token 4000 by the tokenizer, .*ends at 112"):
        pair.naive.score([ScoreRequest("5 4000", (" 6",))])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (ScoreRequest((5,), ()), "score request 0 has no continuation"),
        (ScoreRequest((5,), ((6,), ())), r"score request 0 has an empty continuation \(number 1\)"),
        (ScoreRequest((), ((6,),)), "score request 0: the prompt has no token of its own"),
        (ScoreRequest((5,), " 6"), "continuations is ' 6'; allowed: a tuple of texts or"),  # type: ignore[arg-type]
        (ScoreRequest((5,), (6,)), "continuation 0 is 6; allowed: a text or token ids"),  # type: ignore[arg-type]
        (ScoreRequest((5,), ((6,),), relative="no"), "relative is 'no'; allowed: true, false"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_scored_is_refused(
    models: Sequence[LanguageModel], ask: ScoreRequest, message: str
) -> None:
    for model in models:
        with pytest.raises(RequestError, match=message):
            model.score([ask])


def test_too_long_is_refused_by_all_before_anything_runs(models: Sequence[LanguageModel]) -> None:
    seen: list[int] = []
    whole = (5,) * (CONTEXT - 1)
    for model in models:
        with pytest.raises(ContextOverflow, match=f"generate request 1 has {CONTEXT + 1} tokens"):
            model.generate([GOOD, GenerateRequest(whole, max_tokens=2)], lambda i, _: seen.append(i))
        with pytest.raises(ContextOverflow, match=f"score request 1 has {CONTEXT + 1} tokens"):
            model.score(
                [ScoreRequest((5,), ((6,),)), ScoreRequest(whole, ((6, 7),))], lambda i, _: seen.append(i)
            )
    assert seen == []


def test_the_edges_of_what_is_allowed_work(models: Sequence[LanguageModel]) -> None:
    ask = GenerateRequest(
        [5, 6],  # type: ignore[arg-type]
        n=np.int64(2),  # type: ignore[arg-type]
        max_tokens=1,
        temperature=np.float32(0.5),  # type: ignore[arg-type]
        top_p=1e-9,
        top_k=10**6,
        seed=-(2**63),
    )
    for model in models:
        [generation] = model.generate([ask])
        assert [len(s.token_ids) for s in generation.samples] == [1, 1]
        [scores] = model.score([ScoreRequest(np.array([5, 6]), (np.array([7]), [8, 9]))])  # type: ignore[arg-type]
        assert [len(t) for t in scores.token_logprobs] == [1, 2]
    likeliest = models[2].generate([replace(GOOD, max_tokens=1)])[0].samples[0].token_ids
    assert models[0].generate([ask])[0].samples[0].token_ids == likeliest  # a tiny nucleus is the best token


def test_many_prompts_depth_first_are_matched_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: looking for equal prompts compares each with few others."""
    compared = 0

    class Counted(tuple):  # type: ignore[type-arg]
        __slots__ = ()
        __hash__ = tuple.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return tuple.__eq__(self, other)  # type: ignore[arg-type]

    pair = tiny_pair("llama")
    model = CachedDfsModel(
        pair.network, IntegerTokenizer(), name="llama", context_length=CONTEXT, fingerprint="x"
    )
    prompts = [Counted((5, 6 + i // 20, 6 + i % 20)) for i in range(200)]
    prompts += prompts[:5]
    monkeypatch.setattr(model, "encoded_prompts", lambda requests: prompts)
    found = model.generate([GenerateRequest(tuple(p), max_tokens=1) for p in prompts])
    assert compared < 10 * len(prompts)
    assert [g.samples for g in found[-5:]] == [g.samples for g in found[:5]]
