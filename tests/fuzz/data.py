"""Data files of every format, mutated, read and held against the gold checks of every kind of task.

python -m tests.fuzz.data --count 3000
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.core import Case, main
from tests.fuzz.mutate import mutated_bytes, mutated_text, mutated_tree

KINDS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["up", "down"], "source": {"fields": {"target": "label"}}},
    "boolean": {
        "labels": ["yes", "no"],
        "source": {"fields": {"target": {"column": "b", "transforms": ["yes_no"]}}},
    },
    "numeric": {"source": {"fields": {"target": "n"}}},
    "string": {"source": {"fields": {"target": "d.s"}}},
    "multiple_choice": {
        "source": {"fields": {"choices": "c", "target": {"column": "l", "transforms": ["letter"]}}}
    },
}  # fmt: skip
STEPS: tuple[Any, ...] = (
    "number", "yes_no", "letter", "join", "options_block", "strip_calculator", {"before": "a"},
    {"after": " "}, {"until": "."}, {"strip_prefix": "x"}, {"values": {"0": "up", "x": "down"}},
    {"class_names": ["up", "down"]},
)  # fmt: skip
ODD: tuple[Any, ...] = (
    "1e999999999", "-7E-888888888", "9" * 400, "1/0", "²", "١٢", "1,2,3", "0x1f", "Infinity", "sNaN",
    "\ud83d",
    "a\x00b", "a\tb", 'say "no', "two\r\nlines", "\u2028", 10**400, -(10**30), 1e308, ["up", None], [["up"]],
    {"text": ["a", "b"], "label": ["A"]}, {"text": "a", "label": "b"}, {"A": None}, {"A": "x", "a": {}},
    '["a", "b"]', '{"A": 1}', "[" * 400, "(A) one\n(B) two", ["x"] * 40, True, "true", "(b)", "Ａ",
)  # fmt: skip
ROWS = [
    {
        "text": f"an item {number}, of some", "label": ("up", "down")[number % 2], "b": number % 3 == 0,
        "n": (number * 1.5, f"{number},000", number)[number % 3], "d": {"s": f"word {number}", "t": ["x", 2]},
        "c": ["one", f"{number} two", "three"], "l": "ABC"[number % 3],
    }
    for number in range(8)
]  # fmt: skip
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def read_and_judge(folder: Path) -> None:
    """Reads the rows, draws a split, and holds every gold answer against itself, as the runner would."""
    from icl.prompts.answers import equivalent
    from icl.tasks import load_task

    data = load_task(folder / "task.yaml")
    for example in data.test:
        assert equivalent(example.target, example.target, data.task)
    data.split(pool=1, test=1)


def cases(seed: int, count: int) -> Iterator[Case]:
    """Files of all formats in turn; every seventh is packed."""
    for number in range(count):
        rng = random.Random(f"data/{seed}/{number}")
        yield _case(rng, tuple(FORMATS)[number % len(FORMATS)], packed=number % 7 == 0)


def _case(rng: random.Random, suffix: str, *, packed: bool) -> Case:
    kind = rng.choice(tuple(KINDS))
    how = rng.choice(("rows", "rows", "rows", "text", "text", "bytes"))
    rows = _odd_rows(rng) if how == "rows" else ROWS
    content = FORMATS[suffix](rows, rng)
    if how == "text" and suffix != ".parquet":
        text = mutated_text(content.decode("utf-8", "surrogatepass"), rng)
        content = text.encode("utf-8", "surrogatepass")
    elif how != "rows":
        content = mutated_bytes(content, rng)
    name = f"rows{suffix}"
    if packed:
        ending = rng.choice(tuple(PACKED))
        name, content = name + ending, PACKED[ending](content)
        content = mutated_bytes(content, rng) if rng.random() < 0.5 else content
    return Case(f"{kind} {name}, {how}", {name: content, "task.yaml": _task(kind, name, rng)})


def _task(kind: str, name: str, rng: random.Random) -> bytes:
    definition = json.loads(json.dumps(KINDS[kind]))
    source = definition["source"]
    source["files"] = {"test": name if rng.random() < 0.9 else rng.choice(("rows*", [name, "r*"]))}
    source["skip_bad_rows"] = rng.random() < 0.2
    if rng.random() < 0.3:
        source["quotes"] = rng.choice(("csv", "plain"))
    target = source["fields"]["target"]
    if rng.random() < 0.3:
        column = target if isinstance(target, str) else target["column"]
        source["fields"]["target"] = {"column": column, "transforms": [rng.choice(STEPS)]}
    whole = {"name": "fuzzed", "kind": kind, "inputs": ["text"], "template": {"query": "{{ text }}"}}
    return json.dumps(whole | definition).encode()


def _odd_rows(rng: random.Random) -> list[Any]:
    rows = mutated_tree(ROWS, rng) if rng.random() < 0.5 else json.loads(json.dumps(ROWS))
    for _ in range(rng.randint(0, 2)):
        row = rng.choice(rows) if isinstance(rows, list) and rows else {}
        if isinstance(row, dict) and row:
            row[rng.choice(tuple(row))] = rng.choice(ODD)
    return rows if isinstance(rows, list) else [rows]


def _jsonl(rows: list[Any], rng: random.Random) -> bytes:
    ascii_only = rng.random() < 0.5
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    return rng.choice(("\n", "\n", "\r\n", "\r", "\n\n")).join(lines).encode("utf-8", "surrogatepass")


def _json(rows: list[Any], rng: random.Random) -> bytes:
    whole = rng.choice((rows, {"examples": rows}, {"v": 1, "old": [], "rows": rows}, {"a": rows, "b": rows}))
    return json.dumps(whole, indent=rng.choice((None, 1))).encode()


def _delimited(delimiter: str) -> Callable[[list[Any], random.Random], bytes]:
    def write(rows: list[Any], rng: random.Random) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=delimiter, lineterminator=rng.choice(("\n", "\r\n", "\r")))
        flat = [_flat(row) for row in rows if isinstance(row, dict)]
        writer.writerow(flat[0] if flat else ["text"])
        for row in flat:
            writer.writerow(row.values())
        return out.getvalue().encode("utf-8", "surrogatepass")

    return write


def _flat(row: dict[Any, Any]) -> dict[str, Any]:
    """Cells: what is nested as JSON, a field of an object beside it under a literal dot."""
    flat = {str(key): json.dumps(v) if isinstance(v, list | dict) else v for key, v in row.items()}
    inner = row.get("d")
    return flat | {
        f"d.{key}": str(value) for key, value in (inner if isinstance(inner, dict) else {}).items()
    }


def _parquet(rows: list[Any], rng: random.Random) -> bytes:
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    try:
        table = pyarrow.Table.from_pylist([row for row in rows if isinstance(row, dict)])
        pyarrow.parquet.write_table(table, sink)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):  # rows of no common type
        plain = [
            {"text": row["text"], "label": row["label"], "n": 1.5, "c": row["c"], "l": "A"} for row in ROWS
        ]
        return mutated_bytes(_parquet(plain, rng), rng)
    return bytes(sink.getvalue().to_pybytes())


FORMATS: dict[str, Callable[[list[Any], random.Random], bytes]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".parquet": _parquet,
}


if __name__ == "__main__":
    sys.exit(main(cases, "tests.fuzz.data:read_and_judge", __doc__ or ""))
