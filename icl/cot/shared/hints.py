"""Hints at the answer, by which STaR has a model rationalise (Zelikman et al. 2022, section 3.2)."""

from __future__ import annotations

import re
from dataclasses import replace

from icl.prompts.answers.patterns import lazy
from icl.types import Example, Task

MARK = " (CORRECT)"
"""Behind the right choice."""
SENTENCE = " (The answer is {}.)"
"""Behind the last input, where there are no choices."""
_MARKED = lazy(r"\(\s*correct\b[^)]*\)", re.IGNORECASE)
_SAID = lazy(r"\(\s*the answer is\b[^)]*\)", re.IGNORECASE)


def hinted(example: Example, task: Task) -> Example:
    """The example with its answer given away: the right choice marked, or a sentence behind the question."""
    if example.choices and example.target in example.choices:
        marked = example.choices[example.target] + MARK
        return replace(example, choices={**example.choices, example.target: marked})
    last = task.inputs[-1]
    hint = SENTENCE.format(task.verbalise(example.target).strip())
    return replace(example, inputs={**example.inputs, last: example.inputs[last] + hint})


def repeats_hint(text: str, rationale: str, example: Example, task: Task) -> bool:
    """Whether a chain copies the hint: its brackets anywhere in `text`, or its words in the `rationale`,
    which is the text without the sentence that announces the answer."""
    if _MARKED.search(text) or _SAID.search(text) or "CORRECT" in rationale:
        return True
    said = _words(f"the answer is {task.verbalise(example.target)}")
    words = _words(rationale)
    return any(words[at : at + len(said)] == said for at in range(len(words) - len(said) + 1))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
