"""Experiment and task files, mutated from those that are shipped, read and checked with the fake model.

    python -m tests.fuzz.files --count 3000

Data files that a case needs lie beside it as they are; tests.fuzz has the other half.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.core import ROOT, Case, main
from tests.fuzz.mutate import VALUES, mutated_bytes, mutated_text, mutated_tree

OWN = ROOT / "experiments" / "own_task"
DEFINITIONS = sorted((ROOT / "icl" / "tasks" / "definitions").glob("*.yaml"))
EXPERIMENTS = [p for p in sorted((ROOT / "experiments").rglob("*.yaml")) if p.name != "tickets.yaml"]
ROWS = {
    f"tickets.{split}.jsonl": (OWN / f"tickets.{split}.jsonl").read_bytes() for split in ("train", "test")
}
SUMS = {
    "name": "sums", "kind": "numeric", "inputs": ["question"],
    "template": {"query": "Q: {{ question }}\nA:"},
    "source": {"generator": {"name": "arithmetic", "train": 24, "test": 10}},
}  # fmt: skip
ASKING: dict[str, Any] = {
    "name": "asking", "model": "fake", "task": "task.yaml", "pool": 8, "test": 4, "encoder": "hashed",
    "grid": {"selector": "random", "shots": 2, "method": ["direct", "generate"]},
}  # fmt: skip
RICH: dict[str, Any] = {
    "name": "rich", "model": {"fake": {}}, "task": ["task.yaml"], "pool": 12, "test": 4, "seeds": [0, 1],
    "encoder": "hashed", "dtype": "float32", "engine": "naive",
    "grid": {
        "selector": [
            "zero_shot", "random", "bm25", {"knn": {"label_balanced": True}}, {"mmr": {"lambda": 0.5}},
            {"annotated": {"selector": "random"}}, {"pvi": {"selector": "knn"}},
        ],
        "shots": [0, 2],
        "orderer": ["as_selected", {"similarity": {"most_similar": "last"}}],
        "method": ["direct", {"pmi": {"null_text": "Answer:"}}, {"batch": {"of": "direct"}}],
    },
    "prompt": {"chat": False, "overflow": "drop"},
    "duplicate_threshold": 0.9,
    "leaderboard": {"metric": "macro_f1", "compare_to": {"selector": "random", "orderer": "as_selected"}},
}  # fmt: skip


def prepare() -> None:
    """Imports every component."""
    from icl import protocols

    for registry in (protocols.selectors, protocols.orderers, protocols.methods, protocols.metrics):
        list(registry)


def read_and_check(folder: Path) -> None:
    """What `icl plan` does before it reads a tokenizer."""
    from icl.experiments.file.config import read_experiment
    from icl.experiments.grid.check import check

    check(*read_experiment(folder / "experiment.yaml"))


def cases(seed: int, count: int) -> Iterator[Case]:
    """By turns a task under a sound experiment, an experiment over a sound task, a component with any
    parameters."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        yield (_task, _experiment, _component)[number % 3](rng)


def _experiment(rng: random.Random) -> Case:
    origin, text = rng.choice(_experiments())
    how, content = _mutated(text, rng)
    return Case(f"experiment {origin}, {how}", {"experiment.yaml": content, **_sound_tasks()})


def _component(rng: random.Random) -> Case:
    """One component of icl with one to three of its parameters set to anything."""
    from icl import protocols

    axis = rng.choice(("selector", "orderer", "method"))
    registry = getattr(protocols, f"{axis}s")
    entry = registry.entry(rng.choice(sorted(registry)))
    names = [parameter.name.rstrip("_") for parameter in entry.parameters]
    some = rng.sample(names, min(len(names), rng.choice((1, 1, 2, 3))))
    tree = copy.deepcopy(ASKING)
    tree["task"] = rng.choice(("task.yaml", "sums.yaml"))
    tree["grid"]["method"] = "direct" if tree["task"] == "task.yaml" else "generate"
    tree["grid"][axis] = [{entry.name: {name: rng.choice(VALUES) for name in some}}]
    files = {"experiment.yaml": _dumped(tree), **_sound_tasks()}
    return Case(f"{axis} {entry.name}, parameters {', '.join(some)}", files)


def _sound_tasks() -> dict[str, bytes]:
    return {"task.yaml": (OWN / "tickets.yaml").read_bytes(), "sums.yaml": _dumped(SUMS), **ROWS}


def _dumped(tree: Any) -> bytes:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")


@cache
def _experiments() -> list[tuple[str, str]]:
    """Shipped ones over a small task and the fake model, and one that says all there is to say."""
    found = [("rich", yaml.safe_dump(RICH, sort_keys=False))] * 4
    for path in EXPERIMENTS:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        task = "sums.yaml" if path.name.startswith("cot") else "task.yaml"
        tree |= {"model": "fake", "task": task, "pool": 20, "test": 8, "encoder": "hashed"}
        found.append((path.name, yaml.safe_dump(tree, sort_keys=False)))
    return found


def _task(rng: random.Random) -> Case:
    path = rng.choice([OWN / "tickets.yaml", *DEFINITIONS, OWN / "tickets.yaml"])
    text = path.read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    asking, rows = copy.deepcopy(ASKING), ROWS
    if tree["kind"] not in ("classification", "boolean"):
        asking["grid"]["method"] = "generate"
    if not {"generator", "bundled", "files"} & set(tree["source"]):
        # Rows of the hub are not here: the definition is read with rows named as it names them.
        rows = {f"{split}.jsonl": _rows(tree, split) for split in ("train", "test")}
        tree["source"] = {"files": {"train": "train.jsonl", "test": "test.jsonl"}}
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    how, content = _mutated(text, rng)
    files = {"experiment.yaml": yaml.safe_dump(asking, sort_keys=False).encode(), "task.yaml": content}
    return Case(f"task {path.name}, {how}", {**files, **rows})


def _rows(tree: dict[str, Any], split: str) -> bytes:
    """Twelve rows that fit a definition without `fields`."""
    lines = []
    for number in range(12):
        row: dict[str, Any] = {name: f"{split} {name} {number}" for name in tree["inputs"]}
        if tree["kind"] == "classification":
            row["label"] = tree["labels"][number % len(tree["labels"])]
        elif tree["kind"] == "multiple_choice":
            row |= {"choices": {"A": "one", "B": "two"}, "answer": "AB"[number % 2]}
        else:
            row["answer"] = tree["labels"][number % 2] if tree["kind"] == "boolean" else str(number)
        lines.append(json.dumps({**row, "rationale": "Because."}))
    return "\n".join(lines).encode()


def _mutated(text: str, rng: random.Random) -> tuple[str, bytes]:
    match rng.randrange(10):
        case 0:
            return "bytes", mutated_bytes(text.encode(), rng)
        case 1 | 2 | 3 | 4:
            return "text", mutated_text(text, rng).encode("utf-8", "surrogatepass")
        case _:
            tree = mutated_tree(yaml.safe_load(text), rng)
            return "tree", yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(
                "utf-8", "replace"
            )


if __name__ == "__main__":
    sys.exit(main(cases, "tests.fuzz.files:read_and_check", __doc__ or ""))
