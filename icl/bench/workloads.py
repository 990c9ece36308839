"""The workloads of a benchmark: token ids in the JSON files of a folder, the same for every engine.

A file of kind "score" holds {"items": [{"ctx": [ids], "conts": [[ids], ...]}]} and asks for
log P(cont | ctx) of each cont. One of kind "gen" holds {"prompts": [[ids]], "n", "temp", "new"} and asks
for n samples of `new` tokens a prompt, the end of sequence ignored.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from icl.errors import ConfigError, unknown_name
from icl.printable import shortened
from icl.types import GenerateRequest, ScoreRequest, TokenIds

NAMES = (
    "fixed_demonstrations",
    "permutations",
    "pair_scoring",
    "knn_demonstrations",
    "self_consistency",
    "shared_prefix_greedy",
)
"""The six of icl's own tables, which come first, in this order."""
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

    def check(self, vocabulary: int, context: int) -> None:
        """Raises ConfigError for ids that a model does not have, and for texts that are too long for it."""
        key = "items" if self.kind == "score" else "prompts"
        for at, (ids, longest) in enumerate(self._texts()):
            where, most = f"{self.name}.json: {key}[{at}]", max(map(int, ids))
            if most >= vocabulary:
                raise ConfigError(f"{where} holds the id {most:,}; the model has ids below {vocabulary:,}")
            if longest > context:
                raise ConfigError(
                    f"{where} has {longest:,} tokens with what follows; the model takes {context:,}"
                )

    def _texts(self) -> Iterator[tuple[Sequence[Any], int]]:
        """Of each request all its ids, and the tokens of its longest text."""
        for asked in self.scores:
            ids = [*asked.prompt, *(i for c in asked.continuations for i in c)]
            yield ids, len(asked.prompt) + max(map(len, asked.continuations))
        for request in self.generations:
            yield request.prompt, len(request.prompt) + request.max_tokens

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


def read_workloads(folder: Path | None, names: Sequence[str] | None = None) -> list[Workload]:
    """Every workload file of a folder, or those of these names. Raises ConfigError naming file and key."""
    if folder is None:
        raise ConfigError("icl bench needs the folder of the workload files: --workloads DIR (or ICL_BENCH)")
    if not os.path.isdir(folder):
        raise ConfigError(f"--workloads: {folder} is no folder")
    there = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if not there:
        raise ConfigError(f"--workloads: {folder} holds no workload file (*.json)")
    ordered = [*(name for name in NAMES if name in there), *(name for name in there if name not in NAMES)]
    for name in names or ():
        if name not in there:
            raise ConfigError(f"--only: {unknown_name('workload', name, ordered)}")
    found, wrong = [], []
    for name in names or ordered:
        try:
            found.append(read_workload(there[name]))
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        more = f" ({len(wrong) - 1} more files are wrong)" if len(wrong) > 1 else ""
        raise ConfigError(f"{wrong[0]}{more}; --only NAMES leaves files out")
    return found


def read_workload(path: Path) -> Workload:
    """One file. Raises ConfigError naming file, key and what is allowed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not readable as JSON: {error}") from None
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in KEYS:
        raise ConfigError(f"{path}: kind is {shortened(repr(kind))}; allowed: {', '.join(KEYS)}")
    allowed = ("kind", *KEYS[kind])
    for key in data:
        if key not in allowed:
            raise ConfigError(f"{path}: {unknown_name('key', str(key), allowed)}")
    for key in KEYS[kind]:
        if key not in data:
            raise ConfigError(f"{path}: the key {key!r} is missing")
    try:
        return _scores(path.stem, data) if kind == "score" else _generations(path.stem, data)
    except _Wrong as error:
        raise ConfigError(f"{path}: {error}") from None


class _Wrong(ValueError):
    """A value of a file: its key, what it is, what is allowed."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(f"{key} is {shortened(repr(value))}; allowed: {allowed}")


def _scores(name: str, data: dict[str, Any]) -> Workload:
    requests = []
    for at, item in enumerate(_list("items", data["items"])):
        if not isinstance(item, dict):
            raise _Wrong(f"items[{at}]", item, 'an object, {"ctx": [ids], "conts": [[ids], ...]}')
        for key in ("ctx", "conts"):
            if key not in item:
                raise _Wrong(f"items[{at}]", sorted(item), f"an object with the key {key!r}")
        conts = _list(f"items[{at}].conts", item["conts"])
        requests.append(
            ScoreRequest(
                _ids(f"items[{at}].ctx", item["ctx"]),
                tuple(_ids(f"items[{at}].conts[{k}]", c) for k, c in enumerate(conts)),
            )
        )
    return Workload(name, "score", scores=tuple(requests))


def _generations(name: str, data: dict[str, Any]) -> Workload:
    n, new = (_whole(key, data[key]) for key in ("n", "new"))
    temperature = data["temp"]
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not number or not 0 <= temperature < math.inf:
        raise _Wrong("temp", temperature, "a number from 0")
    prompts = [_ids(f"prompts[{at}]", ids) for at, ids in enumerate(_list("prompts", data["prompts"]))]
    requests = [
        GenerateRequest(p, n=n, max_tokens=new, temperature=float(temperature), ignore_eos=True)
        for p in prompts
    ]
    return Workload(name, "gen", generations=tuple(requests))


def _list(key: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _Wrong(key, value, "a list that is not empty")
    return value


def _whole(key: str, value: object, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _Wrong(key, value, f"a whole number from {least}")
    return value


def _ids(key: str, value: object) -> TokenIds:
    return tuple(_whole(f"{key}[{at}]", token, 0) for at, token in enumerate(_list(key, value)))
