"""The folder of a corpus: parts, the rows drawn from them, the card; every file is put in place whole. A red
teaming keeps its steps in one like it."""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from icl.errors import DataError
from icl.experiments.folder.disk import DRAFT, read_mapping, write_whole
from icl.experiments.folder.lock import FolderLock
from icl.experiments.folder.placing import manifest_of, put_into_manifest, take_folder
from icl.instructions.rows import InstructionRow, from_line

RECIPE = "recipe.yaml"
PARTS = "parts"
ROWS = "rows.jsonl"
CARD = "card.md"
CARD_JSON = "card.json"


class DraftFile:
    """A file that is written beside its place, and put there whole."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self._draft = path.with_name(path.name + DRAFT)
        self._file: IO[bytes] | None = open(self._draft, "wb")  # noqa: SIM115 - closed by finish or abandon

    def write(self, content: bytes) -> None:
        """Adds to the end."""
        assert self._file is not None
        self._file.write(content)

    def finish(self) -> None:
        """Puts it in place."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        os.replace(self._draft, self.path)

    def abandon(self) -> None:
        """Leaves nothing of it, unless it was finished."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
                self._draft.unlink(missing_ok=True)
            self._file = None


class RowFile:
    """Rows of a finished part, read one by one where they stand: 8 bytes of memory a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("Q")
        at = 0
        with path.open("rb") as file:
            for line in file:
                self._starts.append(at)
                at += len(line)
        self._file = path.open("rb")

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> InstructionRow:
        """DataError where the line is damaged."""
        self._file.seek(self._starts[index])
        try:
            return from_line(self._file.readline().decode())
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path}:{index + 1}: is damaged ({error}); delete the file") from error

    def __iter__(self) -> Iterator[InstructionRow]:
        return (self[at] for at in range(len(self)))

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


@dataclass(frozen=True)
class CorpusFolder:
    """<output>/<name>/ of a recipe."""

    path: Path
    what: str = "corpus"
    """It is of."""
    file: str = RECIPE
    """Its resolved file."""

    def begin(self, lock: FolderLock, recipe: Mapping[str, Any], *, restart: bool) -> None:
        """Takes the folder, or makes it. ConfigError where it is another thing's, or in use."""
        take_folder(self.path, lock, self.what, (PARTS, self.file), restart=restart)
        (self.path / PARTS).mkdir(exist_ok=True)
        text = yaml.safe_dump(dict(recipe), allow_unicode=True, sort_keys=False)
        write_whole(self.path / self.file, text)

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known of how it was made; {} before the first session."""
        return manifest_of(self.path)

    def update_manifest(self, **entries: Any) -> None:
        """Puts entries in place of those of the same names."""
        put_into_manifest(self.path, entries)

    def rows_of(self, label: str) -> Path:
        """Where the rows of a part are."""
        return self.path / PARTS / f"{label}.jsonl"

    def about(self, label: str) -> dict[str, Any] | None:
        """What is known of a finished part; None where it is not finished."""
        path = self.path / PARTS / f"{label}.json"
        if not path.exists() or not self.rows_of(label).exists():
            return None
        return read_mapping(path)

    def finish(self, label: str, about: Mapping[str, Any]) -> None:
        """A part is complete: its rows are in place already."""
        write_whole(
            self.path / PARTS / f"{label}.json", json.dumps(dict(about), ensure_ascii=False, indent=1)
        )

    def forget(self, label: str) -> None:
        """A part is to be made again."""
        (self.path / PARTS / f"{label}.json").unlink(missing_ok=True)

    def write_card(self, card: Mapping[str, Any], text: str) -> None:
        """The card, in both forms."""
        write_whole(self.path / CARD_JSON, json.dumps(dict(card), ensure_ascii=False, indent=1))
        write_whole(self.path / CARD, text)
