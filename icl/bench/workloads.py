"""The workloads of a benchmark: token ids in JSON files, the same for every engine.

A file of kind "score" holds {"items": [{"ctx": [ids], "conts": [[ids], ...]}]} and asks for
log P(cont | ctx) of each cont. One of kind "gen" holds {"prompts": [[ids]], "n", "temp", "new"} and asks
for n samples of `new` tokens a prompt, the end of sequence ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from icl.errors import ConfigError, unknown_name
from icl.types import GenerateRequest, ScoreRequest, TokenIds

NAMES = (
    "fixed_demonstrations",
    "permutations",
    "pair_scoring",
    "knn_demonstrations",
    "self_consistency",
    "shared_prefix_greedy",
)
KEYS = {"score": ("items",), "gen": ("prompts", "n", "temp", "new")}


@dataclass(frozen=True, slots=True)
class Workload:
    """One file. Of `scores` and `generations` the one that `kind` names is filled."""

    name: str
    kind: Literal["score", "gen"]
    scores: tuple[ScoreRequest, ...] = ()
    generations: tuple[GenerateRequest, ...] = ()

    @property
    def tokens_flat(self) -> int:
        """Tokens that a plain engine forwards; the last of each sequence needs no forward."""
        scored = sum(len(r.prompt) + len(c) - 1 for r in self.scores for c in r.continuations)
        return scored + sum(r.n * (len(r.prompt) + r.max_tokens - 1) for r in self.generations)

    def subset(self, fraction: float, least: int = 1) -> Workload:
        """About `fraction` of the requests, at equal distances; never fewer than `least` requests
        (score) or samples (gen) where there are so many."""
        if fraction >= 1:
            return self
        if self.kind == "score":
            return replace(self, scores=strided(self.scores, fraction, least))
        samples = sum(r.n for r in self.generations)
        wanted = max(round(fraction * samples), min(least, samples), 1)
        prompts = strided(self.generations, min(wanted / len(self.generations), 1), 1)
        return replace(
            self, generations=tuple(replace(r, n=min(max(wanted // len(prompts), 1), r.n)) for r in prompts)
        )

    def scaled(self, times: int, vocabulary: int) -> Workload:
        """`times` copies that share nothing with one another: ids moved round the vocabulary."""

        def moved(ids: Sequence[Any], step: int) -> TokenIds:
            return tuple((int(i) + step) % vocabulary for i in ids)

        steps = [k * (vocabulary // times) for k in range(times)]
        return replace(
            self,
            scores=tuple(
                ScoreRequest(moved(r.prompt, k), tuple(moved(c, k) for c in r.continuations))
                for k in steps
                for r in self.scores
            ),
            generations=tuple(replace(r, prompt=moved(r.prompt, k)) for k in steps for r in self.generations),
        )


def strided(items: Sequence[Any], fraction: float, least: int) -> tuple[Any, ...]:
    """About `fraction` of the items at equal distances, at least `least` where there are so many."""
    count = min(max(round(fraction * len(items)), least, 1), len(items))
    return tuple(items[i * len(items) // count] for i in range(count))


def read_workloads(folder: Path | None, names: Sequence[str] = NAMES) -> list[Workload]:
    """The named workloads of a folder. Raises ConfigError naming file and key."""
    if folder is None:
        raise ConfigError("icl bench needs the folder of the workload files: --workloads DIR (or ICL_BENCH)")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigError(unknown_name("workload", unknown[0], NAMES))
    missing = [f"{name}.json" for name in names if not os.path.isfile(folder / f"{name}.json")]
    if missing:
        raise ConfigError(f"--workloads: {folder} lacks {', '.join(missing)}; needed is one file a workload")
    return [read_workload(folder / f"{name}.json") for name in names]


def read_workload(path: Path) -> Workload:
    """One file. Raises ConfigError naming file, key and what is allowed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not readable as JSON: {error}") from None
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in KEYS:
        raise ConfigError(f"{path}: kind is {kind!r}; allowed: {', '.join(KEYS)}")
    absent = [key for key in KEYS[kind] if key not in data]
    if absent:
        raise ConfigError(f"{path}: the key {absent[0]!r} is missing")
    try:
        return _workload(path.stem, kind, data)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} does not have the form of a workload: {error!r}") from None


def _workload(name: str, kind: Literal["score", "gen"], data: dict[str, Any]) -> Workload:
    if kind == "score":
        items = [(_ids(i["ctx"]), tuple(_ids(c) for c in i["conts"])) for i in data["items"]]
        if not items or not all(ctx and conts and all(conts) for ctx, conts in items):
            raise ValueError("an item without context or continuation, or no item at all")
        return Workload(name, kind, scores=tuple(ScoreRequest(*item) for item in items))
    prompts = [_ids(p) for p in data["prompts"]]
    n, new = int(data["n"]), int(data["new"])
    if not prompts or not all(prompts) or n < 1 or new < 1:
        raise ValueError("no prompt, an empty prompt, or n or new below 1")
    requests = [
        GenerateRequest(p, n=n, max_tokens=new, temperature=float(data["temp"]), ignore_eos=True)
        for p in prompts
    ]
    return Workload(name, kind, generations=tuple(requests))


def _ids(values: Sequence[Any]) -> TokenIds:
    return tuple(int(v) for v in values)
