"""Alpaca and Unnatural Instructions with scripted replies, against their definitions."""

from __future__ import annotations

import re
from pathlib import Path

from icl.engine.fake import FakeModel
from tests.instructions.conftest import jsonl

ITEMS = (
    " Name two rivers in Peru\n4. Input:\n<noinput>\n4. Output:\nUcayali, Maranon\n###\n"
    "5. Instruction: Translate to French now\n5. Input:\nhello there\n5. Output:\nbonjour\n###\n"
    "7. Instruction: wrong number here now\n7. Input:\nx\n7. Output:\ny\n###\n"
    "7. Instruction: Only an instruction here\n###\n"
    "8. Instruction: Compose music for a film\n8. Input:\nx\n8. Output:\ny\n###\n"
    "9. Instruction: Translate to French now\n9. Input:\nbye\n9. Output:\nau revoir\n###\n"
    "10. Instruction: Cut"
)


def test_alpaca_takes_whole_rows(make, seeds: str) -> None:
    model = FakeModel(reply_with=lambda prompt, sample: ITEMS)
    made = make("alpaca", {"seeds": seeds, "rows": 2, "per_round": 1}, model)
    assert [(r.instruction, r.input, r.output) for r in made.rows] == [
        ("Name two rivers in Peru", "", "Ucayali, Maranon"),
        ("Translate to French now", "hello there", "bonjour"),
    ]
    (request,) = made.asked[0]
    assert (request.temperature, request.top_p, request.max_tokens) == (1.0, 1.0, 3072)
    assert request.stop == ("\n20", "20.")
    assert request.ignore_eos
    assert request.prompt.endswith("\n###\n4. Instruction:")
    assert len(re.findall(r"\d\. Output:\nout \d", request.prompt)) == 3


def test_alpaca_leaves_out_what_is_published_to_be(make, seeds: str) -> None:
    model = FakeModel(reply_with=lambda prompt, sample: ITEMS)
    made = make(
        "alpaca",
        {"seeds": seeds, "rows": 3, "per_round": 1, "patience": 1, "max_tokens": len(ITEMS) - 1},
        model,
    )
    assert len(made.rows) == 2
    assert made.rejected[0] == ("reply cut by its length", "\n10. Instruction: Cu")
    assert made.rules[1:5] == [
        "malformed",
        "malformed",
        "asks for what a language model cannot do",
        "too like a kept instruction (ROUGE-L)",
    ]


def test_alpaca_in_chinese(make, tmp_path: Path) -> None:
    rows = [{"instruction": f"请完成第{n}个任务", "input": "", "output": f"好{n}"} for n in range(3)]
    jsonl(tmp_path / "zh.jsonl", *rows)
    reply = (
        "写一首关于春天的诗\n4. 输入：\n<noinput>\n4. 输出：\n春风又绿江南岸\n###\n"
        "5. 指令：写一首关于秋天的诗\n5. 输入：\n<noinput>\n5. 输出：\n秋"
    )
    model = FakeModel(reply_with=lambda prompt, sample: reply)
    made = make(
        "alpaca", {"seeds": "zh.jsonl", "rows": 2, "language": "zh", "patience": 1, "per_round": 1}, model
    )
    assert [(r.instruction, r.output) for r in made.rows] == [("写一首关于春天的诗", "春风又绿江南岸")]
    assert made.rules[0] == "too like a kept instruction (ROUGE-L)"


def unnatural(prompt: str, sample: int) -> str:
    if prompt.endswith("In other words:"):
        return (" Add the numbers", " add up both numbers!")[sample]
    if prompt.endswith("Output:"):
        return " 3\nInstruction: next"
    return " Add up both numbers\nInput: 1, 2\nConstraints: a number\n\nExample 5"


def test_unnatural_elicits_a_fourth_its_output_and_paraphrases(make, seeds: str) -> None:
    model = FakeModel(reply_with=unnatural)
    made = make("unnatural", {"seeds": seeds, "sets": 2, "rows": 3, "per_round": 2, "patience": 2}, model)
    core, other = made.rows
    assert (core.instruction, core.input, core.output) == ("Add up both numbers", "1, 2", "3")
    assert core.made["constraints"] == "a number"
    assert (other.instruction, other.input, other.output) == ("Add the numbers", "1, 2", "3")
    assert other.made["paraphrase_of"] == core.id
    assert made.rules.count("the same instruction and input again") == 5
    assert made.rules.count("paraphrase that says nothing new") == 1
    first, outputs, paraphrases = made.asked[:3]
    assert [(r.temperature, r.top_p) for r in first] == [(1.0, 0.99)] * 2
    assert len({r.prompt for r in first}) == 2, "two sets of three"
    assert first[0].prompt.endswith("\n\nExample 4\nInstruction:")
    assert [(r.temperature, r.n) for r in outputs] == [(0.0, 1)]
    assert [r.n for r in paraphrases] == [2]
    assert made.notes["stopped_early"] == "1 of 3 after 2 rounds without a new one"


def test_unnatural_leaves_out_malformed_echoes_and_empty_outputs(make, seeds: str) -> None:
    def reply(prompt: str, sample: int) -> str:
        if prompt.endswith("Output:"):
            return "  "
        shown = re.findall(r"Instruction: (.*)\nInput: (.*)\n", prompt)
        if "ants" in prompt:
            return f" {shown[0][0]}\nInput: {shown[0][1]}\nConstraints: c"
        return " no fields" if "bees" in prompt else " Good one here\nInput: x\nConstraints: y"

    made = make(
        "unnatural",
        {"seeds": "icl", "sets": 1, "rows": 1, "per_round": 1, "patience": 1},
        FakeModel(reply_with=reply),
    )
    assert made.rules == ["empty output"]
    jsonl_rules = {
        rule
        for seed in range(6)
        for rule in make(
            "unnatural",
            {"seeds": seeds, "sets": 2, "rows": 1, "per_round": 2, "patience": 1},
            FakeModel(reply_with=reply),
            seed=seed,
        ).rules
    }
    assert {"a demonstration again", "malformed"} <= jsonl_rules
