"""Traps 1, 2, 3 and 16 of the engine: where text becomes tokens and tokens become text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from icl.engine.decoding.stopping import StopWatcher
from icl.engine.loading.files import load_tokenizer
from icl.engine.loading.tokenizer import HFTokenizer
from icl.engine.requests.encoding import encode_scores
from icl.errors import ModelError
from icl.types import GenerateRequest, ScoreRequest

from .tiny import CONTEXT, EOS, ragged, tiny_pair

CORPUS = ["Review: a good film\nSentiment: good", "Review: a bad film\nSentiment: bad", "good bad"] * 20
CHAT = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SPECIAL = ["<unk>", "<s>", "</s>"]


def backend(kind: str) -> Tokenizer:
    """A small tokenizer of one of the kinds that write a leading space in different ways."""
    if kind == "words":
        made = Tokenizer(models.WordLevel(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        made.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=SPECIAL))
        return made
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    if kind == "byte-level":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind.removeprefix("metaspace-"))
        made.decoder = decoders.Metaspace()
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator(CORPUS, trainer)
    return made


KINDS = ("byte-level", "metaspace-always", "metaspace-first", "words")


def hugging_face(kind: str, bos: bool = True) -> Any:
    made = backend(kind)
    if bos:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=CHAT
    )


@pytest.mark.parametrize("kind", KINDS)
def test_trap_01_bos_once_in_plain_text_and_in_chat(kind: str) -> None:
    plain = hugging_face(kind)
    tokenizer = HFTokenizer(plain)
    bos = plain.bos_token_id
    text = "Review: a good film"
    assert tokenizer.encode(text) == tuple(plain(text).input_ids)
    assert tokenizer.encode(text).count(bos) == 1
    messages = [{"role": "user", "content": text}]
    chat = tokenizer.chat(messages)
    expected = plain.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert tokenizer.encode(chat) == tuple(expected)
    assert tokenizer.encode(chat).count(bos) == 1
    assert tokenizer.encode_many([text, chat]) == [tokenizer.encode(text), tokenizer.encode(chat)]
    for prompt in (text, chat):
        [scored] = encode_scores(tokenizer, [ScoreRequest(prompt, (" good", " bad"))])
        for continuation, word in zip(scored.continuations, (" good", " bad"), strict=True):
            whole = (*scored.prompt, *continuation)
            assert whole == tokenizer.encode(prompt + word)
            assert whole.count(bos) == 1


def test_trap_01_without_bos_nothing_is_added() -> None:
    plain = hugging_face("byte-level", bos=False)
    assert HFTokenizer(plain).encode("a good film") == tuple(plain("a good film").input_ids)
    assert plain.bos_token_id not in HFTokenizer(plain).encode("a good film")


def test_trap_01_with_the_embedded_models_chat_template(embedded: str) -> None:
    tokenizer = load_tokenizer(embedded)
    messages = [{"role": "user", "content": "Is it good?"}]
    expected = tokenizer.tokenizer.apply_chat_template(  # type: ignore[attr-defined]
        messages, add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert tokenizer.encode(tokenizer.chat(messages)) == tuple(expected)


PIECES = [
    " ",
    "  ",
    "\n",
    "a",
    "th",
    "e",
    "ing",
    " the",
    "'s",
    "1",
    "23",
    ".",
    ":",
    "é",
    "停止",
    "🙂",
    "\u0301",
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trap_02_the_boundary_is_where_every_continuation_is_exact(
    embedded: str, prompt: str, continuations: list[str]
) -> None:
    tokenizer = _loaded(embedded)
    wholes = [tokenizer.encode(prompt + c) for c in continuations]
    alone = tokenizer.encode(prompt)
    request = ScoreRequest(prompt, tuple(continuations))
    possible = all(len(w) > 1 and w[0] == alone[0] for w in wholes)
    if not possible:
        with pytest.raises(ModelError, match="request 0: the prompt has no token of its own"):
            encode_scores(tokenizer, [request])
        return
    [scored] = encode_scores(tokenizer, [request])
    boundary = len(scored.prompt)
    assert scored.prompt == alone[:boundary]  # no token of a continuation is taken for the prompt
    for continuation, whole in zip(scored.continuations, wholes, strict=True):
        assert continuation
        assert (*scored.prompt, *continuation) == whole
    # one token later some continuation would not be exact or be empty
    later = boundary + 1
    assert later > len(alone) or any(w[:later] != alone[:later] or len(w) == later for w in wholes)


_tokenizers: dict[str, Any] = {}


def _loaded(name: str) -> Any:
    if name not in _tokenizers:
        _tokenizers[name] = load_tokenizer(name)
    return _tokenizers[name]


def test_trap_02_a_merge_across_the_boundary_is_scored_from_before_it(embedded: str) -> None:
    """ "Label: " + "yes" ends its prompt in the token that "yes" swallows."""
    tokenizer = _loaded(embedded)
    prompt = "Label: "
    assert tokenizer.encode(prompt + "yes") != tokenizer.encode(prompt) + tokenizer.encode("yes")
    [scored] = encode_scores(tokenizer, [ScoreRequest(prompt, ("yes", "no"))])
    assert scored.prompt == tokenizer.encode("Label:")
    assert scored.continuations == (tokenizer.encode(" yes"), tokenizer.encode(" no"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ScoreRequest("1 2", ("",)), "score request 1 has an empty continuation"),
        (ScoreRequest((1, 2), ((),)), "score request 1 has an empty continuation"),
        (ScoreRequest("1 2", ()), "score request 1 has no continuation"),
        (ScoreRequest("", ("3",)), "score request 1: the prompt has no token of its own"),
        (ScoreRequest((), ((3,),)), "score request 1: the prompt has no token of its own"),
        (ScoreRequest("1 2", ((3,),)), "score request 1: a prompt as text needs continuations as text"),
    ],
)
def test_trap_02_what_cannot_be_scored_is_refused_by_name(request_: ScoreRequest, message: str) -> None:
    pair = tiny_pair("llama")
    good = ScoreRequest("1 2", (" 3",))
    for model in (pair.trie(), pair.naive):
        with pytest.raises(ModelError, match=message):
            model.score([good, request_])


def test_trap_02_an_empty_prompt_cannot_be_continued() -> None:
    pair = tiny_pair("llama")
    for model in (pair.trie(), pair.naive):
        with pytest.raises(ModelError, match="generate request 1 has an empty prompt"):
            model.generate([GenerateRequest("1 2", max_tokens=1), GenerateRequest("", max_tokens=1)])


# kind -> (tokens of " good" after "Sentiment:", tokens of "good" there), joined
LABELS = {
    "byte-level": ("Ġgood", "good"),
    "metaspace-always": ("▁good", "good"),
    "metaspace-first": ("▁good", "good"),
    "words": ("good", "good"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_trap_03_a_label_with_and_without_its_space(kind: str) -> None:
    plain = hugging_face(kind)
    tokenizer = HFTokenizer(plain)
    prompt = "Review: a good film\nSentiment:"
    for label, expected in zip((" good", "good"), LABELS[kind], strict=True):
        [scored] = encode_scores(tokenizer, [ScoreRequest(prompt, (label,))])
        assert "".join(plain.convert_ids_to_tokens(scored.continuations[0])) == expected
        assert (*scored.prompt, *scored.continuations[0]) == tuple(plain(prompt + label).input_ids)
    if kind == "metaspace-always":  # tokenised alone, a label would get a space that it does not have
        alone = plain.convert_ids_to_tokens(plain("good", add_special_tokens=False).input_ids)
        assert "".join(alone) == "▁good"


def test_every_special_token_that_is_an_end_by_name_ends_a_text() -> None:
    plain = hugging_face("byte-level")
    before = HFTokenizer(plain)
    assert before.eos_ids == {plain.eos_token_id}
    plain.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|fim_middle|>"]})
    plain.add_tokens(["<|im_end|>"])  # an ordinary word of this tokenizer
    after = HFTokenizer(plain, frozenset({7}))
    assert after.eos_ids == {7, plain.eos_token_id, plain.convert_tokens_to_ids("<|endoftext|>")}
    assert after.fingerprint != HFTokenizer(plain).fingerprint  # answers would differ


class Pieces:
    """A tokenizer whose tokens are given byte strings, cut anywhere, also inside a character."""

    eos_ids = frozenset[int]()
    fingerprint = "pieces"

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode(errors="replace")

    def encode(self, text: str) -> tuple[int, ...]:
        raise NotImplementedError

    def chat(self, messages: Sequence[Any]) -> str:
        raise NotImplementedError


def cuts(data: bytes) -> list[list[bytes]]:
    """Every way to cut data into pieces."""
    return [
        [data[a:b] for a, b in itertools.pairwise([0, *at, len(data)])]
        for n in range(len(data))
        for at in itertools.combinations(range(1, len(data)), n)
    ]


@pytest.mark.parametrize("stop", ["\n\n", "Q:", "停止", "é", "🙂a", "END.", "\nQ: "])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("ab", "cd"), ("né", "ét"), ("\n", "\n")])
def test_trap_16_a_stop_string_is_found_however_it_is_cut(stop: str, before: str, after: str) -> None:
    for pieces in cuts(stop.encode()):
        for glued in range(4):  # to what comes before, to what comes after
            some = list(pieces)
            some[0] = before.encode() * (glued & 1) + some[0]
            some[-1] = some[-1] + after.encode() * (glued >> 1)
            lead = [] if glued & 1 else [before.encode()]
            tokens = [p for p in (*lead, *some, b"never") if p]
            request = GenerateRequest("x", max_tokens=100, stop=("nowhere", stop))
            watcher = StopWatcher(request, Pieces(tokens))
            written = 0
            while watcher.push(written, -1.0) is None:
                written += 1
            assert watcher.reason == "stop"
            whole = before + stop + after
            assert watcher.text == whole[: whole.index(stop)]
            assert stop in Pieces(tokens).decode(watcher.ids)
            assert stop not in Pieces(tokens).decode(watcher.ids[:-1])


def test_trap_16_half_a_character_is_no_stop_string() -> None:
    """é and è begin with the same byte."""
    watcher = StopWatcher(GenerateRequest("x", max_tokens=4, stop=("é",)), Pieces([b"\xc3", b"\xa8", b"a"]))
    assert [watcher.push(i, 0.0) for i in (0, 1, 2, 2)] == [None, None, None, "length"]
    assert watcher.text == "èaa"


def test_trap_16_the_first_of_several_stop_strings_cuts() -> None:
    watcher = StopWatcher(GenerateRequest("x", stop=("cd", "bc")), Pieces([b"a", b"bcd", b"e"]))
    assert [watcher.push(i, 0.0) for i in (0, 1)] == [None, "stop"]
    assert watcher.text == "a"


def test_trap_16_with_a_real_tokenizer(embedded: str) -> None:
    tokenizer = _loaded(embedded)
    ids = tokenizer.encode("A: 停止 is the end🙂.\n\nQ: and")
    for stop in ("\n\nQ", "停止", "🙂", "end", "nd🙂.", "the e"):
        watcher = StopWatcher(GenerateRequest("x", max_tokens=99, stop=(stop,)), tokenizer)
        for token in ids:
            if watcher.push(token, 0.0):
                break
        assert watcher.reason == "stop"
        whole = tokenizer.decode(ids)
        assert watcher.text == whole[: whole.index(stop)]


def test_trap_16_stopping_inside_the_engine() -> None:
    """The stop lies across two tokens; the token ids keep all that was drawn."""
    pair = tiny_pair("llama")
    prompts = ragged(3)
    free = pair.naive.generate([GenerateRequest(p, max_tokens=9, ignore_eos=True) for p in prompts])
    asked = []
    for prompt, generation in zip(prompts, free, strict=True):
        third, fourth = generation.samples[0].token_ids[2:4]
        stop = f"{str(third)[-1]} {str(fourth)[0]}"
        asked.append(GenerateRequest(prompt, max_tokens=9, ignore_eos=True, stop=(stop,)))
    found = pair.trie(chunk_rows=7, max_slots=3).generate(asked)
    expected = pair.naive.generate(asked)
    for a, b, request, whole in zip(found, expected, asked, free, strict=True):
        [sample], [text] = a.samples, [whole.samples[0].text]
        assert (sample.text, sample.token_ids, sample.stop_reason) == (
            b.samples[0].text,
            b.samples[0].token_ids,
            "stop",
        )
        assert sample.text == text[: text.index(request.stop[0])]
        assert len(sample.token_ids) <= 4
    assert max(len(p) for p in prompts) < CONTEXT
    assert EOS not in prompts[0]
