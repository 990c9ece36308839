"""Runs that may stand in one table: a row is averaged over seeds, and over nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from icl.errors import DataError
from icl.experiments.folder.changes import OF_MODELS, differences, other_models
from icl.experiments.folder.store import RunFolder

MAY_DIFFER = frozenset({"name", "grid", "seeds", "task", "leaderboard", "engine", "track", "executor"})
"""What decides which rows and seeds there are, how they are shown and how they are computed, and nothing of
what is asked."""


def refuse_mixture(folders: Sequence[RunFolder]) -> None:
    """DataError where two runs asked the same model about the same task under other conditions.

    Their rows would have one name for two things (another pool, chat, template, data), and would be
    averaged as if they were seeds of one, or paired with the other's baseline.
    """
    for first, second in combinations(folders, 2):
        ours, theirs = first.read_experiment(), second.read_experiment()
        shared = [task for task in _tasks(first) if task in _tasks(second)]
        if not shared or not {c.label for c in ours.models} & {c.label for c in theirs.models}:
            continue
        free = MAY_DIFFER if _used_encoder(first, second) else MAY_DIFFER | {"encoder"}
        found = other_models(ours.resolved, theirs.resolved, MAY_DIFFER)
        free |= OF_MODELS
        found += differences(_without(ours.resolved, free), _without(theirs.resolved, free))
        found += _other_data(first, second, shared) + _other_weights(first, second)
        if found:
            raise DataError(
                f"runs {first.name!r} and {second.name!r} asked about {', '.join(shared)} under other "
                f"conditions ({'; '.join(found)}): a row of both would average two experiments. "
                "Show them one by one"
            )


def _tasks(folder: RunFolder) -> list[str]:
    return list(dict.fromkeys(cell.task for cell in folder.cells()))


def _without(experiment: Mapping[str, Any], free: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in experiment.items() if key not in free}


def _used_encoder(*folders: RunFolder) -> bool:
    return all(folder.manifest().get("encoder") is not None for folder in folders)


def _other_data(first: RunFolder, second: RunFolder, tasks: Sequence[str]) -> list[str]:
    """Tasks whose definition or rows are not those of the other run, where both runs noted them."""
    ours, theirs = (folder.manifest().get("data") or {} for folder in (first, second))
    return [
        f"other data or another definition of {task}"
        for task in tasks
        if task in ours and task in theirs and ours[task] != theirs[task]
    ]


def _other_weights(first: RunFolder, second: RunFolder) -> list[str]:
    """Of the model, or of what was tuned under one name."""
    ours, theirs = (_weights(folder) for folder in (first, second))
    return [
        f"other weights of {name}: {ours[name]} -> {theirs[name]}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]


def _weights(folder: RunFolder) -> dict[str, str]:
    """Model or tuning -> fingerprint, of those that were asked."""
    asked = {**folder.models(), **folder.manifest().get("tunings", {})}
    found = {name: entry.get("fingerprint") for name, entry in asked.items()}
    return {name: str(fingerprint) for name, fingerprint in found.items() if fingerprint}
