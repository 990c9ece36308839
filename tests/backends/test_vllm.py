"""The vllm backend on a stand-in of vLLM, against icl's naive engine on the same weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.backends import BACKENDS
from icl.backends.vllm import scoring
from icl.backends.vllm.model import VllmModel
from icl.backends.vllm.scoring import asks_for, forwarded, uncached
from icl.engine.requests.encoding import EncodedScore
from icl.errors import ConfigError, ContextOverflow, RequestError
from icl.types import GenerateRequest, ScoreRequest
from tests.backends import standin_vllm
from tests.engine.tiny import EOS, IntegerTokenizer, largest_difference, ragged, tiny_pair

PAIR = tiny_pair("llama")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tiny")
    PAIR.network.save_pretrained(found)
    return found


@pytest.fixture
def model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> VllmModel:
    monkeypatch.setitem(sys.modules, "vllm", standin_vllm.module())
    standin_vllm.opened.clear()
    made = VllmModel(model=str(folder), context_length=PAIR.naive.context_length, block=8)
    made.__dict__["tokenizer"] = IntegerTokenizer()
    return made


def requests() -> list[ScoreRequest]:
    """Prompts that share beginnings; labels of one token, of several, one the beginning of another."""
    labels = [((5,), (9,), (11,)), ((5, 6), (5, 7, 8), (9,)), ((12, 13, 14, 15, 16, 17),), ((5,), (5, 6))]
    return [
        ScoreRequest(prompt, labels[at % len(labels)], relative=at % 2 == 0)
        for at, prompt in enumerate(ragged(3, count=12))
    ]


def test_scores_are_those_of_plain_forwards(model: VllmModel) -> None:
    found, expected = model.score(requests()), PAIR.naive.score(requests())
    assert largest_difference(found, expected) < 1e-5
    assert [s.usage.tokens_flat for s in found] == [s.usage.tokens_flat for s in expected]


def test_both_ways_are_taken_and_agree(model: VllmModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short prompt below blocks of 8 goes as a whole, a long one by places."""
    short = ScoreRequest((5, 6, 7), ((8, 9, 10), (11, 12, 13)))
    long = ScoreRequest(tuple(range(20, 45)), ((8, 9, 10), (11, 12, 13)))
    taken: list[set[bool]] = []
    real = scoring.asks_for

    def seen(one: EncodedScore, block: int) -> list[scoring.Ask]:
        asks = real(one, block)
        taken.append({ask.whole for ask in asks})
        return asks

    monkeypatch.setattr("icl.backends.vllm.model.asks_for", seen)
    found = model.score([short, long])
    assert taken == [{True}, {False}]
    assert largest_difference(found, PAIR.naive.score([short, long])) < 1e-5


def test_requests_go_in_the_order_of_their_trie(model: VllmModel) -> None:
    model.score(requests())
    (llm,) = standin_vllm.opened
    assert llm.calls == sorted(llm.calls)
    assert (llm.enable_prefix_caching, llm.trust_remote_code, llm.generation_config) == (True, False, "vllm")


def test_what_is_forwarded_is_foreseen(model: VllmModel) -> None:
    """Through the stand-in's cache of blocks, request by request, and as the plan reckons it."""
    asked = requests()
    encoded = PAIR.naive.encoded_scores(asked)
    expected = model.forwards(asked)
    found = model.score(asked)
    assert sum(s.usage.tokens_unique for s in found) == expected
    assert expected < sum(len(ask.ids) for one in encoded for ask in asks_for(one, 8))


@given(st.integers(1, 40), st.integers(0, 40), st.sampled_from([4, 16]))
def test_what_a_cache_of_blocks_holds(length: int, shared: int, block: int) -> None:
    held = [end for end in range(block, length, block) if end <= shared]
    assert uncached(length, shared, block) == length - max(held, default=0)


def test_recomputation_by_hand() -> None:
    """Blocks of 4, a prompt of 6. Two labels of one token: the prompt. Two of two tokens with the same first:
    as a whole 7, by places 6 and 3 more. Three with other first tokens: as wholes 21, by places 6 + 3 x 3."""
    prompt = (1, 2, 3, 4, 5, 6)
    assert forwarded([EncodedScore(prompt, ((7,), (8,)))], 4) == 6
    assert [a.whole for a in asks_for(EncodedScore(prompt, ((7, 8), (7, 9))), 4)] == [True]
    assert forwarded([EncodedScore(prompt, ((7, 8), (7, 9)))], 4) == 7
    by_places = EncodedScore(prompt, ((7, 8), (9, 7), (10, 3)))
    assert [a.whole for a in asks_for(by_places, 4)] == [False] * 4
    assert forwarded([by_places], 4) == 6 + 3 * 3


def test_more_labels_than_a_request_may_name(model: VllmModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_vllm, "MOST_NAMED", 2)
    monkeypatch.setattr(scoring, "MOST_NAMED", 2)
    asked = [ScoreRequest((5, 6, 7), tuple((t,) for t in (8, 9, 10, 11, 12)))]
    assert largest_difference(model.score(asked), PAIR.naive.score(asked)) < 1e-5


def test_greedy_texts_are_those_of_plain_forwards(model: VllmModel) -> None:
    asked = [GenerateRequest(p, n=2, max_tokens=6, stop=(" 7",)) for p in ragged(5, count=6)]
    found, expected = model.generate(asked), PAIR.naive.generate(asked)
    for one, other in zip(found, expected, strict=True):
        assert [(s.text, s.token_ids, s.stop_reason) for s in one.samples] == [
            (s.text, s.token_ids, s.stop_reason) for s in other.samples
        ]
        assert one.samples[0].logprobs == pytest.approx(other.samples[0].logprobs, abs=1e-5)
        assert one.usage.tokens_flat == other.usage.tokens_flat


def test_penalties_are_those_of_the_naive_engine(model: VllmModel) -> None:
    asked = [
        GenerateRequest((5, 6, 7), max_tokens=10, ignore_eos=True),
        GenerateRequest((5, 6, 7), max_tokens=10, presence_penalty=2.0, ignore_eos=True),
        GenerateRequest((5, 6, 7), max_tokens=10, frequency_penalty=-2.0, ignore_eos=True),
    ]
    found = [one.samples[0].token_ids for one in model.generate(asked)]
    assert found == [one.samples[0].token_ids for one in PAIR.naive.generate(asked)]
    assert len(set(found)) == 3


def test_sample_i_is_the_same_from_whichever_on(model: VllmModel) -> None:
    drawn = GenerateRequest((5, 6, 7, 8), n=6, max_tokens=5, temperature=1.0, seed=3)
    (whole,) = model.generate([drawn])
    part = GenerateRequest((5, 6, 7, 8), n=2, max_tokens=5, temperature=1.0, seed=3, first_sample=3)
    other, some = model.generate([GenerateRequest((5, 9), max_tokens=5, temperature=1.0), part])
    assert some.samples == whole.samples[3:5]
    assert len({s.token_ids for s in whole.samples}) > 1
    assert other.samples[0].token_ids != whole.samples[0].token_ids


def test_a_stop_string_in_a_thinking_block_ends_nothing(
    model: VllmModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ask stops at it; the second has no stop strings, and is cut behind the block."""
    words = {10: "<think>", 11: "STOP", 12: "</think>", 13: "answer"}
    script = [10, 11, 12, 13, 11, 13, 13, 13]

    class Words(IntegerTokenizer):
        def decode(self, ids):  # type: ignore[no-untyped-def]
            return "".join(words.get(i, "?") for i in ids)

    model.__dict__["tokenizer"] = Words()
    asked = GenerateRequest((5, 6), max_tokens=8, stop=("STOP",))
    monkeypatch.setattr(standin_vllm, "IntegerTokenizer", Words)
    monkeypatch.setattr(
        standin_vllm.LLM, "_logprobs", lambda self, ids: scripted(script[len(ids) - 2 : len(ids) - 1])
    )
    (found,) = model.generate([asked])
    assert found.samples[0].text == "<think>STOP</think>answer"
    assert found.samples[0].stop_reason == "stop"
    assert len(standin_vllm.opened[0].calls) == 2


def scripted(tokens: list[int]):  # type: ignore[no-untyped-def]
    """Log-probabilities of which the last row has its most at the token."""
    import torch

    row = torch.full((1, 32), -9.0)
    row[0, tokens[0] if tokens else 13] = 0.0
    return row


def test_results_are_told_as_they_come(model: VllmModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.backends.vllm.model.ROUND", 3)
    told: dict[int, object] = {}
    found = model.score(requests(), told.__setitem__)
    assert [told[at] for at in range(len(found))] == found
    written: dict[int, object] = {}
    asked = [GenerateRequest(p, max_tokens=2) for p in ragged(5, count=5)]
    texts = model.generate(asked, written.__setitem__)
    assert [written[at] for at in range(len(texts))] == texts


def test_nothing_is_loaded_before_a_request(model: VllmModel) -> None:
    assert model.fingerprint.startswith("vllm-")
    assert model.context_length == PAIR.naive.context_length
    assert model.score([]) == model.generate([]) == []
    assert standin_vllm.opened == []


def test_the_fingerprint_is_that_of_what_answers(folder: Path, model: VllmModel) -> None:
    def printed(**options: object) -> str:
        made = VllmModel(model=str(folder), **options)  # type: ignore[arg-type]
        made.__dict__["tokenizer"] = IntegerTokenizer()
        return made.fingerprint

    assert printed() == model.fingerprint == printed(block=16, tensor_parallel=2, memory=0.5, eager=True)
    assert printed(dtype="bfloat16") != printed()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (GenerateRequest((5,), no_repeat_ngram=2), "vllm cannot ban n-grams"),
        (GenerateRequest((5,), temperature=3.0), "vllm allows 0 to 2"),
    ],
)
def test_what_vllm_cannot_do_is_refused(model: VllmModel, asked: GenerateRequest, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        model.generate([GenerateRequest((5,)), asked])
    assert standin_vllm.opened == []


def test_a_text_that_fills_the_context(model: VllmModel) -> None:
    room = model.context_length
    full = ScoreRequest((5,) * (room - 3), ((6, 7, 8), (9,)))
    assert largest_difference(model.score([full]), PAIR.naive.score([full])) < 1e-5
    with pytest.raises(ContextOverflow, match=f"holds {room}"):
        model.score([ScoreRequest((5,) * (room - 2), ((6, 7, 8),))])


def test_eos_ends_a_text_and_is_drawn(model: VllmModel) -> None:
    prompts = ragged(9, count=40)
    asked = [GenerateRequest(p, max_tokens=12, temperature=1.0, seed=1) for p in prompts]
    ended = [g.samples[0] for g in model.generate(asked) if g.samples[0].stop_reason == "eos"]
    assert ended
    assert all(s.token_ids[-1] == EOS and str(EOS) not in s.text.split() for s in ended)
    whole = model.generate(
        [GenerateRequest(r.prompt, max_tokens=12, temperature=1.0, seed=1, ignore_eos=True) for r in asked]
    )
    assert all(len(g.samples[0].token_ids) == 12 for g in whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "int8"}, "dtype is 'int8'; allowed: auto, float32"),
        ({"tensor_parallel": 0}, "tensor_parallel is 0"),
        ({"memory": 1.5}, "memory is 1.5"),
        ({"block": 0}, "block is 0"),
        ({"eager": "yes"}, "eager is 'yes'"),
        ({"gpus": 2}, "has no parameter 'gpus'"),
    ],
)
def test_options_that_are_none(model: VllmModel, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        BACKENDS.create("vllm", {"model": model.model, **options})


def test_without_vllm_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install vllm"):
        BACKENDS.create("vllm", {"model": "smollm2-135m-instruct"})
