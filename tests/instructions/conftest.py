"""Recipes in a folder of their own, and a bench for one generator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from icl.conversation import ask
from icl.instructions.contract import Place, Work, row_generators
from icl.instructions.rows import InstructionRow
from icl.protocols import LanguageModel
from icl.tasks import load_task
from icl.types import Request


@dataclass
class Made:
    """What a generator gave."""

    rows: list[InstructionRow] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    asked: list[list[Request]] = field(default_factory=list)
    """The requests of each round."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> list[str]:
        return [rule for rule, _ in self.rejected]


Make = Callable[..., Made]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("format", {"task": ...}, model=..., seed=0): a generator run alone."""

    def run(
        name: str,
        parameters: dict[str, Any],
        model: LanguageModel | None = None,
        *,
        seed: int = 0,
        rehearsal: bool = False,
    ) -> Made:
        made = Made()

        def keep(row: InstructionRow) -> bool:
            made.rows.append(row)
            return True

        place = Place(tmp_path, load_task)
        generator = row_generators.create(name, parameters)
        generator.check(place)
        assert generator.reads(place)
        work = Work(
            "part",
            seed,
            place,
            keep,
            lambda rule, text: made.rejected.append((rule, text)),
            lambda prompt, wanted: wanted,
            "" if model is None else model.name,
            rehearsal,
            made.notes,
        )
        asking = generator.make(work)
        responses = None
        while True:
            try:
                requests = next(asking) if responses is None else asking.send(responses)
            except StopIteration:
                return made
            assert model is not None, f"{name} asks a model"
            made.asked.append(requests)
            responses = ask(requests, model)

    return run


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


SEEDS = [
    {
        "id": f"s{n}",
        "instruction": f"Do thing number {n} with {word} today",
        "is_classification": n % 3 == 0,
        "constraints": f"c{n}",
        "paraphrase": f"Please handle {word}",
        "instances": [{"input": f"in {n}", "output": f"out {n}"}],
    }
    for n, word in enumerate(["ants", "bees", "cows", "dogs", "eels", "fish", "geese", "hens"])
]


@pytest.fixture
def seeds(tmp_path: Path) -> str:
    """A file of eight seed tasks."""
    jsonl(tmp_path / "seeds.jsonl", *SEEDS)
    return "seeds.jsonl"
