"""Reading a task file: what its keys say of one another, checked with the lines where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from icl.errors import ConfigError, nearest
from icl.printable import shortened
from icl.prompts.answers.formats.label import rendered, squeeze
from icl.prompts.template import check_template, check_templates, variables
from icl.protocols import metrics
from icl.tasks.generators.base import generators
from icl.tasks.schema import NAME, TaskFile
from icl.tasks.strict_yaml import KeyPath, Lines, place_of, read_yaml, validate
from icl.types import TaskKind

LABELLED: frozenset[TaskKind] = frozenset({"classification", "boolean"})
RESERVED = frozenset({"choices", "answer", "rationale"})
TASK_SIGNS = frozenset({"kind", "inputs", "template", "source", "labels", "verbalisers"})
"""Keys by which a file is known to be one of a task, as `grid` makes one an experiment."""


def read_task_file(path: Path) -> TaskFile:
    """The checked task file. Raises ConfigError naming file, line, key and what is allowed."""
    return read_with_lines(path)[0]


def read_with_lines(path: Path) -> tuple[TaskFile, Lines]:
    """The checked task file and the lines of its keys."""
    data, lines = read_yaml(path)
    if "grid" in data and not TASK_SIGNS & set(data):
        raise ConfigError(f"{path}:1: is an experiment file, not a task file; run it: icl run {path}")
    file = validate(TaskFile, data, lines, str(path))
    _check_metric(file, lines, path)
    _check_labels(file, lines, path)
    _check_template(file, lines, path)
    _check_blocks(file, lines, path)
    _check_fields(file, lines, path)
    return file, lines


def _fail(path: Path, lines: Lines, key: tuple[str | int, ...], message: str) -> None:
    raise ConfigError(f"{place_of(str(path), lines, key)}: {'.'.join(map(str, key))}: {message}")


def _suggest(name: str, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    guess = nearest(name, allowed)
    return (f" Did you mean {guess!r}?" if guess else "") + f" Allowed: {', '.join(allowed) or 'none'}"


def _check_metric(file: TaskFile, lines: Lines, path: Path) -> None:
    try:
        metrics.create(file.metric)
    except ConfigError as error:
        _fail(path, lines, ("metric",), str(error))


def _check_labels(file: TaskFile, lines: Lines, path: Path) -> None:
    if file.kind in LABELLED and len(file.labels) < 2:
        _fail(
            path,
            lines,
            ("labels",),
            f"a {file.kind} task needs at least two labels, it has {len(file.labels)}",
        )
    if file.kind not in LABELLED and file.labels:
        _fail(
            path,
            lines,
            ("labels",),
            f"a {file.kind} task has no labels; only classification and boolean have",
        )
    for index, label in enumerate(file.labels):
        if not label.strip():
            _fail(path, lines, ("labels", index), f"{label!r} is no label")
        if label.strip() in [other.strip() for other in file.labels[:index]]:
            _fail(path, lines, ("labels", index), f"{label!r} is given twice")
    for label in file.verbalisers:
        if label not in file.labels:
            _fail(path, lines, ("verbalisers", label), f"not a label.{_suggest(label, file.labels)}")
    taken: dict[str, str] = {}
    for label in file.labels:
        words = file.verbalisers.get(label, label)
        other = taken.get(squeeze(words))
        if other is not None:
            named = next((one for one in (label, other) if one in file.verbalisers), None)
            key: KeyPath = ("labels",) if named is None else ("verbalisers", named)
            _fail(path, lines, key, f"{words!r} stands for {other!r} already, as a text is read")
        taken[squeeze(words)] = label
    for name in file.inputs:
        if name in RESERVED or not name.isidentifier():
            reserved = ", ".join(sorted(RESERVED))
            message = f"{name!r} cannot name an input: it must be an identifier other than {reserved}"
            _fail(path, lines, ("inputs",), message)


def _check_template(file: TaskFile, lines: Lines, path: Path) -> None:
    """Every variable of every piece exists there; the query cannot give its own answer away."""
    _check_pieces(file, lines, path, ("template",))
    for wording in file.wordings:
        if re.search(NAME, wording) is None or wording.endswith("\n"):
            named = "must begin with a letter or digit, and hold at most 100 letters, digits and . _ -"
            _fail(
                path,
                lines,
                ("wordings", wording),
                f"{shortened(repr(wording))} cannot name a wording: it {named}",
            )
        _check_pieces(file.worded(wording), lines, path, ("wordings", wording))


def _check_pieces(file: TaskFile, lines: Lines, path: Path, section: tuple[str, ...]) -> None:
    item = [*file.inputs, *(["choices"] if file.kind == "multiple_choice" else [])]
    allowed = {
        "query": item,
        "answer": [*item, "answer"],
        "rationale": [*item, "answer", "rationale"],
        "closing": [*item, "answer"],
        "separator": [],
        "channel_answer": [*item, "answer"],
        "channel_query": item,
    }

    def at(key: str) -> str:
        place = (*section, *key.split(".")[1:]) if key.startswith("template.") else tuple(key.split("."))
        return f"{place_of(str(path), lines, place)}: {'.'.join(place)}"

    for piece, names in allowed.items():
        check_template(getattr(file.template, piece), names, at(f"template.{piece}"))
    check_templates(file.task.template, file.inputs, file.instruction, at)
    for piece in ("query", "channel_query"):
        source: str = getattr(file.template, piece)
        if source and not variables(source) & set(item):
            inputs = ", ".join(f"{{{{ {name} }}}}" for name in item)
            raise ConfigError(
                f"{at(f'template.{piece}')}: {shortened(repr(source))} names no input: every item would be "
                f"asked alike; allowed: {inputs}"
            )
    written: dict[str, str] = {}
    for label in file.labels:
        text = squeeze(rendered(file.task, label))
        if text and text in written:
            key = ("template", "answer")
            message = f"writes {written[text]!r} and {label!r} alike, as {rendered(file.task, label)!r}"
            _fail(path, lines, key, message)
        written[text] = label


_BLOCK = re.compile(r":\s*[|>][1-9]?\s*(?:#.*)?$")


def _check_blocks(file: TaskFile, lines: Lines, path: Path) -> None:
    """A block (`query: |`) ends in a line end that few notice, and it would stand in the prompt."""
    written = path.read_text(encoding="utf-8").split("\n")
    texts: dict[KeyPath, str] = {("template", piece): text for piece, text in file.template} | {
        ("instruction",): file.instruction
    }
    for key, text in texts.items():
        line = lines.get(key)
        if text.endswith("\n") and isinstance(line, int) and _BLOCK.search(written[line - 1].rstrip("\r")):
            sign = written[line - 1].split(":", 1)[1].strip()[0]
            message = f"the block ends in a line end: write '{sign}-' to leave it out, '{sign}+' to keep it"
            _fail(path, lines, key, message)


def _check_fields(file: TaskFile, lines: Lines, path: Path) -> None:
    for name in file.source.fields.inputs:
        if name not in file.inputs:
            key = ("source", "fields", "inputs", name)
            _fail(path, lines, key, f"not an input.{_suggest(name, file.inputs)}")
    generator = file.source.generator
    if generator is not None:
        try:
            generators.create(generator.name, generator.parameters)
        except ConfigError as error:
            _fail(path, lines, ("source", "generator"), str(error))
    if file.source.fields.choices is not None and file.kind != "multiple_choice":
        _fail(path, lines, ("source", "fields", "choices"), f"a {file.kind} task has no choices")
