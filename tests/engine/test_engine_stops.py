"""Stop strings end an answer, not the thinking before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icl.engine.decoding.stopping import StopWatcher
from icl.engine.fake import ByteTokenizer, FakeModel
from icl.engine.requests.stops import first_stop
from icl.errors import RequestError
from icl.thinking import opened_by
from icl.types import GenerateRequest


@pytest.mark.parametrize(
    ("text", "stops", "at"),
    [
        ("5\n\nQ: next", ("\n\n", "\nQ:"), 1),
        ("<think>a\n\nb</think>5\n\nQ", ("\n\n",), 20),
        ("<think>a\n\nb", ("\n\n",), None),
        ("[THINK]\nQ:[/THINK]7\nQ:", ("\nQ:",), 19),
        ("x < 3\n\ny", ("\n\n",), 5),
        ("no stop", ("\n\n",), None),
        ("", (), None),
    ],
)
def test_first_stop(text: str, stops: tuple[str, ...], at: int | None) -> None:
    assert first_stop(text, stops) == at


def test_a_block_that_the_prompt_opened() -> None:
    assert opened_by("<|assistant|>\n<think>\n") == "<think>"
    assert opened_by("Q: what is <think>?") == ""
    assert first_stop("a\n\nb</think>5\n\n", ("\n\n",), "<think>") == 13


@pytest.mark.parametrize("prompt", ["Q", "Q<think>\n"])
def test_the_watcher_goes_on_inside_a_block(prompt: str) -> None:
    tokenizer = ByteTokenizer()
    written = ("" if "<think>" in prompt else "<think>") + "one\n\ntwo</think>\n3\n\nmore"
    watcher = StopWatcher(GenerateRequest(prompt, max_tokens=200, stop=("\n\n",)), tokenizer)
    for token in tokenizer.encode(written):
        if watcher.push(token, -0.1):
            break
    assert watcher.reason == "stop"
    assert watcher.text.endswith("</think>\n3")


def test_the_fake_model_stops_likewise() -> None:
    model = FakeModel(reply_with=lambda prompt, sample: "<think>a\n\nb</think>4\n\nQ: 5")
    (answer,) = model.generate([GenerateRequest("Q", max_tokens=100, stop=("\n\n",))])
    assert (answer.samples[0].text, answer.samples[0].stop_reason) == ("<think>a\n\nb</think>4", "stop")


PLAN = (("§plan", "plan§"),)


def test_marks_of_a_request_hold_beside_the_known_ones() -> None:
    written = "§plan a\n\nb plan§ 4<think>\n\n</think>.\n\nQ: 5"
    model = FakeModel(reply_with=lambda prompt, sample: written)
    plain = GenerateRequest("Q", max_tokens=100, stop=("\n\n",))
    known, own = model.generate([plain, replace(plain, think=PLAN)])
    assert known.samples[0].text == "§plan a"
    assert own.samples[0].text == "§plan a\n\nb plan§ 4<think>\n\n</think>."
    assert opened_by("Q §plan\n", PLAN) == "§plan"
    watcher = StopWatcher(GenerateRequest("Q §plan", max_tokens=9, stop=("\n",), think=PLAN), ByteTokenizer())
    assert not any(watcher.push(token, -0.1) for token in b"one\ntwo"[:8])


def test_marks_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(RequestError, match=r"think is .*allowed: pairs of an opening and a closing mark"):
        FakeModel().generate([GenerateRequest("Q", think=(("<a>",),))])  # type: ignore[arg-type]
