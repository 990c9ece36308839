"""What an experiment may change while it goes on in its folder, and what would mix results.

More rows, models, seeds, tasks and test items may be asked for, and fewer rows: draws are nested, so what is
there stays right. All else is another experiment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from icl.backends import essential
from icl.errors import ConfigError, DataError
from icl.experiments.file.config import Experiment, read_experiment

FREE = frozenset({"name", "grid", "seeds", "task", "leaderboard", "metric", "track", "executor"})
"""Keys that decide which cells there are, how they are shown or where they run: nothing of what is in one."""
OF_MODELS = frozenset({"model", "dtype", "engine", "context_length", "batch_invariant"})
"""Keys that are compared model by model."""


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
    free = (FREE if encoder_used else FREE | {"encoder"}) | OF_MODELS
    fixed = [{k: v for k, v in e.items() if k not in free and k != "test"} for e in (old, new)]
    found = [*other_models(old, new), *differences(fixed[0], fixed[1])]
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


def other_models(
    old: Mapping[str, Any], new: Mapping[str, Any], free: frozenset[str] = frozenset()
) -> list[str]:
    """How models of one name differ, one entry a key; that none is in both, where that is so. free: keys that
    may differ."""
    before, after = (_settings(experiment, free) for experiment in (old, new))
    shared = [label for label in before if label in after]
    if not shared:
        return differences({"model": old["model"]}, {"model": new["model"]})
    several = len(before) > 1 or len(after) > 1
    return [
        difference
        for label in shared
        for difference in differences(before[label], after[label], f"{label}: " if several else "")
    ]


def _settings(experiment: Mapping[str, Any], free: frozenset[str]) -> dict[str, dict[str, Any]]:
    """Label -> the model with its settings. A backend's options are in its `model`."""
    found = {}
    for one in read_experiment(experiment)[0].each:
        choice = one.choice
        plain = {key: getattr(one, key) for key in sorted(OF_MODELS - free - {"model"})}
        model = {choice.name: essential(choice.name, choice.options)} if choice.is_backend else choice.name
        found[choice.label] = {"model": model, **plain}
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
