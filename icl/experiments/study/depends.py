"""What a step's findings depend on, so that a change redoes what it must and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from icl.errors import ConfigError
from icl.experiments.study.check import CheckedStudy
from icl.experiments.study.folder import StudyFolder
from icl.mechanism.contract import Step

VERSION = 1
"""Of what studies compute: a change of it does steps again."""
WORDS = {
    "study": "another study",
    "seed": "another seed",
    "model": "a model with other weights, tokenizer or precision",
    "tasks": "other data",
}


@dataclass(frozen=True)
class Depends:
    """Of one study with one model."""

    checked: CheckedStudy
    fingerprint: str
    """Of the model; "" without one."""

    @property
    def identity(self) -> dict[str, Any]:
        """What all steps share. A folder is of one identity."""
        tasks = {name: data.fingerprint for name, data in self.checked.tasks.items()}
        return {
            "version": VERSION,
            "study": self.checked.file.study.name,
            "seed": self.checked.file.seed,
            "model": self.fingerprint,
            "tasks": tasks,
        }

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """In order."""
        return tuple(self.checked.study.steps())

    def before(self, step: Step) -> list[str]:
        """Names of the steps whose findings this one reads."""
        names = [one.name for one in self.steps]
        earlier = names[: names.index(step.name)]
        return earlier if step.after is None else [name for name in earlier if name in step.after]

    def parameters(self, step: Step) -> dict[str, Any]:
        """Those that a step goes by."""
        given = self.checked.parameters
        names = given if step.parameters is None else [key for key in step.parameters if key in given]
        return {key: given[key] for key in names}

    def of(self, step: Step) -> dict[str, Any]:
        """All that its findings depend on, plain."""
        before = {name: self.digest(name) for name in self.before(step)}
        return {
            **self.identity,
            "step": step.name,
            "units": step.units,
            "parameters": self.parameters(step),
            "before": before,
        }

    def digest(self, name: str) -> str:
        """Of all that a step depends on."""
        if name not in self._digests:
            step = next(one for one in self.steps if one.name == name)
            text = json.dumps(self.of(step), sort_keys=True)
            self._digests[name] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return self._digests[name]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def refuse_others(self, folder: StudyFolder) -> None:
        """ConfigError where a folder holds findings of another study, seed, model or data."""
        known = folder.manifest.get("identity")
        if not known or not any(folder.path.glob("steps/*.json")):
            return
        differs = [words for key, words in WORDS.items() if known.get(key) != self.identity[key]]
        if differs:
            raise ConfigError(
                f"{folder.path}: holds findings of {', '.join(differs)}; choose another name or --output, "
                "or begin anew with --restart (the old folder is kept under a new name)"
            )

    def why_again(self, folder: StudyFolder, step: Step) -> str:
        """In words what has changed since a step was done; "" where it was not."""
        old = folder.step(step.name)
        if old is None or old["digest"] == self.digest(step.name):
            return ""
        then, now = old.get("depends", {}).get("parameters", {}), self.parameters(step)
        changed = [
            f"{key} was {json.dumps(then.get(key))}, is {json.dumps(now.get(key))}"
            for key in dict.fromkeys((*then, *now))
            if then.get(key) != now.get(key)
        ]
        said = "; ".join(changed) or "a step before it has changed"
        return f"{step.name} is done again: {said}. What it found before is put aside"
