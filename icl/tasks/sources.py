"""From a definition to its rows, wherever they are; errors name the key of the task file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from icl.errors import ConfigError, DataError, nearest, unknown_name
from icl.printable import shortened
from icl.seeding import generator
from icl.tasks.fields import RowError, examples, sound_examples
from icl.tasks.generators import Item, generate
from icl.tasks.listing import task_names
from icl.tasks.readers.files import named_files, read_table
from icl.tasks.readers.hub import read_hub
from icl.tasks.readers.local import MIRROR_VARIABLE, mirror_folder, read_bundled
from icl.tasks.reading import read_with_lines
from icl.tasks.rows import Row, Table
from icl.tasks.schema import Fields, SplitName, TaskFile
from icl.tasks.strict_yaml import KeyPath, Lines, place_of
from icl.types import Example

Origin = Literal["auto", "own", "mirror"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
BUNDLED_POOL = 0.6
"""Share of a bundled data set that is its train split; the rest is its test split."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A task file, and what is known of it beside its contents."""

    file: TaskFile
    folder: Path
    """Relative paths start here."""
    path: Path | None = None
    """None for those of the package, whose lines are nobody's to mend."""
    lines: Lines = field(default_factory=dict)

    @contextmanager
    def blamed(self, *key: str) -> Iterator[None]:
        """A DataError in the block names the task file, and the key of `source` that the data come by."""
        try:
            yield
        except DataError as error:
            if self.path is None:
                raise
            own: KeyPath = (
                ("source", "fields", *error.key) if isinstance(error, RowError) and error.key else ()
            )
            at: KeyPath = own if own in self.lines and own else ("source", *key)
            place = place_of(str(self.path), self.lines, at)
            raise DataError(f"{place}: {'.'.join(map(str, at))}: {error}") from error


@dataclass(slots=True)
class Rows:
    """The rows of a task by split."""

    origin: str
    """Where they were read from, in words."""
    splits: dict[SplitName, tuple[Example, ...]] = field(default_factory=dict)
    skipped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Under `skip_bad_rows`: a line for each row that was left out."""


def base_name(name: str) -> str:
    """A task's name without its wording: "aqua@wei" -> "aqua"."""
    return name.partition("@")[0]


def parted(name: str) -> tuple[str, str | None]:
    """The task or task file and the wording that `NAME@WORDING` asks for; None where it asks for none.

    An @ in the name of a folder or before the file's suffix belongs to the path.
    """
    found = re.fullmatch(r"(?s)(.*\.ya?ml|(?:.*/)?[^@/]*)@([^/]*)", name)
    if found is None or found[2].endswith((".yaml", ".yml")) or os.path.isfile(name):
        return name, None
    return found[1], found[2]


def find_definition(name_or_path: str | Path) -> Definition:
    """The definition of a built-in task, or of a task file, in the wording that `NAME@WORDING` asks for.
    ConfigError where there is none such."""
    plain, wording = parted(str(name_or_path))
    if wording is None:
        return _plain_definition(name_or_path)
    found = _plain_definition(Path(plain) if isinstance(name_or_path, Path) else plain)
    return replace(found, file=found.file.worded(wording))


def _plain_definition(name_or_path: str | Path) -> Definition:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = Path(name_or_path)
        if os.path.isdir(path):
            inside = sorted(p.name for p in path.glob("*.yaml"))[:5]
            hint = f"; it holds {', '.join(inside)}" if inside else ""
            raise ConfigError(f"{shortened(text)}: is a folder, not a file{hint}")
        if not os.path.isfile(path):
            folder = path.parent
            names = [p.name for p in folder.glob("*.yaml")] if os.path.isdir(folder) else []
            guess = nearest(path.name, names)
            hint = f". Did you mean {str(path.with_name(guess))!r}?" if guess else ""
            raise ConfigError(f"task file {shortened(text)} does not exist{hint}")
        file, lines = read_with_lines(path)
        return Definition(file, path.parent, path, lines)
    if text not in task_names():
        raise ConfigError(unknown_name("task", text, task_names()) + ", or the path of a task file (.yaml)")
    with as_file(files("icl.tasks") / "definitions" / f"{text}.yaml") as path:
        return Definition(read_with_lines(path)[0], path.parent)


def read_rows(definition: Definition, origin: Origin) -> Rows:
    """The rows that `source` names, or those of the local copy (see `load_task`)."""
    file = definition.file
    source = file.source
    mirrored = source.kind == "mirror" or (origin == "auto" and source.kind == "hub")
    mirror = mirror_folder(source.mirror or base_name(file.name)) if mirrored or origin == "mirror" else None
    if mirror is not None:
        return _from_folder(definition, mirror)
    if origin == "mirror" or source.kind == "mirror":
        wanted = source.mirror or base_name(file.name)
        raise DataError(
            f"task {file.name!r} is read from the folder {wanted!r} below {MIRROR_VARIABLE}: "
            f"set {MIRROR_VARIABLE} to a folder that has it, with train.jsonl and test.jsonl"
        )
    if source.files is not None:
        return _from_files(definition)
    if source.hub is not None:
        return _from_hub(definition)
    return _from_generator(file) if source.generator is not None else _from_bundled(file)


def _take(rows: Rows, split: SplitName, table: Table, file: TaskFile, fields: Fields) -> None:
    """Puts the examples of one split into `rows`."""
    if not file.source.skip_bad_rows:
        rows.splits[split] = examples(table, file.task, fields, split)
        return
    rows.splits[split], bad = sound_examples(table, file.task, fields, split)
    if bad:
        rows.skipped[split] = bad


def _from_files(definition: Definition) -> Rows:
    source = definition.file.source
    rows = Rows(f"files of {definition.path}")
    for split, given in (source.files or {}).items():
        with definition.blamed("files", split):
            table = read_table(named_files(definition.folder, given), source.form)
            _take(rows, split, table, definition.file, source.fields)
    return rows


def _from_folder(definition: Definition, folder: Path) -> Rows:
    """<folder>/{train,validation,test}.jsonl, whose fields are named as the task names them."""
    rows = Rows(f"{MIRROR_VARIABLE} folder {folder.name}")
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        if os.path.isfile(path) or split == "test":
            with definition.blamed(definition.file.source.kind):
                _take(rows, split, read_table([path]), definition.file, Fields())
    return rows


def _from_hub(definition: Definition) -> Rows:
    file = definition.file
    hub = file.source.hub
    assert hub is not None
    places: list[str] = []
    rows = Rows("")
    for split, there in hub.splits.items():
        with definition.blamed("hub"):
            table, place = read_hub(hub, there, base_name(file.name), file.source.form)
            _take(rows, split, table, file, file.source.fields)
        places.append(place)
    part = hub.name or hub.folder
    rows.origin = f"{', '.join(dict.fromkeys(places))}{f' ({part})' if part else ''}"
    return rows


def _from_generator(file: TaskFile) -> Rows:
    source, task = file.source.generator, file.task
    assert source is not None
    made = generate(source.name, source.train, source.test, source.seed, source.parameters)
    rows = Rows(f"generator {source.name}, seed {source.seed}")
    both: tuple[tuple[SplitName, tuple[Item, ...]], ...] = (("train", made.train), ("test", made.test))
    for split, items in both:
        table = Table(tuple(Row(i.row, f"{source.name} {split} item {n}", n) for n, i in enumerate(items)))
        rows.splits[split] = examples(table, task, Fields(), split)
    return rows


def _from_bundled(file: TaskFile) -> Rows:
    name, task = file.source.bundled, file.task
    assert name is not None
    every = examples(read_bundled(name), task, file.source.fields, "row")
    train, test = bundled_split(every, name)
    return Rows(f"bundled {name}", {"train": _renamed(train, "train"), "test": _renamed(test, "test")})


def bundled_split(every: Sequence[Example], name: str) -> tuple[list[Example], list[Example]]:
    """The published split of a bundled set: 60 % train, 40 % test, label by label.

    Fixed: it depends on the rows and the set's name only. Each label is cut at its own 60 %, so both
    parts have the set's label shares; rows keep the order of the file.
    """
    by_label: dict[str, list[int]] = {}
    for index, example in enumerate(every):
        by_label.setdefault(example.target, []).append(index)
    train: set[int] = set()
    for label, indices in by_label.items():
        order = generator(0, "tasks.bundled", f"{name}/{label}").permutation(len(indices))
        train.update(indices[int(i)] for i in order[: round(BUNDLED_POOL * len(indices))])
    return (
        [example for index, example in enumerate(every) if index in train],
        [example for index, example in enumerate(every) if index not in train],
    )


def _renamed(rows: Sequence[Example], split: str) -> tuple[Example, ...]:
    """Ids `<split>-<row of the file>`: a row keeps its number on either side of the split."""
    return tuple(replace(row, id=f"{split}-{row.id.removeprefix('row-')}") for row in rows)
