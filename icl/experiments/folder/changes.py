"""What an experiment may change while it goes on in its folder, and what would mix results.

More rows, seeds, tasks and test items may be asked for, and fewer rows: draws are nested, so what is there
stays right. All else is another experiment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from icl.errors import ConfigError, DataError
from icl.experiments.file.config import Experiment, read_experiment

FREE = frozenset({"name", "grid", "seeds", "task", "leaderboard"})
"""Keys that decide which cells there are, or how they are shown, and nothing of what is in one."""


def read_held(experiment: Mapping[str, Any], where: str) -> Experiment:
    """The experiment of a folder with the defaults of keys that came later. DataError where it is none."""
    try:
        return read_experiment(experiment)[0]
    except ConfigError as error:
        raise DataError(f"{where}: {str(error).removeprefix('experiment: ')}") from error


def conflicts(
    old: Mapping[str, Any], new: Mapping[str, Any], *, encoder_used: bool, carved: Sequence[str]
) -> list[str]:
    """ "pool: 512 -> 256", one entry a key that may not change.

    `old` and `new` have all their defaults. `encoder_used`: vectors decided in the folder. `carved`: tasks
    whose pool is what the test leaves of one split.
    """
    free = FREE if encoder_used else FREE | {"encoder"}
    fixed = [{k: v for k, v in e.items() if k not in free and k != "test"} for e in (old, new)]
    found = differences(fixed[0], fixed[1])
    before, after = (float("inf") if e["test"] == "all" else e["test"] for e in (old, new))
    if after < before:
        found.append(
            f"test: {old['test']} -> {new['test']} (it may grow; a smaller test is an experiment of its own, "
            "and finds its responses in the cache)"
        )
    elif after > before and carved:
        found.append(
            f"test: {old['test']} -> {new['test']} (task {carved[0]!r} has no train split: its pool is what "
            "the test leaves, and would be another)"
        )
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """ "pool: 512 -> 256", one entry a key."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping) and key != "model":
            found += differences(before, after, f"{prefix}{key}.")
        else:
            shown = [json.dumps(v, ensure_ascii=False, default=str) for v in (before, after)]
            found.append(f"{prefix}{key}: {shown[0]} -> {shown[1]}")
    return found
