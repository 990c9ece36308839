"""Tasks by name or from a file of the user's: definition and rows together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from icl.errors import ConfigError, DataError, nearest, unknown_name
from icl.printable import shortened
from icl.seeding import generator
from icl.tasks.fields import Row, Table, examples
from icl.tasks.generators import Item, generate
from icl.tasks.listing import task_names
from icl.tasks.readers import MIRROR_VARIABLE, mirror_folder, read_bundled, read_file, read_hub
from icl.tasks.schema import Fields, SplitName, TaskFile, read_task_file
from icl.tasks.splits import Split, draw_split
from icl.types import Example, Task

Origin = Literal["auto", "own", "mirror"]
BUNDLED_POOL = 0.6
"""Share of a bundled data set that is its train split; the rest is its test split."""


@dataclass(frozen=True)
class TaskData:
    """A task with its rows. `split` draws what one experiment uses."""

    task: Task
    train: tuple[Example, ...]
    """Empty where the data set has no train split."""
    test: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    origin: str = ""
    """Where the rows were read from, in words."""

    def split(
        self, pool: int | None = 512, test: int | None = 256, seed: int = 0, threshold: float = 1.0
    ) -> Split:
        """`pool` examples drawn by `seed`, `test` items that are the same for every seed.

        None = all there is. Pool examples that duplicate a test item (see `DuplicateIndex` for
        `threshold`) are kept out and listed in the report. Raises ConfigError with the numbers
        when more is asked for than there is.
        """
        return draw_split(
            self.task.name,
            self.train,
            self.test,
            pool_size=pool,
            test_size=test,
            seed=seed,
            threshold=threshold,
        )

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the definition or any row changes (128 bits, hexadecimal)."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(asdict(self.task), ensure_ascii=False).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(b"\x1e")
            for row in split:
                fields = [row.id, dict(row.inputs), row.target, dict(row.choices), row.rationale]
                digest.update(json.dumps(fields, ensure_ascii=False).encode() + b"\x1f")
        return digest.hexdigest()


def load_task(name_or_path: str | Path, *, origin: Origin = "auto") -> TaskData:
    """A built-in task by name, or a user's task file by path.

    Rows of a hub task come from the folder <ICL_DATA>/<name> where there is one, else from the
    hub. `origin="own"` ignores ICL_DATA; `origin="mirror"` insists on it, also for generators.

    Raises ConfigError for an unknown name or a task file that cannot be used, DataError for rows
    that are missing or do not fit.
    """
    file, folder = _definition(name_or_path)
    source = file.source
    mirrored = source.kind == "mirror" or (origin == "auto" and source.kind == "hub")
    mirror = mirror_folder(source.mirror or file.name) if mirrored or origin == "mirror" else None
    if mirror is not None:
        return _from_folder(file.task, mirror)
    if origin == "mirror" or source.kind == "mirror":
        wanted = source.mirror or file.name
        raise DataError(
            f"task {file.name!r} is read from the folder {wanted!r} below {MIRROR_VARIABLE}: "
            f"set {MIRROR_VARIABLE} to a folder that has it, with train.jsonl and test.jsonl"
        )
    if source.files is not None:
        paths = {split: folder / name for split, name in source.files.items()}
        return _from_files(file.task, paths, source.fields, f"files of {name_or_path}")
    if source.hub is not None:
        return _from_hub(file)
    if source.generator is not None:
        return _from_generator(file)
    return _from_bundled(file)


def task_file(name_or_path: str | Path) -> TaskFile:
    """The definition alone, no rows. Raises ConfigError as `load_task` does."""
    return _definition(name_or_path)[0]


def _definition(name_or_path: str | Path) -> tuple[TaskFile, Path]:
    """The task file and the folder that its relative paths start from."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = Path(name_or_path)
        if not os.path.isfile(path):
            folder = path.parent
            names = [p.name for p in folder.glob("*.yaml")] if os.path.isdir(folder) else []
            guess = nearest(path.name, names)
            hint = f". Did you mean {str(path.with_name(guess))!r}?" if guess else ""
            raise ConfigError(f"task file {shortened(text)} does not exist{hint}")
        return read_task_file(path), path.parent
    if text not in task_names():
        raise ConfigError(unknown_name("task", text, task_names()) + ", or the path of a task file (.yaml)")
    with as_file(files("icl.tasks") / "definitions" / f"{text}.yaml") as path:
        return read_task_file(path), path.parent


def _from_files(task: Task, paths: Mapping[SplitName, Path], fields: Fields, origin: str) -> TaskData:
    rows = {split: examples(read_file(path), task, fields, split) for split, path in paths.items()}
    return _data(task, rows, origin)


def _from_folder(task: Task, folder: Path) -> TaskData:
    """<folder>/{train,validation,test}.jsonl, whose fields are named as the task names them."""
    names: tuple[SplitName, ...] = ("train", "validation", "test")
    paths = {split: folder / f"{split}.jsonl" for split in names}
    present = {split: path for split, path in paths.items() if path.is_file() or split == "test"}
    return _from_files(task, present, Fields(), f"{MIRROR_VARIABLE} folder {folder.name}")


def _from_hub(file: TaskFile) -> TaskData:
    hub, task = file.source.hub, file.task
    assert hub is not None
    rows: dict[SplitName, tuple[Example, ...]] = {}
    for split, there in hub.splits.items():
        rows[split] = examples(read_hub(hub, there, file.name), task, file.source.fields, split)
    revision = f" at {hub.revision}" if hub.revision else ""
    part = hub.name or hub.folder
    return _data(task, rows, f"hub {hub.path}{f' ({part})' if part else ''}{revision}")


def _from_generator(file: TaskFile) -> TaskData:
    source, task = file.source.generator, file.task
    assert source is not None
    made = generate(source.name, source.train, source.test, source.seed, source.parameters)
    rows: dict[SplitName, tuple[Example, ...]] = {}
    both: tuple[tuple[SplitName, tuple[Item, ...]], ...] = (("train", made.train), ("test", made.test))
    for split, items in both:
        table = Table(tuple(Row(i.row, f"{source.name} {split} item {n}", n) for n, i in enumerate(items)))
        rows[split] = examples(table, task, Fields(), split)
    return _data(task, rows, f"generator {source.name}, seed {source.seed}")


def _from_bundled(file: TaskFile) -> TaskData:
    name, task = file.source.bundled, file.task
    assert name is not None
    every = examples(read_bundled(name), task, file.source.fields, "row")
    train, test = bundled_split(every, name)
    rows: dict[SplitName, tuple[Example, ...]] = {
        "train": _renamed(train, "train"),
        "test": _renamed(test, "test"),
    }
    return _data(task, rows, f"bundled {name}")


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
    return tuple(
        Example(f"{split}-{row.id.removeprefix('row-')}", row.inputs, row.target, row.choices, row.rationale)
        for row in rows
    )


def _data(task: Task, rows: Mapping[SplitName, tuple[Example, ...]], origin: str) -> TaskData:
    everything: Any = {"train": (), "validation": (), **rows}
    return TaskData(task, everything["train"], everything["test"], everything["validation"], origin)
