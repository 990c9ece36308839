"""Gold answers, read by the same rules as a model's: what could never be given back is no gold."""

from __future__ import annotations

from functools import lru_cache

from icl.errors import ConfigError
from icl.prompts.answers.equivalence import equivalent
from icl.prompts.answers.formats.label import rendered
from icl.prompts.answers.numbers.figures import MAX_DIGITS
from icl.prompts.answers.numbers.find import canonical, find_numbers
from icl.prompts.answers.parse import parse
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import ParsedAnswer, narrow
from icl.prompts.template import render_side
from icl.types import Example, Query, Task, TaskKind, Template

_AROUND = " \t\r\n$€£¥￥₹%.+\\"
_ENDS = " \t\r\n.!。！"
_HUGE = lazy(r"\d\s*(?:[eE]|\^|\*\*)\s*[-+]?\d{3}")
_COMMA = "in English a comma groups thousands (12,345); decimals with a comma need another `language`"


def gold_number(text: str, language: str = "en") -> str:
    """The canonical form of a text that is one number: "1,234" -> "1234", "2/6" -> "1/3", "−5" -> "-5".

    Raises ValueError for anything else: "3,5" (unless a comma begins the decimals in `language`), "2, 3",
    "10:30", words beside the number, a number too long to be an answer.
    """
    numbers = find_numbers(text, language)
    shown = quoted(text)
    if len(text) > MAX_DIGITS or (_HUGE.search(text) and all(n.value is None for n in numbers)):
        raise ValueError(f"{shown} has more than {MAX_DIGITS} digits")
    if len(numbers) != 1:
        raise ValueError(f"{shown} is not a number{': it holds several' if numbers else ''}")
    number = numbers[0]
    plain = narrow(text)
    rest = plain[: number.start] + plain[number.end :]
    name = None if number.value is None else canonical(number.value)
    if name is None and number.value is not None:
        raise ValueError(f"{shown} has more than {MAX_DIGITS} digits")
    if name is None or rest.strip(_AROUND):
        hint = f": {_COMMA}" if number.value is None and "," in text else ""
        raise ValueError(f"{shown} is not a number{hint}")
    return name


def quoted(text: str) -> str:
    """For a message: in quotes, and not too long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def gold_label(text: str, task: Task) -> str:
    """The label that a gold of a labelled task names: itself in any case, its verbaliser, or another word
    for it ("oui" for "yes" in French).

    Raises ValueError where it names none: no output could be right.
    """
    said = text.strip().casefold()
    for label in task.labels:
        if said in (label.strip().casefold(), task.verbalise(label).strip().casefold()):
            return label
    found = parse(text, task, Query("", {}), where="first")
    if found.answer is None or found.span is None or text[slice(*found.span)].strip() != text.strip(_ENDS):
        raise ValueError(f"the gold {quoted(text)} is none of the labels: {', '.join(task.labels)}")
    return found.answer


def check_readable(example: Example, task: Task) -> None:
    """Writes every accepted answer of `example` by the task's template and reads it back.

    Raises ValueError, saying what came back, where it is not the same answer: no output of a model could be
    right.
    """
    if _comes_back(example, task):
        return
    for gold in example.golds:
        try:
            written = render_side(task, "answer", example, gold)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        found = _read_back(written, task, example.query)
        if not equivalent(found.answer, gold, task):
            back = "nothing" if found.answer is None else repr(found.answer)
            why = f" ({', '.join(found.flags)})" if found.answer is None and len(found.flags) > 1 else ""
            raise ValueError(f"the gold {gold!r}, written as {written!r}, is read as {back}{why}")


def _comes_back(example: Example, task: Task) -> bool:
    """Whether it is known without reading: a canonical number or letter that stands alone is read as
    itself, and a label is the same in every row."""
    if task.reading.pattern:
        return False
    if task.labels:
        words = tuple(task.verbalisers.items())
        rules = (task.kind, task.labels, words, task.template, task.language)
        return all(_label_comes_back(*rules, gold) for gold in example.golds)
    if rendered(task, _PROBE) != _PROBE:
        return False
    if task.kind == "numeric":
        return True
    letters = {letter.casefold() for letter in example.choices}
    return task.kind == "multiple_choice" and not any(
        text.strip(" ().").casefold() in letters for text in example.choices.values()
    )


_PROBE = "icl"


@lru_cache(maxsize=1024)
def _label_comes_back(
    kind: TaskKind,
    labels: tuple[str, ...],
    words: tuple[tuple[str, str], ...],
    template: Template,
    language: str,
    gold: str,
) -> bool:
    task = Task("", kind, template, (), labels, dict(words), language=language)
    written = rendered(task, gold)
    return bool(written) and equivalent(_read_back(written, task, Query("", {})).answer, gold, task)


def _read_back(written: str, task: Task, query: Query) -> ParsedAnswer:
    """What a model that wrote this would have answered: after an announcement, else at once."""
    found = parse(written, task, query, where="trigger")
    if "no_trigger" in found.flags:
        found = parse(written, task, query, where="first")
    return found
