"""Tokenizers of GGUF files: what a text becomes here and in llama.cpp."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from icl.engine.loading.gguf.file import GGUFFile
from icl.engine.loading.gguf.splitting import SPLITTINGS
from icl.engine.loading.gguf.tokenizer import build_tokenizer, implied_merges
from icl.errors import ModelError

from . import llama_cpp
from .gguf_files import CONTROL, NORMAL, USER_DEFINED, byte_level, sentencepiece, write

needs_llama_cpp = pytest.mark.skipif(
    not llama_cpp.available(), reason=f"the second reader, the package {llama_cpp.PACKAGE}, is not installed"
)
PIECES = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "a",
    "th",
    "e",
    "ing",
    " the",
    "'s",
    "'S",
    "'Re",
    "1",
    "23",
    "2024",
    ".",
    ":",
    ",",
    "(",
    "$",
    "=",
    "+",
    "<>",
    "`",
    "_",
    "é",
    "ß",
    "«",
    "x",
    "Hello",
    "don't",
    "fooBar",
    "ABCd",
    "停止",
    "かな",
    "한국",
    "🙂",
    "Привет",
    "नमस्ते",
    "١٢",
    "¿",
    " hello",
]
AGREED = tuple(
    name
    for name in SPLITTINGS
    # llama.cpp has no expressions by case for these two and cuts at ASCII letters only
    if name not in ("tekken", "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2")
)
ONE_OF_EACH = tuple({SPLITTINGS[name].expressions: name for name in reversed(AGREED)}.values())


def texts(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randint(1, 9))) for _ in range(count)]


@cache
def merges() -> tuple[str, ...]:
    """Merges that go across every boundary between words, so that a wrong cut is seen."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts(3000, seed=1), trainer)
    import json

    return tuple(" ".join(pair) for pair in json.loads(made.to_str())["model"]["merges"])


def rich(pre: str | None, **more: object) -> dict[str, object]:
    said = byte_level(pre, **more)  # type: ignore[arg-type]
    size = len(said["tokens"])
    known = set(said["tokens"])
    new = [t for t in ("".join(m.split(" ")) for m in merges()) if t not in known]
    return said | {
        "merges": list(merges()),
        "tokens": [*said["tokens"], *new],
        "token_type": [*said["token_type"], *[NORMAL] * (size + len(new) - len(said["token_type"]))],
    }


def here(path: Path, asked: list[str]) -> list[list[int]]:
    tokenizer = build_tokenizer(GGUFFile(path)).tokenizer
    return [list(tokenizer(text).input_ids) for text in asked]


@needs_llama_cpp
@pytest.mark.parametrize("pre", ONE_OF_EACH)
def test_each_rule_cuts_as_llama_cpp_does(pre: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", rich(pre))
    asked = [*texts(300), "a\n\n1", "a\n 5", "x  7", "", "<|start|>user\nhi<|stop|>"]
    found, expected = here(path, asked), llama_cpp.read(path, asked).tokens
    wrong = [(t, a, b) for t, a, b in zip(asked, found, expected, strict=True) if a != b]
    assert not wrong, (len(wrong), wrong[:5])


def test_rules_differ_from_one_another(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    found = {
        pre: here(write(tmp_path / f"{pre}.gguf", rich(pre)), texts(300))
        for pre in ("gpt-2", "smollm", "qwen2")
    }
    assert found["gpt-2"] != found["smollm"] != found["qwen2"] != found["gpt-2"]


def test_single_digits_before_the_rest(tmp_path: Path) -> None:
    """A digit that is cut off first leaves the line breaks before it in one piece."""
    said = byte_level("smollm")
    ids = {token: i for i, token in enumerate(said["tokens"])}
    path = write(tmp_path / "m.gguf", said)
    assert here(path, ["a\n\n1"]) == [[ids["a"], ids["ĊĊ"], ids["1"]]]
    plain = write(tmp_path / "p.gguf", byte_level("gpt-2"))
    assert here(plain, ["a\n\n1"]) == [[ids["a"], ids["Ċ"], ids["Ċ"], ids["1"]]]


@pytest.mark.parametrize("pre", [None, "nobody-knows-this"])
def test_a_rule_that_is_not_known_is_said(pre: str | None, tmp_path: Path) -> None:
    built = build_tokenizer(GGUFFile(write(tmp_path / "m.gguf", byte_level(pre))))
    [note] = built.notes
    assert "tokenizer.ggml.pre" in note
    assert pre is None or repr(pre) in note
    assert build_tokenizer(GGUFFile(write(tmp_path / "k.gguf", byte_level("smollm")))).notes == []


def test_control_tokens_outside_the_byte_alphabet(tmp_path: Path) -> None:
    """Full-width bars, as in DeepSeek's: matched whole, with the file's ids, and known as ends."""
    control = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
    path = write(tmp_path / "m.gguf", byte_level("deepseek-r1-qwen", control, add_bos_token=True))
    built = build_tokenizer(GGUFFile(path))
    tokenizer = built.tokenizer
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, built.ends) == (0, 1, [1])
    assert tokenizer("<｜User｜>hi<｜Assistant｜>").input_ids[:2] == [0, 2]
    assert tokenizer("<｜User｜>hi<｜Assistant｜>").input_ids[-1] == 3
    assert len(tokenizer) == len(GGUFFile(path).vocabulary["tokens"])
    if llama_cpp.available():
        asked = ["<｜User｜>hi there<｜Assistant｜>", "a<｜end▁of▁sentence｜>"]
        assert here(path, asked) == llama_cpp.read(path, asked).tokens


def test_words_that_are_matched_whole_without_being_control(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", byte_level("qwen2", words=("<think>", "  ", "→→")))
    tokenizer = build_tokenizer(GGUFFile(path)).tokenizer
    last = len(GGUFFile(path).vocabulary["tokens"]) - 1
    assert tokenizer("<think>→→").input_ids == [last - 2, last]
    assert tokenizer.decode([last - 2, last], skip_special_tokens=True) == "<think>→→"


def test_special_ids_past_the_vocabulary_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", byte_level(eos_token_id=5000))
    with pytest.raises(ModelError, match=r"m\.gguf: tokenizer\.ggml\.eos_token_id is 5000, .* 272 tokens"):
        build_tokenizer(GGUFFile(path))


def test_a_vocabulary_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", byte_level() | {"model": "rwkv"})
    with pytest.raises(ModelError, match=r"the kind 'rwkv' is not read here; allowed: gpt2, llama, gemma4"):
        build_tokenizer(GGUFFile(path))


def test_a_turns_mark_among_the_words_is_an_end_all_the_same(tmp_path: Path) -> None:
    said = byte_level(control=("<|start|>", "<|stop|>", "<|eot_id|>"))
    said["token_type"][2] = NORMAL
    built = build_tokenizer(GGUFFile(write(tmp_path / "m.gguf", said)))
    assert built.ends == [1, 2]
    assert built.tokenizer("<|eot_id|>").input_ids == [2]


def test_the_ends_that_a_file_names(tmp_path: Path) -> None:
    control = ("<bos>", "<stop>", "<turn-over>", "<more>", "<|endoftext|>")
    said = byte_level(control=control, eot_token_id=2, eom_token_id=3)
    assert build_tokenizer(GGUFFile(write(tmp_path / "m.gguf", said))).ends == [1, 2, 3, 4]
    harmony = ("<|startoftext|>", "<|return|>", "<|call|>", "<|end|>")
    said = byte_level(control=harmony)
    assert build_tokenizer(GGUFFile(write(tmp_path / "h.gguf", said))).ends == [1, 2]


SENTENCES = [
    "hello",
    " hello",
    "  hello",
    "hello hello",
    "[INST] hello[INST]hello",
    "</s>a",
    "a b",
    "",
    " ",
    "é",
]


@pytest.mark.parametrize("prefix", [True, False, None])
def test_sentencepiece_adds_a_space_where_the_file_says_so(prefix: bool | None, tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.gguf", sentencepiece(**({} if prefix is None else {"add_space_prefix": prefix}))
    )
    ids = {token: i for i, token in enumerate(GGUFFile(path).vocabulary["tokens"])}
    spaced, joined = [1, ids["▁hello"]], [1, ids["hello"]]
    mark = ids["[INST]"]
    first, second, after = here(path, ["hello", " hello", "[INST]hello"])
    if prefix is False:
        assert (first, second, after) == (joined, spaced, [1, mark, ids["hello"]])
    else:
        assert first == spaced
        assert second == [1, ids["▁"], ids["▁hello"]] or second == [1, ids["▁▁"], ids["hello"]]
        assert after == [1, mark, ids["▁hello"]]
    if llama_cpp.available():
        assert here(path, SENTENCES) == llama_cpp.read(path, SENTENCES).tokens


def test_merges_of_a_vocabulary_that_lists_none() -> None:
    """Best score first; "abc" may be made in two ways."""
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    found = implied_merges(vocabulary, [0, 0, 0, -2, -1, -3])
    assert found == [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]


def test_control_and_user_defined_are_what_the_format_says() -> None:
    import gguf

    assert (int(gguf.TokenType.CONTROL), int(gguf.TokenType.USER_DEFINED)) == (CONTROL, USER_DEFINED)
