"""What was trained for a run: a folder a (model, task, pool, seed, tuner), put in place whole.

runs/<name>/tunings/
    <id>/tuning.json                 tuner, parameters, what it was trained on, cost, notes, digest
    <id>/adapter_model.safetensors   what was trained
    <id>.part/                       checkpoints of one that is under way
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.errors import DataError
from icl.experiments.folder.disk import DRAFT
from icl.experiments.records import slug_of
from icl.training import Array, TrainingCost, Tuned
from icl.types import Example

log = logging.getLogger("icl")

TUNINGS = "tunings"
PART = ".part"


@dataclass(frozen=True, slots=True)
class Training:
    """What a tuning is of: with another of these it is another tuning."""

    model: str
    task: str
    tuning: str
    """The label."""
    seed: int
    base: str
    """Fingerprint of weights and tokenizer."""
    pool: str
    """Digest of the examples in their order."""
    data: str
    """Fingerprint of the task's definition and rows."""
    prompt: Mapping[str, Any]
    source: str = ""
    """Digest of a saved tuning that is taken over."""

    @property
    def id(self) -> str:
        """A file name that a person can read and that no two tunings share."""
        record = {"model": self.model, "task": self.task, "tuning": self.tuning, "seed": self.seed}
        return slug_of([self.task, self.tuning, f"s{self.seed}"], record)

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "task": self.task,
            "tuning": self.tuning,
            "seed": self.seed,
            "base": self.base,
            "pool": self.pool,
            "data": self.data,
            "prompt": dict(self.prompt),
            "source": self.source,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A tuning as it stands on the disk."""

    state: Mapping[str, Array]
    digest: str
    """Of the state."""
    cost: TrainingCost
    notes: Mapping[str, Any]
    tuner: str
    """With the parameters what makes the tuned network of the state: also of a saved one whose own folder is
    gone."""
    parameters: Mapping[str, Any]


class TuningFolder:
    """Tunings side by side in a folder. Writing raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def place(self, of: Training) -> Path:
        """Where it stands once it is complete."""
        return self.path / of.id

    def checkpoints(self, of: Training) -> Path:
        """A folder for a tuning that is under way."""
        folder = self.path / f"{of.id}{PART}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def read(self, of: Training) -> Kept | None:
        """None where it is not complete; what is damaged, or of something else, is said and is not."""
        folder = self.place(of)
        if not folder.is_dir():
            return None
        try:
            return read_kept(folder, of)
        except DataError as error:
            log.warning("%s. This tuning alone is computed again.", str(error).rstrip("."))
            return None

    def write(self, of: Training, tuned: Tuned) -> str:
        """Puts it in place whole, and takes its checkpoints away. The digest of the state."""
        from icl.tuning.shared.folder import digest_of_state, save_tuned

        folder, digest = self.place(of), digest_of_state(tuned.state)
        draft = folder.with_name(folder.name + DRAFT)
        shutil.rmtree(draft, ignore_errors=True)
        save_tuned(tuned, draft, {"of": of.plain, "digest": digest})
        _to_disk(draft)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
        shutil.rmtree(self.path / f"{of.id}{PART}", ignore_errors=True)
        return digest

    def copy(self, of: Training, to: Training) -> None:
        """One that is complete, in the place of another."""
        from icl.tuning.shared.folder import PEFT

        held = read_kept(self.place(of), of)
        config: dict[str, Any] = {"tuner": held.tuner, "parameters": held.parameters}
        peft = self.place(of) / PEFT
        if peft.is_file():
            config["peft"] = json.loads(peft.read_text(encoding="utf-8"))
        notes = {**held.notes, "trained_for": of.task}
        self.write(to, Tuned(None, None, held.state, config, held.cost, notes))


def read_kept(folder: Path, of: Training) -> Kept:
    """What stands in a folder. DataError where it is damaged or of something else."""
    from icl.tuning.shared.folder import cost_of, digest_of_state, read_about, read_state

    about = read_about(folder)
    held = about.get("of")
    if not isinstance(held, dict):
        raise DataError(f"{folder}: does not say what it was trained on")
    wrong = [key for key, value in of.plain.items() if held.get(key) != value]
    if wrong:
        raise DataError(
            f"{folder}: is of another {wrong[0]} ({held.get(wrong[0])!r}, here {of.plain[wrong[0]]!r})"
        )
    state = read_state(folder)
    digest = digest_of_state(state)
    if digest != about.get("digest"):
        raise DataError(f"{folder}: its weights are not those that were written")
    try:
        given = {str(k).rstrip("_"): v for k, v in dict(about.get("parameters") or {}).items()}
        notes = dict(about.get("notes") or {})
        return Kept(state, digest, cost_of(about), notes, about["tuner"], given)
    except (TypeError, ValueError) as error:
        raise DataError(f"{folder}: is damaged ({error})") from error


def digest_of_pool(pool: Sequence[Example]) -> str:
    """Of the examples in their order."""
    total = hashlib.blake2b(digest_size=8)
    for example in pool:
        shown = (example.id, sorted(example.inputs.items()), sorted(example.choices.items()), example.target)
        total.update(repr(shown).encode())
    return total.hexdigest()


def _to_disk(folder: Path) -> None:
    """Brings the files of a folder to the disk before it takes its place."""
    for path in folder.iterdir():
        with contextlib.suppress(IsADirectoryError), open(path, "rb+") as file:
            os.fsync(file.fileno())
