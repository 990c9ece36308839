"""The prompt of every built-in task in every mode, character by character.

golden_prompts.txt was read by hand against the appendices of Wei et al. 2022 (manual demonstrations, standard
prompting), Suzgun et al. 2022 (BIG-Bench Hard) and the code of Kojima et al. 2022 (two stages). To see what a
change of a template does: `python tests/prompts/test_prompts_golden.py` writes the file anew; read its diff.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from icl.cot.shared.triggers import answer_trigger, placed, reasoning_trigger
from icl.engine.fake import FakeModel
from icl.prompts import PromptRenderer
from icl.tasks import task_file, task_names
from icl.types import Demonstration, Example, Task

GOLDEN = Path(__file__).with_name("golden_prompts.txt")
SHOWN = {"A": "red", "B": "blue", "C": "green"}
ASKED = {"A": "one", "B": "two", "C": "three"}
TARGETS = {"numeric": ("6", "7"), "multiple_choice": ("B", "C"), "string": ("nk", "la")}


def wordings() -> list[str]:
    """Every task, and every wording of it."""
    names = []
    for name in task_names():
        names += [name, *(f"{name}@{wording}" for wording in task_file(name).wordings)]
    return names


def items(task: Task) -> tuple[Example, Example]:
    """One example to show and one to ask, whose texts say which input they are."""
    shown, asked = task.labels[:2] if task.labels else TARGETS[task.kind]
    choices = (SHOWN, ASKED) if task.kind == "multiple_choice" else ({}, {})
    first = {name: f"the {name} shown" for name in task.inputs}
    second = {name: f"the {name} asked" for name in task.inputs}
    return (
        Example("shown", first, shown, choices[0], "First this. Then that."),
        Example("asked", second, asked, choices[1], "Something else."),
    )


def section(name: str) -> str:
    """What a task writes: marked lines, the text of a mode between them, its end shown by ¶."""
    task = task_file(name).task
    shown, asked = items(task)
    model = FakeModel()
    renderer = PromptRenderer(task=task, tokenizer=model.tokenizer, context_length=4096)
    demonstrations = [Demonstration(shown)]
    parts = {
        "answer (direct, generate)": renderer.prompt(asked.query, demonstrations).text,
        "what is scored or expected": renderer.answer(asked.target, query=asked.query),
    }
    if task.kind != "classification":
        opening, closing = reasoning_trigger(task), answer_trigger(task, asked.query)
        parts |= {
            "few_shot": renderer.prompt(asked.query, demonstrations, style="rationale").text,
            "few_shot(show=answer)": renderer.prompt(asked.query, demonstrations, style="closing").text,
            "zero_shot, first stage": renderer.prompt(asked.query, (), suffix=placed(task, opening)).text,
            "zero_shot, between the stages": closing,
        }
    if task.template.channel_answer:
        texts = renderer.prompt(asked.query, demonstrations, style="channel", label=asked.target).text
        parts |= {"channel": texts, "channel, scored": renderer.channel_query(asked.query)}
    return "".join([f"==== {name}\n", *(f"-- {mode}\n{text}¶\n" for mode, text in parts.items())])


def golden() -> dict[str, str]:
    sections = GOLDEN.read_text(encoding="utf-8").split("==== ")[1:]
    return {text.split("\n", 1)[0]: f"==== {text}" for text in sections}


@pytest.mark.parametrize("name", wordings())
def test_prompts_are_those_that_were_read(name: str) -> None:
    assert section(name) == golden()[name]


def test_every_prompt_of_the_file_is_of_a_task() -> None:
    assert list(golden()) == wordings()


if __name__ == "__main__":
    GOLDEN.write_text("".join(section(name) for name in wordings()), encoding="utf-8")
    sys.stdout.write(f"wrote {GOLDEN.name}\n")
