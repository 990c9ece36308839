"""What stands around a text: tokens before it once, none after it, ends, and what a chat template does."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from icl.engine.loading.chat import ChatTemplate, fold_system
from icl.engine.loading.ends import ends, ends_by_name
from icl.engine.loading.pieces import pieces
from icl.engine.loading.special import Wrapping, wrapping
from icl.engine.loading.tokenizer import HFTokenizer
from icl.engine.requests.encoding import encode_scores
from icl.errors import ModelError
from icl.prompts.notes import chat_notes
from icl.types import ScoreRequest

MARKS = ["<unk>", "<s>", "</s>", "[gMASK]", "<sop>", "<|end|>", "<|return|>", "<|call|>"]
USER = {"role": "user", "content": "is it so"}
SYSTEM = {"role": "system", "content": "answer briefly"}
PLAIN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"
REFUSES = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"
)
DROPS = "{% for m in messages if m.role != 'system' %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"
ADDS = (
    "{% if messages[0].role != 'system' %}<s>system\nYou are Tiny, a small model.<|end|>\n{% endif %}"
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}<s>assistant\n"
)
OPENS = (
    "A talk between a person and a machine. {% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"
)


def tokenizer(around: str = "$A", template: str | None = None, **roles: str) -> Any:
    """Bytes as tokens, with `around` as the post-processor."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({t: i for i, t in enumerate([*MARKS, *alphabet])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    marks = [(mark, MARKS.index(mark)) for mark in around.split() if mark != "$A"]
    made.post_processor = processors.TemplateProcessing(single=around, special_tokens=marks)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", chat_template=template, **roles)
    fast.add_special_tokens({"additional_special_tokens": MARKS[1:]})
    return fast


@pytest.mark.parametrize(
    "around", ["$A", "<s> $A", "$A </s>", "<s> $A </s>", "[gMASK] <sop> $A", "<s> [gMASK] $A <sop>"]
)
def test_what_comes_before_is_there_once_and_what_comes_after_is_not(around: str) -> None:
    plain = tokenizer(around, bos_token="<s>", eos_token="</s>")
    wrapped = HFTokenizer(plain)
    before, after = (side.split() for side in around.split("$A"))
    ids = list(plain("a label: yes").input_ids)
    expected = tuple(ids[: len(ids) - len(after)])
    assert wrapped.encode("a label: yes") == expected
    assert wrapped.encode_many(["a label: yes", "x"])[0] == expected
    written = "".join(before) + "a label: yes"  # as by a chat template
    assert wrapped.encode(written) == expected
    [scored] = encode_scores(wrapped, [ScoreRequest("a label:", (" yes", " no"))])
    assert (*scored.prompt, *scored.continuations[0]) == expected
    assert not set(scored.continuations[0]) & set(range(len(MARKS)))


def test_every_token_that_is_added_is_shown_before_the_text() -> None:
    found, tokens = pieces(HFTokenizer(tokenizer("[gMASK] <sop> $A </s>")), "yes<|end|>no")
    assert [(p.text, p.special, p.added) for p in found] == [
        ("[gMASK]", True, True),
        ("<sop>", True, True),
        ("yes", False, False),
        ("<|end|>", True, False),
        ("no", False, False),
    ]
    assert tokens == 2 + 3 + 1 + 2


def test_a_beginning_that_is_written_in_part_is_completed() -> None:
    both = Wrapping((3, 4), ())
    assert both.begin((4, 9, 9)) == (3, 4, 9, 9)
    assert both.begin((3, 9, 9)) == (3, 4, 9, 9)
    assert both.begin((3, 4, 9)) == (3, 4, 9)
    assert both.begin((9,)) == (3, 4, 9)
    assert Wrapping((), (2,)).begin((9,)) == (9,)


def test_bos_after_a_line_break_is_not_written_twice() -> None:
    template = "\n{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    plain = tokenizer("<s> $A", template, bos_token="<s>")
    wrapped = HFTokenizer(plain)
    ids = wrapped.encode(wrapped.chat([USER]))
    assert ids.count(MARKS.index("<s>")) == 1
    assert (
        list(ids)
        == plain.apply_chat_template([USER], add_generation_prompt=True, return_dict=True)["input_ids"]
    )
    assert wrapped.encode("\nno mark here")[0] == MARKS.index("<s>")


def test_a_tokenizer_that_cannot_be_told_from_what_it_adds_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be told"):
        wrapping(lambda text: [ord(c) for c in text], lambda text: [0] * len(text))


def test_ends_by_name_count_where_settings_name_one_or_none() -> None:
    special = {"<s>": 1, "</s>": 2, "<|end|>": 5, "<|user|>": 6}
    assert ends([], None, special) == {2, 5}
    assert ends([7], 8, special) == {2, 5, 7, 8}
    assert ends([7, 7], 8, special) == {2, 5, 7, 8}
    assert ends([2, 9], 5, special) == {2, 9}
    harmony = {"<|end|>": 5, "<|return|>": 6, "<|call|>": 7}
    assert ends_by_name(harmony) == {6, 7}
    assert HFTokenizer(tokenizer(eos_token="<|return|>"), frozenset({6, 1, 7})).eos_ids == {6, 1, 7}


@pytest.mark.parametrize("template", [REFUSES, DROPS])
def test_an_instruction_that_is_not_taken_opens_the_first_user_turn(
    template: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = HFTokenizer(tokenizer(template=template))
    later = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "and now"}]
    text = wrapped.chat([SYSTEM, USER, *later])
    assert text.index("[user] answer briefly\n\nis it so") >= 0
    assert text.count("answer briefly") == 1
    wrapped.chat([SYSTEM, USER])
    [said] = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "opens the first user turn" in said.getMessage()
    assert chat_notes(wrapped, "turns", "answer briefly") == (
        "the chat template takes no system message; the instruction opens the first user turn",
    )
    assert chat_notes(wrapped, "single", "answer briefly") == chat_notes(wrapped, False, "x") == ()


def test_an_instruction_that_is_taken_stays_where_it_is() -> None:
    wrapped = HFTokenizer(tokenizer(template=PLAIN))
    assert wrapped.chat([SYSTEM, USER]) == "<|system|>answer briefly\n<|user|>is it so\n<|assistant|>"
    assert wrapped.chat_notes(True) == wrapped.chat_notes(False) == ()


def test_folding_messages() -> None:
    assert fold_system([SYSTEM, USER]) == [{"role": "user", "content": "answer briefly\n\nis it so"}]
    assert fold_system([USER]) == [USER]
    assert fold_system([SYSTEM]) == [{"role": "user", "content": "answer briefly"}]


def test_the_instruction_that_a_template_adds_is_found() -> None:
    wrapped = HFTokenizer(tokenizer(template=ADDS))
    [note] = wrapped.chat_notes(False)
    assert note == "the chat template adds a system message of its own: 'You are Tiny, a small model.'"
    assert wrapped.chat_notes(True) == ()
    [note] = HFTokenizer(tokenizer(template=OPENS)).chat_notes(False)
    assert "'A talk between a person and a machine.'" in note


@pytest.mark.parametrize("template", [PLAIN, "<s>" + PLAIN, REFUSES, DROPS])
def test_a_template_that_adds_nothing_hides_nothing(template: str) -> None:
    made = HFTokenizer(tokenizer(template=template)).chat_template
    assert made is not None
    assert made.hidden_system == ""


def test_messages_that_a_template_refuses_are_one_clear_line() -> None:
    def write(messages: Any) -> str:
        raise ValueError("Conversation roles must alternate\nand more")

    with pytest.raises(
        ModelError, match=r"chat template of tiny refuses the messages: Conversation roles must alternate$"
    ):
        ChatTemplate(write, name="tiny").text([USER])


def test_the_embedded_models_hidden_instruction(embedded: str) -> None:
    from icl.engine.loading.files import load_tokenizer

    [note] = chat_notes(load_tokenizer(embedded), "turns", "")
    assert "SmolLM" in note


def test_short_texts_are_remembered_up_to_a_number_and_no_other(monkeypatch):
    monkeypatch.setattr("icl.engine.loading.tokenizer.SHORT", 4)
    monkeypatch.setattr("icl.engine.loading.tokenizer.SHORT_KEPT", 2)
    wrapped = HFTokenizer(tokenizer("<s> $A"))
    asked = []
    ids = wrapped._ids
    monkeypatch.setattr(wrapped, "_ids", lambda text, special: asked.append(text) or ids(text, special))
    first = wrapped.encode("is")
    asked.clear()
    assert wrapped.encode("is") == first
    assert asked == []
    for text in ("it", "so", "is", "it so", "it so"):
        assert wrapped.encode(text) == wrapped.encode_many([text])[0]
    assert asked == ["it", "so", "is", "it so", "it so"]
    assert len(wrapped._short) <= 2
