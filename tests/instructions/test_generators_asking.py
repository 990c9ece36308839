"""Self-Instruct, Alpaca and Unnatural Instructions with scripted replies, against their definitions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError, DataError
from icl.instructions.contract import row_generators
from icl.instructions.generators.shared import instances
from icl.instructions.generators.shared.filters import ALPACA, CHINESE, SELF_INSTRUCT, tidied, wrong_with
from icl.instructions.generators.shared.parsing import fields, numbered
from icl.instructions.generators.shared.wording import CHINESE as ZH
from icl.instructions.generators.shared.wording import ENGLISH as EN
from tests.instructions.conftest import SEEDS, jsonl


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Name three rivers in Peru", None),
        ("Name three rivers", "fewer than 4 words"),
        ("word " * 151, "more than 150 words"),
        ("word " * 150, None),
        ("Describe the image below in detail", "asks for what a language model cannot do"),
        ("Describe the imagery of this poem", None),
        ("Then go to the shop and buy", "asks for what a language model cannot do"),
        ("Write a program that sorts numbers", "begins with Write a program"),
        ('"Quote" this sentence for me', "begins with punctuation"),
        ("Écrire une phrase sur Paris", "begins with no ASCII character"),
        ("Compose music for a short film", None),
        ("", "empty"),
    ],
)
def test_filters_of_self_instruct(text: str, rule: str | None) -> None:
    assert wrong_with(text, SELF_INSTRUCT, ascii_only=True) == rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("列出三条河", None),
        ("写诗吧", "fewer than 4 words"),
        ("描述下面的图片", "asks for what a language model cannot do"),
        ("“春天”是什么季节？", "begins with punctuation"),
        ("解释为什么天空是蓝色的", None),
    ],
)
def test_filters_for_chinese(text: str, rule: str | None) -> None:
    assert wrong_with(text, (*ALPACA, *CHINESE), ascii_only=False) == rule


def test_alpaca_forbids_more_and_names_keep_their_capitals() -> None:
    assert wrong_with("Compose music for a short film", ALPACA, ascii_only=True) is not None
    assert tidied("  where is\n Lake Como ") == "Where is Lake Como"


def test_a_numbered_list_goes_on() -> None:
    assert numbered(" Sing a song.\n10. Buy 2.5 kg\n11 . Rest\n") == ["Sing a song.", "Buy 2.5 kg", "Rest"]
    assert numbered("写诗\n10、唱歌") == ["写诗", "唱歌"]


def test_fields_in_order_once_each() -> None:
    names = ("Instruction", "Input", "Constraints")
    text = " Add them.\nInput: 1 and 2\nor so\nConstraints: a number"
    assert fields(text, names) == {
        "Instruction": "Add them.",
        "Input": "1 and 2\nor so",
        "Constraints": "a number",
    }
    assert fields("x\nConstraints: a\nInput: b", names) is None
    assert fields("x\nInput: a", names) is None
    assert fields("x\nInput: a\nInput: b\nConstraints: c", names) is None


REPLY = (
    " Describe how bread is baked at home.\n10. Describe how bread is baked at home!"
    "\n11. Draw a map of Spain for me\n12. do thing number 3 with dogs today"
    "\n13. Rank these cheeses by their age\n14. Sing\n15. Explain rain to a child"
)
BREAD = (
    "Example 1\nInput: rye\nOutput: Mix, wait, bake.\n"
    "Example 2\nInput: wheat\nOutput: wheat\nExample 3\nInput: a:\nOutput: x"
)


def script(prompt: str, sample: int) -> str:
    """Replies by what is asked."""
    if prompt.endswith("Is it classification?"):
        return "Yes" if "Rank these cheeses" in prompt.splitlines()[-2] else "No\n"
    task = prompt.rstrip("\n").splitlines()[-1]
    if "Rank these cheeses" in task:
        return "Class label: old\nInput: brie, gouda\nClass label: young\nfeta\nClass label:"
    if "bread" in task:
        return BREAD
    if "Explain rain" in task:
        return "Output: Clouds let their water fall."
    return REPLY


def test_self_instruct_comes_up_filters_sorts_and_instantiates(make, seeds: str) -> None:
    model = FakeModel(reply_with=script)
    made = make(
        "self_instruct", {"seeds": seeds, "instructions": 3, "shown": 6, "items": 16, "per_round": 1}, model
    )
    by_instruction: dict[str, list[tuple[str, str]]] = {}
    for row in made.rows:
        by_instruction.setdefault(row.instruction, []).append((row.input, row.output))
    assert by_instruction == {
        "Describe how bread is baked at home.": [("rye", "Mix, wait, bake.")],
        "Rank these cheeses by their age": [("brie, gouda", "old"), ("feta", "young")],
        "Explain rain to a child": [("", "Clouds let their water fall.")],
    }
    assert made.rules.count("too like a kept instruction (ROUGE-L)") == 2
    assert {"asks for what a language model cannot do", "fewer than 4 words"} <= set(made.rules)
    assert made.rules.count("input equals output") == 2, "a label cut off, and wheat"
    assert made.rules.count("ends with a colon") == 1
    assert made.notes["rounds"] == 1
    assert "not_as_published" not in made.notes


def test_self_instruct_asks_as_published(make, seeds: str) -> None:
    model = FakeModel(reply_with=script)
    made = make("self_instruct", {"seeds": seeds, "instructions": 3}, model)
    first, kinds, rest = made.asked
    assert len(first) == 5
    for request in first:
        assert (request.temperature, request.top_p, request.max_tokens) == (0.7, 0.5, 1024)
        assert (request.presence_penalty, request.frequency_penalty) == (2.0, 0.0)
        assert request.stop == ("\n\n", "\n16", "16.", "16 .")
        lines = request.prompt.splitlines()
        assert [line.partition(".")[0] for line in lines[1:]] == [str(n) for n in range(1, 10)]
        assert {line.partition(". ")[2] for line in lines[1:-1]} == {seed["instruction"] for seed in SEEDS}
    assert len({request.seed for request in first}) == 5
    assert all((r.temperature, r.max_tokens, r.presence_penalty) == (0, 3, 0) for r in kinds)
    assert all((r.temperature, r.presence_penalty) == (0, 1.5) for r in rest)
    assert sorted(r.max_tokens for r in rest) == [300, 350, 350]
    assert all(r.temperature == 0 and r.stop == ("Example 6", "Task:") for r in rest)


def test_machine_instructions_come_into_prompts_once_there_are_some(make, seeds: str) -> None:
    def one_each(prompt: str, sample: int) -> str:
        if "classification" in prompt.splitlines()[-1]:
            return "No"
        if prompt.rstrip("\n").splitlines()[-1].startswith("Task:"):
            return "Output: done"
        words = re.findall(r"\d+", prompt)
        return f" Count the {len(prompt)} red {'x'.join(words)} lamps slowly"

    made = make(
        "self_instruct",
        {"seeds": seeds, "instructions": 4, "per_round": 1, "similarity": 1.0},
        FakeModel(reply_with=one_each),
    )
    listed = [round_[0].prompt.splitlines()[1:-1] for round_ in made.asked[:4]]
    human = [sum("Do thing" in line for line in lines) for lines in listed]
    assert human == [8, 7, 6, 6], "two of the model's own from the second on"


def test_an_instruction_list_that_was_cut_is_left_out_and_rounds_end(make, seeds: str) -> None:
    made = make(
        "self_instruct",
        {"seeds": seeds, "instructions": 3, "patience": 2, "max_tokens": 10, "per_round": 2},
        FakeModel(reply_with=script),
    )
    assert made.rows == []
    assert made.rules == ["reply cut by its length"] * 4
    assert made.notes["stopped_early"] == "0 of 3 after 2 rounds without a new one"


def test_instances_read_as_published() -> None:
    assert instances.read("Output: yes", cut=False, classification=False, say=EN) == [("", "yes")]
    two = "Example 1\nInput: a\nOutput: b\nExample 2\nOutput: c\nInput: d"
    assert instances.read(two, cut=False, classification=False, say=EN) == [("a", "b"), ("", "c")]
    assert instances.read(two, cut=True, classification=False, say=EN) == [("a", "b")]
    assert instances.read("nothing of it", cut=False, classification=False, say=EN) == []
    zh = "例子 1\n输入：苹果\n输出：水果"
    assert instances.read(zh, cut=False, classification=False, say=ZH) == [("苹果", "水果")]


def test_one_input_with_two_outputs_is_no_task() -> None:
    rules: list[str] = []
    said = lambda rule, text: rules.append(rule)  # noqa: E731
    assert instances.sound([("a", "x"), ("a", "y"), ("b", "z")], said) == []
    assert rules == ["one input with several outputs"]
    assert instances.sound([("", "x"), ("", "y"), ("", "x")], said) == [("", "x"), ("", "y")]


def test_layouts_are_drawn_and_hold_both_texts(make, seeds: str) -> None:
    made = make(
        "self_instruct", {"seeds": seeds, "instructions": 3, "layouts": True}, FakeModel(reply_with=script)
    )
    bread = next(row for row in made.rows if "bread" in row.instruction)
    assert "rye" in bread.instruction
    assert bread.input == ""
    assert bread.made["layout"] in range(7)


@pytest.mark.parametrize("name", ["self_instruct", "alpaca", "unnatural"])
def test_a_rehearsal_asks_without_usable_answers_and_ends(make, name: str) -> None:
    size = {"instructions": 9} if name == "self_instruct" else {"rows": 9}
    made = make(name, size, FakeModel(), rehearsal=True)
    assert len([row for row in made.rows if "paraphrase_of" not in row.made]) == 9
    assert made.asked


def test_draws_depend_on_the_seed(make) -> None:
    asked = [make("alpaca", {"rows": 5}, FakeModel(), seed=seed, rehearsal=True).asked for seed in (0, 0, 1)]
    assert asked[0] == asked[1]
    assert asked[0] != asked[2]


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("self_instruct", {"machine": 9}, "machine is 9; allowed: an integer >= 0 and <= 8"),
        ("self_instruct", {"language": "fr"}, "allowed: en, zh"),
        ("self_instruct", {"similarity": 2}, "similarity is 2"),
        ("alpaca", {"items": 3}, "items is 3"),
        ("unnatural", {"paraphrase": 2}, "Did you mean 'paraphrases'"),
    ],
)
def test_a_wrong_parameter_is_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        row_generators.create(name, parameters)


def test_bad_seeds_are_named(make, tmp_path: Path) -> None:
    jsonl(tmp_path / "few.jsonl", SEEDS[0])
    with pytest.raises(ConfigError, match=r"'few.jsonl' has 1 tasks; at least 3"):
        make("alpaca", {"seeds": "few.jsonl"}, FakeModel())
    jsonl(tmp_path / "bad.jsonl", SEEDS[0], {"instruction": "x", "instances": []})
    with pytest.raises(DataError, match=r"bad.jsonl:2: instances is '\[\]'"):
        make("alpaca", {"seeds": "bad.jsonl"}, FakeModel())


def test_a_recipe_that_asks_goes_on_from_its_answers(tmp_path: Path, seeds: str) -> None:
    recipe = {
        "name": "asks",
        "model": "fake",
        "parts": [{"self_instruct": {"seeds": str(tmp_path / seeds), "instructions": 3}}],
    }
    model = FakeModel(reply_with=script)
    made = icl.build_corpus(recipe, output=tmp_path / "out", model=model)
    rows = [json.loads(line) for line in made.rows.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 4
    assert {row["made"]["model"] for row in rows} == {"fake"}
    assert made.card["costs"]["self_instruct"]["requests"] == len(model.requests) == 11
    asked = len(model.requests)
    (made.path / "parts" / "self_instruct.json").unlink()  # as if killed before the part was complete
    again = icl.build_corpus(recipe, output=tmp_path / "out", model=model)
    assert len(model.requests) == asked, "every answer was in the cache"
    assert again.rows.read_bytes() == made.rows.read_bytes()
    other = FakeModel(reply_with=script, name="other")
    (made.path / "parts" / "self_instruct.json").unlink()
    third = icl.build_corpus(recipe, output=tmp_path / "out", model=other)
    assert len(other.requests) == 11
    assert third.card["models"] == {"other": {"rows": 4, "share": 1.0}}


def test_a_build_that_is_broken_off_keeps_its_answers_and_nothing_half(tmp_path: Path, seeds: str) -> None:
    parts = [{"self_instruct": {"seeds": str(tmp_path / seeds), "instructions": 3}}]
    recipe = {"name": "asks", "model": "fake", "parts": parts}
    asked: list[str] = []

    def broken(prompt: str, sample: int) -> str:
        asked.append(prompt)
        if len(asked) == 8:
            raise KeyboardInterrupt
        return script(prompt, sample)

    model = FakeModel(reply_with=broken)
    model.fingerprint = "the same"
    with pytest.raises(KeyboardInterrupt):
        icl.build_corpus(recipe, output=tmp_path / "out", model=model)
    folder = tmp_path / "out" / "asks"
    assert list((folder / "parts").iterdir()) == []
    assert not (folder / "rows.jsonl").exists()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sessions"][0]["ended_by"] == "Ctrl-C"
    whole = FakeModel(reply_with=script)
    whole.fingerprint = "the same"
    made = icl.build_corpus(recipe, output=tmp_path / "out", model=whole)
    assert len(whole.requests) == 11 - 7, "seven answers were kept"
    alone = icl.build_corpus(recipe, output=tmp_path / "other", model=FakeModel(reply_with=script))
    assert made.rows.read_bytes() == alone.rows.read_bytes()
