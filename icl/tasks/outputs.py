"""Outputs from anywhere, read as an experiment would read them: `icl read`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, get_args

from icl.errors import ConfigError, DataError, unknown_name
from icl.prompts.answers import ParsedAnswer, Where, default_where, equivalent, parse
from icl.prompts.answers.gold import gold_label, gold_number
from icl.prompts.answers.wording.languages import language
from icl.tasks.sources import find_definition
from icl.tasks.transforms import choices
from icl.tasks.values import Number, as_text, decode, shown
from icl.thinking import pairs_of
from icl.types import Query, Task, TaskKind, Template

KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
WHERE = ("auto", *get_args(Where))
_PLAIN = Template(query="Q: {{ text }}\nA:")


@dataclass(frozen=True, slots=True)
class OutputRow:
    """One output and what was read in it."""

    place: str
    """File and line."""
    text: str
    found: ParsedAnswer
    golds: tuple[str, ...] | None
    """None: the row has no gold. Empty: there is no answer to be had."""
    right: bool | None
    """None without a gold."""

    @property
    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        span = self.found.span
        return {
            "place": self.place,
            "answer": self.found.answer,
            "flags": list(self.found.flags),
            "span": None if span is None else list(span),
            "said": None if span is None else self.text[slice(*span)],
            "gold": None if self.golds is None else list(self.golds),
            "right": self.right,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over many outputs."""

    outputs: int
    answers: int
    flags: Mapping[str, int]
    judged: int
    right: int

    @property
    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "outputs": self.outputs,
            "answers": self.answers,
            "flags": dict(self.flags),
            "judged": self.judged,
            "right": self.right,
        }


def summarise(rows: Sequence[OutputRow]) -> Summary:
    """How many were read, with which flags, and how many are right."""
    flags = Counter(flag for row in rows for flag in row.found.flags)
    judged = [row.right for row in rows if row.right is not None]
    answers = sum(row.found.answer is not None for row in rows)
    return Summary(len(rows), answers, dict(flags.most_common()), len(judged), sum(judged))


def read_outputs(
    lines: Iterable[str], name: str, defaults: Mapping[str, Any] | None = None
) -> list[OutputRow]:
    """The rows of a JSONL text, each with its reading.

    A row holds `text` (or `output`) and says how it is read: `task` (a built-in one or a task file) or
    `kind` with `labels`, `choices`, `verbalisers`, `language`; `where` ("auto", "first", "last",
    "trigger"), `cut`, `think` (marks of thinking blocks beside the known ones and the task's), `begin` (what
    the answer was begun with, or the whole prompt: a thinking block with which it ends is open); `gold` (a
    text or a list of them; of labels also other words for one) or `right` (null: there is no answer to be
    had). Other fields are passed over.
    `defaults` stand in for fields that a row lacks. Raises DataError naming file and line.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            values = decode(line)
            if not isinstance(values, dict):
                raise ValueError("a row must be an object {...}")
            found.append(_read({**(defaults or {}), **values}, place))
        except (ValueError, ConfigError, DataError) as error:
            raise DataError(f"{place}: {error}") from error
    if not found:
        raise DataError(f"{name} holds no rows")
    return found


def _read(values: Mapping[str, Any], place: str) -> OutputRow:
    text = values.get("text", values.get("output"))
    if not isinstance(text, str) or isinstance(text, Number):
        raise ValueError(f"text is {shown(text)}: must be the output as text")
    task = _thinking_aloud(_task(values), values.get("think", []))
    query = Query("row", {"text": ""}, _choices(values.get("choices"), task))
    where = values.get("where", "auto" if task.kind != "classification" else "first")
    if where not in WHERE:
        raise ValueError(unknown_name("where", str(where), WHERE))
    begin = values.get("begin", "")
    if not isinstance(begin, str) or isinstance(begin, Number):
        raise ValueError(f"begin is {shown(begin)}: must be what the answer was begun with, as text")
    found = _by(text, task, query, where, cut=values.get("cut") is True, after=begin)
    golds = _golds(values, task)
    right = None
    if golds is not None:
        said = found.answer
        right = said is None if not golds else any(equivalent(said, gold, task) for gold in golds)
    return OutputRow(place, text, found, golds, right)


def _by(text: str, task: Task, query: Query, where: str, *, cut: bool, after: str) -> ParsedAnswer:
    if where != "auto":
        return parse(text, task, query, where=_policy(where, task), cut=cut, after=after)
    found = parse(text, task, query, where="trigger", cut=cut, after=after)
    if "no_trigger" in found.flags:
        return parse(text, task, query, where="first", cut=cut, after=after)
    return found


def _policy(where: str, task: Task) -> Where:
    known: dict[str, Where] = {"first": "first", "last": "last", "trigger": "trigger"}
    return known.get(where, default_where(task))


def _task(values: Mapping[str, Any]) -> Task:
    name = values.get("task")
    if name is not None:
        return _known_task(as_text(name))
    kind = values.get("kind")
    if kind not in KINDS:
        raise ValueError(
            "has neither task nor kind; allowed kinds: " + ", ".join(KINDS)
            if kind is None
            else unknown_name("kind", str(kind), KINDS)
        )
    labels = values.get("labels", ["yes", "no"] if kind == "boolean" else [])
    if not isinstance(labels, list) or (kind in ("boolean", "classification") and len(labels) < 2):
        raise ValueError(f"labels is {shown(labels)}: a {kind} row needs a list of two or more")
    verbalisers = values.get("verbalisers", {})
    if not isinstance(verbalisers, dict):
        raise ValueError(f"verbalisers is {shown(verbalisers)}: must be an object {{label: words}}")
    code = as_text(values.get("language", "en"))
    language(code)
    return Task(
        "read",
        kind,
        _PLAIN,
        ("text",),
        tuple(as_text(label) for label in labels),
        {as_text(label): as_text(words) for label, words in verbalisers.items()},
        language=code,
    )


def _thinking_aloud(task: Task, think: Any) -> Task:
    try:
        marks = pairs_of(think)
    except ValueError as error:
        raise ValueError(f"think {error}") from error
    return (
        replace(task, reading=replace(task.reading, think=(*task.reading.think, *marks))) if marks else task
    )


@lru_cache(maxsize=64)
def _known_task(name: str) -> Task:
    return find_definition(name).file.task


def _choices(given: Any, task: Task) -> dict[str, str]:
    """Letter -> text. A list of nothing but the letters from A on has no texts, nor need an object have
    any."""
    if task.kind != "multiple_choice":
        return {}
    if isinstance(given, list) and given == [chr(ord("A") + at) for at in range(len(given))]:
        return dict.fromkeys(given, "")
    if isinstance(given, dict) and given and not any(given.values()):
        return {as_text(letter): "" for letter in given}
    if given is None:
        raise ValueError("choices is missing: an object {letter: text}, or a list")
    return choices(given)


def _golds(values: Mapping[str, Any], task: Task) -> tuple[str, ...] | None:
    if "gold" not in values and "right" not in values:
        return None
    given = values["gold"] if "gold" in values else values["right"]
    if given is None:
        return ()
    golds = []
    for one in given if isinstance(given, list) else [given]:
        text = as_text(one)
        if task.kind == "numeric":
            text = gold_number(text, "en" if isinstance(one, Number) else task.language)
        elif task.kind in ("boolean", "classification"):
            text = gold_label(text, task)
        golds.append(text)
    return tuple(golds)
