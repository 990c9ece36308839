"""What the model wrote in experiments/cot.yaml, each output with the answer that was read in it by hand.

golden_outputs.jsonl: a random draw from every task and method of that run. `output` is the text that is
parsed: the whole one, of zero-shot chain of thought the second stage, of least-to-most the last answer.
`reading` is what the output gives as its answer, right or wrong: the last whole announcement of its first
answer (a letter is whole even where the output breaks off behind it); without one the last whole number,
letter or text; null where there is none. The readings were written down before the parser's were looked at,
and parsing was then mended where it was at fault. What it still reads otherwise stays in the file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from icl.methods.generate import read
from icl.prompts.answers import equivalent, parse
from icl.tasks import load_task, read_task_file
from icl.types import Query, Task

ROOT = Path(__file__).parents[2]
MIRROR = Path(os.environ.get("ICL_DATA") or ROOT.parent / "shared" / "data")
ROWS = [json.loads(line) for line in Path(__file__).with_name("golden_outputs.jsonl").open(encoding="utf-8")]
WITH_CHOICES = "commonsenseqa"
"""Its letters can only be read beside the choices, which are not copied here."""
LEAST = 0.98


@cache
def task_of(name: str) -> Task:
    return read_task_file(ROOT / "icl" / "tasks" / "definitions" / f"{name}.yaml").task


def agrees(row: dict[str, Any], query: Query) -> bool:
    task = task_of(row["task"])
    if row["where"] == "auto":
        found = read(row["output"], task, query, "auto", cut=row["cut"]).answer
    else:
        found = parse(row["output"], task, query, where=row["where"], cut=row["cut"]).answer
    if found is None or row["reading"] is None:
        return bool(found == row["reading"])
    return equivalent(found, row["reading"], task)


def check(rows: list[dict[str, Any]], queries: dict[str, Query]) -> None:
    missed = [row for row in rows if not agrees(row, queries.get(row["query_id"], Query("q", {})))]
    assert len(missed) <= (1 - LEAST) * len(rows), "\n".join(
        f"{r['reading']}: {r['output']!r}" for r in missed
    )


def test_there_are_enough_of_every_kind() -> None:
    assert len(ROWS) >= 200
    assert min(Counter(row["task"] for row in ROWS).values()) >= 30
    assert len({row["method"] for row in ROWS}) >= 6
    assert sum(row["cut"] for row in ROWS) >= 40
    assert sum(row["reading"] is None for row in ROWS) >= 10


def test_the_parser_reads_what_a_person_reads() -> None:
    check([row for row in ROWS if row["task"] != WITH_CHOICES], {})


def test_the_parser_reads_letters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (MIRROR / WITH_CHOICES).is_dir():
        pytest.skip(f"no local copy of {WITH_CHOICES}: set ICL_DATA to a folder of data sets")
    monkeypatch.setenv("ICL_DATA", str(MIRROR))
    check(ROWS, {example.id: example.query for example in load_task(WITH_CHOICES).test})
