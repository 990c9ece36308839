"""What training cost, in the table, the CSV and the sentences below; break-even by hand."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

from icl.experiments.records import CellResult
from icl.leaderboard import leaderboard
from icl.leaderboard.break_even import break_evens, sentences
from icl.types import Usage
from tests.leaderboard.cells import cell

COST = {
    "trainable": 4096, "steps": 64, "tokens": 10_000, "tokens_forwarded": 8_000, "tokens_validation": 2_000,
    "seconds": 30.0, "peak_bytes": 3 << 30,
}  # fmt: skip


def asked(result: CellResult, tokens: int, seconds: float, **changes: object) -> CellResult:
    predictions = tuple(replace(p, usage=Usage(tokens, tokens, 0, seconds)) for p in result.predictions)
    where = replace(result.cell, **{k: v for k, v in changes.items() if k == "tuning"})
    return replace(result, cell=where, predictions=predictions)


def tuned(seed: int, rate: float, **cost: float) -> CellResult:
    result = asked(cell("zero_shot", 0, seed), 40, 0.1, tuning="lora(rank=8)")
    held = {"cost": {**COST, **cost}, "notes": {"learning_rate": rate, "losses": [1, 2], "rows": 60}}
    return replace(result, notes={"tuning": held})


def board():
    cells = [asked(cell("knn", 8, seed, 0.9), 440, 0.25) for seed in (0, 1)]
    cells += [asked(cell("random", 4, seed, 0.5), 240, 0.15) for seed in (0, 1)]
    cells += [asked(cell("zero_shot", 0, seed), 40, 0.1) for seed in (0, 1)]
    return leaderboard([*cells, tuned(0, 1e-3), tuned(1, 1e-4, tokens=14_000, seconds=50.0)])


def test_costs_are_means_over_seeds():
    found = {(r.selector, r.tuning): r for r in board().rows}
    training = found["zero_shot", "lora(rank=8)"].training
    assert (training.tokens, training.seconds, training.trainable) == (12_000, 40.0, 4096)
    assert found["zero_shot", "none"].training is None
    (row,) = [r for r in csv.DictReader(io.StringIO(board().to_csv())) if r["tuning"] != "none"]
    assert (row["training_tokens"], row["training_seconds"]) == ("12000.0", "40.0")
    assert row["training_tokens_validation"] == "2000.0"


def test_the_table_has_the_columns_only_where_something_was_trained():
    assert [c.header for c in board().columns if c.key.startswith("train")] == [
        "trained", "train tok", "train s", "peak GiB",
    ]  # fmt: skip
    shown = next(line for line in board().to_markdown().splitlines() if "lora(rank=8) |" in line)
    assert "| 4.1k | 14.0k | 40 | 3.0 |" in shown
    untuned = leaderboard([cell("knn", 4, seed) for seed in (0, 1)])
    assert not [c for c in untuned.columns if c.key.startswith("train")]
    assert "Break-even" not in "\n".join(untuned.footer)


def test_what_a_tuner_wrote_down_stands_below():
    (line,) = [line for line in board().footer if line.startswith("lora, sst2: ")]
    assert line == "lora, sst2: learning rate 0.001 (seed 0), 0.0001 (seed 1); rows 60."


def test_what_all_tunings_wrote_down_is_said_once():
    cells = [tuned(0, 1e-3), replace(tuned(0, 1e-4), cell=replace(tuned(0, 1e-4).cell, tuning="full"))]
    lines = [line for line in leaderboard(cells).footer if "sst2: " in line]
    assert lines == [
        "All tunings, sst2: rows 60.",
        "lora, sst2: learning rate 0.001.",
        "full, sst2: learning rate 0.0001.",
    ]


def test_break_even_by_hand():
    (found,) = break_evens(board().rows)
    assert found.rival.selector == "knn"  # the most accurate, not the nearest
    assert found.by_tokens == math.ceil((3 * 12_000 + 2_000) / (440 - 40)) == 95
    assert found.by_seconds == math.ceil(40 / (0.25 - 0.1))
    text = "\n".join(board().footer)
    assert "Break-even with knn 8-shot (sst2): zero_shot tuning lora 95 / 267." in text


def test_no_break_even_with_a_row_that_is_not_dearer():
    slow = [asked(tuned(seed, 1.0), 40, 0.5) for seed in (0, 1)]
    knn = [asked(cell("knn", 8, seed), 440, 0.25) for seed in (0, 1)]
    (found,) = break_evens(leaderboard([*knn, *slow]).rows)
    assert math.isinf(found.by_seconds)
    assert sentences([found], lambda row: row.setting)[1].endswith(" / never.")
    short = [asked(cell("knn", 1, seed), 30, 0.25) for seed in (0, 1)]
    assert break_evens(leaderboard([*short, *slow]).rows) == []


def test_notes_that_were_bent_by_hand_do_no_harm():
    held = ({"tuning": 3}, {"tuning": {"cost": [], "notes": 1}})
    bent = [replace(tuned(seed, 1.0), notes=notes) for seed, notes in enumerate(held)]
    assert leaderboard(bent).to_markdown()
