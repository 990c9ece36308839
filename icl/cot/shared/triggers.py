"""The sentences of zero-shot chain of thought, by language and answer format (Kojima et al. 2022)."""

from __future__ import annotations

from icl.types import Query, Task

STEPS = {"en": "Let's think step by step.", "zh": "让我们一步一步地思考。"}


def _language(task: Task) -> str:
    return "zh" if task.language.startswith("zh") else "en"


def reasoning_trigger(task: Task) -> str:
    """What opens the first stage."""
    return STEPS[_language(task)]


def answer_trigger(task: Task, query: Query) -> str:
    """What opens the second stage: it says in which form the answer is wanted.

    In English it stands behind a space and a line break, as the authors' code puts it together.
    """
    chinese = _language(task) == "zh"
    wanted = _form(task, query, chinese)
    if chinese:
        return f"\n因此，答案{wanted}是"
    return f" \nTherefore, {wanted}" if wanted.startswith("among") else f" \nTherefore, the answer{wanted} is"


def placed(task: Task, words: str) -> str:
    """`words` as they follow a query: behind a space where the task's answers stand behind one."""
    return f" {words}" if task.template.answer[:1].isspace() else words


def _form(task: Task, query: Query, chinese: bool) -> str:
    if task.kind == "numeric":
        return "（阿拉伯数字）" if chinese else " (arabic numerals)"
    if task.kind == "multiple_choice" and query.choices:
        letters = list(query.choices)
        first, last = letters[0], letters[-1]
        return f"（从{first}到{last}中选）" if chinese else f"among {first} through {last}, the answer is"
    if task.kind == "boolean" and task.labels:
        words = [task.verbalise(label).strip() for label in task.labels]
        return f"（{'或'.join(words)}）" if chinese else f" ({' or '.join(w.capitalize() for w in words)})"
    return ""
