"""Samples from a server that heeds what it is told, and from some that do not."""

from __future__ import annotations

import math

import pytest

from icl.errors import ContextOverflow, RequestError
from icl.types import GenerateRequest
from tests.backends.conftest import opened
from tests.backends.server import EOS, next_logprobs, text_of

PROMPT = "Once upon a time"


def greedy(prompt: str, limit: int) -> tuple[list[int], list[float]]:
    ids, values = list(prompt.encode()), []
    for _ in range(limit):
        row = next_logprobs(ids)
        ids.append(int(row.argmax()))
        values.append(float(row.max()))
        if ids[-1] == EOS:
            break
    return ids[len(prompt) :], values


@pytest.mark.parametrize("does", [{}, {"shape": "chat"}, {"ids": False}, {"strict": True}], ids=str)
def test_greedy_text_ids_and_logprobs(started, does):
    model = opened(started(**does))
    (generation,) = model.generate([GenerateRequest(PROMPT, n=2, max_tokens=12)])
    ids, values = greedy(PROMPT, 12)
    for sample in generation.samples:
        assert (list(sample.token_ids), sample.text, sample.stop_reason) == (ids, text_of(ids), "length")
        assert list(sample.logprobs) == pytest.approx(values, abs=1e-6)


def test_sample_i_is_the_same_whatever_it_is_asked_with(started):
    model = opened(started())
    asked = GenerateRequest(PROMPT, n=6, max_tokens=10, temperature=1.0, seed=3)
    (whole,) = model.generate([asked])
    (late,) = model.generate(
        [GenerateRequest(PROMPT, n=2, max_tokens=10, temperature=1.0, seed=3, first_sample=4)]
    )
    assert late.samples == whole.samples[4:]
    assert len({s.text for s in whole.samples}) == 6
    (other,) = model.generate([GenerateRequest(PROMPT, n=6, max_tokens=10, temperature=1.0, seed=4)])
    assert not {s.text for s in other.samples} & {s.text for s in whole.samples}


@pytest.mark.parametrize("does", [{"n": "ignored"}, {"n": "refused"}, {"n": "copies"}], ids=str)
def test_where_n_is_not_heeded_single_requests_are_sent(started, does):
    server = started(seed="ignored", **does)
    model = opened(server, samples="together")
    (generation,) = model.generate([GenerateRequest(PROMPT, n=5, max_tokens=10, temperature=1.0)])
    assert len({s.text for s in generation.samples}) == 5
    assert all(body.get("n", 1) == 1 for _, body in server.asked[-5:])


def test_n_together_where_seeds_mean_nothing(started):
    server = started(seed="ignored")
    (generation,) = opened(server).generate([GenerateRequest(PROMPT, n=5, max_tokens=10, temperature=1.0)])
    assert server.asked[-1][1]["n"] == 5
    assert len({s.text for s in generation.samples}) == 5


def test_the_whole_distribution_is_drawn_from(started):
    """Defaults of a server (top_k 40, min_p) would be no samples of the model."""
    server = started()
    opened(server).generate([GenerateRequest(PROMPT, temperature=1.0, max_tokens=3)])
    body = server.asked[-1][1]
    assert (body["top_k"], body["min_p"], body["top_p"]) == (0, 0.0, 1.0)


@pytest.mark.parametrize("strict", [False, True])
def test_penalties_are_passed_on_and_nothing_is_said_without_them(started, strict):
    server = started(strict=strict)
    model = opened(server)
    model.generate([GenerateRequest(PROMPT, max_tokens=2, presence_penalty=1.5, frequency_penalty=-0.5)])
    body = server.asked[-1][1]
    assert (body["presence_penalty"], body["frequency_penalty"]) == (1.5, -0.5)
    model.generate([GenerateRequest(PROMPT, max_tokens=3)])
    assert not {"presence_penalty", "frequency_penalty"} & set(server.asked[-1][1])


@pytest.mark.parametrize("stop", ["ok", "ignored"])
def test_stop_strings_end_a_text_whether_or_not_the_server_heeds_them(started, stop):
    model = opened(started(stop=stop))
    ids, _ = greedy(PROMPT, 20)
    text = text_of(ids)
    middle = text[7:9]
    (generation,) = model.generate([GenerateRequest(PROMPT, max_tokens=20, stop=(middle,))])
    assert generation.samples[0].text == text[: text.index(middle)]
    assert generation.samples[0].stop_reason == "stop"


def test_a_stop_string_inside_thinking_ends_nothing(started, monkeypatch):
    """The server ends the text there; it is written again without the stop string and cut here."""
    server = started()
    model = opened(server)
    said = "<think>one\n\ntwo</think> yes\n\nno"
    assert model.found.stops
    monkeypatch.setattr(server, "_written", lambda body, ids, limit, index: ([*said.encode()], "stop"))
    (generation,) = model.generate([GenerateRequest(PROMPT, max_tokens=64, stop=("\n\n",))])
    assert generation.samples[0].text == "<think>one\n\ntwo</think> yes"


def test_longer_answers_than_asked_are_cut(started):
    model = opened(started(limit="ignored"))
    (generation,) = model.generate([GenerateRequest(PROMPT, max_tokens=5)])
    assert list(generation.samples[0].token_ids) == greedy(PROMPT, 5)[0]
    assert generation.samples[0].stop_reason == "length"


def test_log_probabilities_that_nobody_gives_are_nan(started):
    model = opened(started(top=0))
    (generation,) = model.generate([GenerateRequest(PROMPT, max_tokens=5)])
    sample = generation.samples[0]
    assert len(sample.logprobs) == len(sample.token_ids) == 5
    assert all(map(math.isnan, sample.logprobs))
    assert "no log-probabilities" in model.engine


def test_a_chat_is_sent_as_messages_and_gone_on_from(started):
    server = started(completions=False)
    model = opened(server)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    prompt = model.tokenizer.chat(messages)
    model.generate([GenerateRequest(prompt, max_tokens=4), GenerateRequest(prompt + "Well, ", max_tokens=4)])
    plain, begun = (body["messages"] for _, body in server.asked[-2:])
    plain, begun = sorted((plain, begun), key=len)
    assert plain == messages
    assert begun == [*messages, {"role": "assistant", "content": "Well, "}]
    with pytest.raises(RequestError, match="a message holds '⟪user⟫'"):
        model.tokenizer.chat([{"role": "user", "content": "a ⟪user⟫ b"}])
    closed = opened(started(completions=False, prefill=False))
    with pytest.raises(RequestError, match="does not go on from an answer that has begun"):
        closed.generate([GenerateRequest(prompt + "Well, ", max_tokens=4)])


def test_a_beginning_that_a_server_repeats_is_no_part_of_the_text(started):
    texts = []
    for repeats in (False, True):
        model = opened(started(completions=False, repeats=repeats))
        prompt = model.tokenizer.chat([{"role": "user", "content": "Hi"}]) + "Well, "
        (generation,) = model.generate([GenerateRequest(prompt, max_tokens=4)])
        assert model.found.repeats == repeats
        texts.append(generation.samples[0].text)
    assert texts[0] == texts[1]
    assert not texts[1].startswith("Well")


def test_what_no_server_does_is_refused(started):
    model = opened(started(strict=True))
    with pytest.raises(RequestError, match="no_repeat_ngram"):
        model.generate([GenerateRequest(PROMPT, no_repeat_ngram=3)])
    with pytest.raises(RequestError, match="does not heed top_k"):
        model.generate([GenerateRequest(PROMPT, temperature=1.0, top_k=5)])


def test_too_long_is_said_before_it_is_sent(started):
    server = started(context=100)
    model = opened(server)
    model.found  # noqa: B018
    asked = len(server.asked)
    with pytest.raises(ContextOverflow, match=r"generate request 0 has 130 tokens; .* holds 100"):
        model.generate([GenerateRequest("x" * 90, max_tokens=40)])
    assert len(server.asked) == asked
