"""The folder of a study: what each step found, checkpoints, the report; every file is put in place whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from icl.errors import DataError
from icl.experiments.folder.disk import append, read_mapping, write_whole
from icl.experiments.folder.lock import FolderLock
from icl.experiments.folder.placing import manifest_of, put_into_manifest, take_folder

STUDY = "study.yaml"
STEPS = "steps"
WORK = "work"
REPORT = "report.json"
REPORT_TEXT = "report.md"
FIGURES = "figures"
NOTES = "notes.jsonl"
FILES = "files"
"""Of the study itself, beside the notes of the step at work."""
SHORT = 8
"""Letters of a digest in a file's name."""


@dataclass(frozen=True)
class StudyFolder:
    """<output>/<name>/ of a study."""

    path: Path

    def begin(self, lock: FolderLock, resolved: Mapping[str, Any], *, restart: bool) -> None:
        """Takes the folder, or makes it. ConfigError where it is another thing's, or in use."""
        take_folder(self.path, lock, "study", (STUDY, STEPS), restart=restart)
        (self.path / STEPS).mkdir(exist_ok=True)
        text = yaml.safe_dump(dict(resolved), allow_unicode=True, sort_keys=False)
        write_whole(self.path / STUDY, text)

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known of how it was made; {} before the first session."""
        return manifest_of(self.path)

    def update_manifest(self, **entries: Any) -> None:
        """Puts entries in place of those of the same names."""
        put_into_manifest(self.path, entries)

    def step(self, name: str) -> dict[str, Any] | None:
        """What is kept of a finished step, whatever it depended on; None without one. DataError where it is
        damaged."""
        path = self._step(name)
        return _whole(path) if path.exists() else None

    def step_of(self, name: str, digest: str) -> dict[str, Any] | None:
        """A finished step that depended on just that, kept now or put aside."""
        for path in (self._step(name), self._aside(name, digest)):
            if path.exists() and (kept := _whole(path))["digest"] == digest:
                return kept
        return None

    def keep(self, about: Mapping[str, Any]) -> None:
        """A step is finished. One that depended on something else is put aside; checkpoints go."""
        name, digest = about["step"], about["digest"]
        old = self.step(name)
        if old is not None and old["digest"] != digest:
            self._step(name).replace(self._aside(name, old["digest"]))
        write_whole(self._step(name), json.dumps(dict(about), ensure_ascii=False, indent=1))
        if self._aside(name, digest).exists():
            self._aside(name, digest).unlink()
        shutil.rmtree(self._work(name, digest), ignore_errors=True)

    def checkpoints(self, name: str, digest: str) -> tuple[Path, bool]:
        """Where the step at work keeps what it needs to go on, and whether it was begun before."""
        found = self._work(name, digest)
        begun = found.exists()
        (found / FILES).mkdir(parents=True, exist_ok=True)
        return found / FILES, begun

    def note(self, name: str, digest: str, text: str) -> None:
        """A line of the step at work."""
        append(self._work(name, digest) / NOTES, json.dumps(text, ensure_ascii=False) + "\n")

    def notes(self, name: str, digest: str) -> list[str]:
        """Those lines, each once."""
        path = self._work(name, digest) / NOTES
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return list(dict.fromkeys(json.loads(line) for line in lines if line.endswith("\n")))

    def write_report(self, report: Mapping[str, Any], text: str) -> None:
        """The report, in both forms."""
        write_whole(self.path / REPORT, json.dumps(dict(report), ensure_ascii=False, indent=1))
        write_whole(self.path / REPORT_TEXT, text)

    @property
    def report(self) -> dict[str, Any]:
        """The report as it was last written. DataError where there is none, or a damaged one."""
        try:
            return read_mapping(self.path / REPORT)
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: no step of this study is finished yet") from error

    def _step(self, name: str) -> Path:
        return self.path / STEPS / f"{file_name(name)}.json"

    def _aside(self, name: str, digest: str) -> Path:
        return self.path / STEPS / f"{file_name(name)}.{digest[:SHORT]}.json"

    def _work(self, name: str, digest: str) -> Path:
        return self.path / WORK / f"{file_name(name)}.{digest[:SHORT]}"


def _whole(path: Path) -> dict[str, Any]:
    """A file of a step. DataError where it is damaged."""
    found = read_mapping(path)
    if not isinstance(found.get("found"), dict) or not isinstance(found.get("digest"), str):
        raise DataError(
            f"{path}: is damaged (no findings in it); delete the file, and the step is done again"
        )
    return found


def file_name(step: str) -> str:
    """Of a step, "set 1" -> "set-1": nothing in a name leads to another folder."""
    return "".join(c if c.isalnum() or c in "_-" else "-" for c in step)


def is_study(path: Path) -> bool:
    """Whether a folder is that of a study."""
    return (path / STUDY).is_file()
