"""The two stages of zero-shot chain of thought."""

from __future__ import annotations

from typing import Any

import pytest

from icl.cot.shared.chain import Decoding, drive
from icl.cot.shared.continuation import drawn_ids, extend
from icl.cot.shared.triggers import answer_trigger
from icl.cot.zero_shot import ZeroShot
from icl.engine.fake import EOS, ByteTokenizer
from icl.types import Query, Sample


def script(prompt: str, sample: int) -> str:
    if prompt.endswith("numerals) is"):
        return " 7, then 9."
    return " We take 3 from 10.\nThat gives 7.\nQ: another"


def test_two_stages(world: Any) -> None:
    outcome = world.ask(ZeroShot(), script)
    first, second = world.model.requests
    opening = "Q: ten less three\nA: Let's think step by step."
    assert world.prompts == [
        opening,
        opening + " We take 3 from 10.\nThat gives 7. \nTherefore, the answer (arabic numerals) is",
    ]
    assert (first.max_tokens, second.max_tokens) == (128, 32)
    assert isinstance(first.prompt, tuple)
    assert isinstance(second.prompt, tuple)
    assert second.prompt[: len(first.prompt)] == first.prompt
    assert outcome.answer == "7"
    assert outcome.prompt.text == opening
    assert outcome.prompt.demonstrations == ()
    assert outcome.flags == ("first_last_disagree",)
    assert outcome.details["chains"][0]["steps"] == 2


def test_the_chain_is_cut_but_the_answer_is_asked_for(world: Any) -> None:
    outcome = world.ask(ZeroShot(max_tokens=8), script)
    assert world.prompts[1].endswith("step. We take \nTherefore, the answer (arabic numerals) is")
    assert outcome.answer == "7"
    assert "cut_by_length" in outcome.flags


def test_every_sampled_chain_has_its_own_second_stage(world: Any) -> None:
    chains = {0: " It is 4.", 1: " It is 5.", 2: " It is 4."}

    def reply(prompt: str, sample: int) -> str:
        return f" {prompt.split('It is ')[1][0]}" if prompt.endswith("is") else chains[sample + 0]

    resources = world.resources(reply)
    method = ZeroShot().fit((), resources)
    talk = method.chains(Query("q", {"q": "x"}), (), resources, Decoding(3, 0.7, 40))
    found = drive(talk, world.model)
    assert [chain.answer for chain in found] == ["4", "5", "4"]
    first, *seconds = world.model.requests
    assert (first.n, first.temperature, first.top_k) == (3, 0.7, 40)
    assert [(r.n, r.temperature) for r in seconds] == [(1, 0.0)] * 3


@pytest.mark.parametrize(
    ("kind", "labels", "language", "expected"),
    [
        ("numeric", (), "en", " \nTherefore, the answer (arabic numerals) is"),
        ("multiple_choice", (), "en", " \nTherefore, among A through C, the answer is"),
        ("boolean", ("yes", "no"), "en", " \nTherefore, the answer (Yes or No) is"),
        ("string", (), "en", " \nTherefore, the answer is"),
        ("numeric", (), "zh", "\n因此，答案（阿拉伯数字）是"),
    ],
)
def test_triggers(world_with: Any, kind: Any, labels: Any, language: str, expected: str) -> None:
    world = world_with(kind, labels, language=language)
    assert answer_trigger(world.task, Query("q", {"q": "x"}, world.choices)) == expected


TOKENS = ByteTokenizer()


def sample(text: str, drawn: str, reason: Any, *more: int) -> Sample:
    ids = (*TOKENS.encode(drawn), *more)
    return Sample(text, ids, (-0.1,) * len(ids), reason)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (sample(" ab", " ab", "eos", EOS), " ab"),
        (sample(" ab", " ab\nQ: x", "stop"), " ab"),
        (sample(" ab", " ab", "length"), " ab"),
        (sample("", "\nQ:", "stop"), ""),
    ],
)
def test_drawn_ids_are_those_of_the_text(given: Sample, expected: str) -> None:
    assert TOKENS.decode(drawn_ids(given, TOKENS)) == expected


class PairTokenizer(ByteTokenizer):
    """Two bytes a token, behind a BOS: texts can end inside a token."""

    def encode(self, text: str) -> tuple[int, ...]:
        data = text.encode() + (b"\0" if len(text.encode()) % 2 else b"")
        return (999_999, *(data[i] * 256 + data[i + 1] for i in range(0, len(data), 2)))

    def decode(self, ids: Any) -> str:
        pairs = [i for i in ids if i != 999_999]
        return b"".join(bytes(divmod(i, 256)) for i in pairs).replace(b"\0", b"").decode()


def test_a_text_that_ends_inside_a_token_is_tokenised_from_there() -> None:
    tokens = PairTokenizer()
    drawn = tokens.encode("abcd\nQ:x")[1:]
    given = Sample("abc", drawn, (0.0,) * len(drawn), "stop")
    whole = extend("12", given, "\nso", tokens)
    assert tokens.decode(whole) == "12abc\nso"
    assert whole.count(999_999) == 1, "the BOS stands at the beginning alone"
    assert whole[:2] == (*tokens.encode("12"),)
    assert whole[2] == drawn[0]
