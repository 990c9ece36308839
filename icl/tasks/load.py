"""Tasks by name or from a file of the user's: definition and rows together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from icl.tasks.schema import TaskFile
from icl.tasks.sources import SPLITS, Origin, find_definition, read_rows
from icl.tasks.splits import Split, draw_split
from icl.types import Example, Task, Template


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
    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Split -> a line for each row that `skip_bad_rows` left out."""

    def split(
        self, pool: int | None = 512, test: int | None = 256, seed: int = 0, threshold: float = 1.0
    ) -> Split:
        """`pool` examples drawn by `seed`, `test` items that are the same for every seed.

        None = all there is. Pool examples that duplicate a test item (see `DuplicateIndex` for
        `threshold`) are kept out and listed in the report. Raises ConfigError with the numbers
        when more is asked for than there is.
        """
        drawn = draw_split(
            self.task.name,
            self.train,
            self.test,
            pool_size=pool,
            test_size=test,
            seed=seed,
            threshold=threshold,
        )
        return replace(drawn, skipped=sum(map(len, self.skipped.values())))

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the definition or any row changes (128 bits, hexadecimal)."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(_definition_of(self.task), ensure_ascii=False).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(b"\x1e")
            for row in split:
                fields: list[Any] = [row.id, dict(row.inputs), row.target, dict(row.choices), row.rationale]
                fields += [list(row.accepted)] if row.accepted else []
                digest.update(json.dumps(fields, ensure_ascii=False).encode() + b"\x1f")
        return digest.hexdigest()


FINGERPRINTED = (
    "name", "kind", "template", "inputs", "labels", "verbalisers", "instruction", "metric", "language",
    "description", "max_answer_tokens", "source",
)  # fmt: skip
PIECES = ("query", "answer", "rationale", "separator", "channel_answer", "channel_query")
"""Fields of `Task` and `Template` that every fingerprint covers, in this order. One that came later counts
where it is not at its default, so that what it brings does not change the data of runs before it."""


def _definition_of(task: Task) -> dict[str, Any]:
    """The part of a fingerprint that the definition makes."""
    plain = asdict(task)
    later: list[tuple[Any, Any, Any]] = []
    later += [(f, task, plain) for f in fields(Task) if f.name not in FINGERPRINTED]
    later += [(f, task.template, plain["template"]) for f in fields(Template) if f.name not in PIECES]
    for added, holder, written in later:
        default = added.default_factory() if added.default_factory is not MISSING else added.default
        if getattr(holder, added.name) == default:
            del written[added.name]
    return plain


def load_task(name_or_path: str | Path, *, origin: Origin = "auto") -> TaskData:
    """A built-in task by name, or a user's task file by path; `name@wording` for another wording.

    Rows of a hub task come from the folder <ICL_DATA>/<name> where there is one, else from the
    hub. `origin="own"` ignores ICL_DATA; `origin="mirror"` insists on it, also for generators.

    Raises ConfigError for an unknown name or a task file that cannot be used, DataError for rows
    that are missing or do not fit.
    """
    definition = find_definition(name_or_path)
    rows = read_rows(definition, origin)
    train, validation, test = (rows.splits.get(split, ()) for split in SPLITS)
    return TaskData(definition.file.task, train, test, validation, rows.origin, rows.skipped)


def task_file(name_or_path: str | Path) -> TaskFile:
    """The definition alone, no rows. Raises ConfigError as `load_task` does."""
    return find_definition(name_or_path).file
