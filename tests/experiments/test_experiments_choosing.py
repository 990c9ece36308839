"""Everything that chooses, orders or asks, in a run: blind to the test set's labels, its cost told."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import icl
from icl.protocols import methods, orderers, selectors

CHEAP: dict[str, dict[str, Any]] = {
    "global_entropy": {"permutations": 2, "min_words": 1},
    "local_entropy": {"permutations": 2, "min_words": 1},
    "oracle": {"validation": 3},
    "worst": {"validation": 3},
    "vote_k": {"variant": "full", "initial": 4, "neighbours": 5, "budget": 12},
}
SHARED = {"random": {"per_query": False}}


def components(registry: Any) -> list[dict[str, Any]]:
    """All of a registry, in cheap settings."""
    example = {name: getattr(registry.entry(name).factory, "example_parameters", {}) for name in registry}
    return [{name: {**example[name], **CHEAP.get(name, {})}} for name in registry]


def asking(registry: Any) -> set[str]:
    """Names of those that need the model in their cheap settings."""
    built = {
        name: registry.create(name, given) for one in components(registry) for name, given in one.items()
    }
    return {name for name, component in built.items() if "model" in component.needs}


def run(write: Callable[..., Path], folder: Path, **grid: Any) -> icl.api.Run:
    return icl.run(write(seeds=[1], grid={"shots": [2], **grid}), output=folder)


def told(run: icl.api.Run) -> dict[str, Any]:
    """All that a run says, less whether it was right."""
    return {
        result.cell.id: [
            (p.query_id, p.demonstrations, p.answer, p.output, p.label_scores, p.why, p.details)
            for p in result.predictions
        ]
        for result in run.results
        if result.cell.selector != "majority_class"
    }


def all_of_it(write: Callable[..., Path], folder: Path) -> dict[str, Any]:
    """Every selector, every orderer on one shared set, every method that compares labels."""
    labelled = [n for n in methods if "cot" not in methods.entry(n).factory.__module__]
    chosen = run(write, folder / "selectors", selector=components(selectors))
    ordered = run(write, folder / "orderers", selector=[SHARED], orderer=components(orderers))
    asked = run(write, folder / "methods", selector=[SHARED], method=labelled)
    return told(chosen) | told(ordered) | told(asked)


def test_poisoned_test_labels_change_no_choice_and_no_answer(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    plain = all_of_it(write, tmp_path / "plain")
    path = tmp_path / "queries.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    turned = [{**row, "label": "bad" if row["label"] == "good" else "good"} for row in rows]
    path.write_text("\n".join(map(json.dumps, turned)), encoding="utf-8")
    poisoned = all_of_it(write, tmp_path / "poisoned")
    assert len(plain) > 30
    assert poisoned == plain


def test_whatever_asks_the_model_tells_what_that_cost(write: Callable[..., Path], tmp_path: Path) -> None:
    expected = {
        "selector": asking(selectors),
        "orderer": asking(orderers),
    }
    found: dict[str, set[str]] = {"selector": set(), "orderer": set()}
    grids: dict[str, dict[str, Any]] = {
        "selector": {"selector": components(selectors)},
        "orderer": {"selector": [SHARED], "orderer": components(orderers)},
    }
    for axis, grid in grids.items():
        board = run(write, tmp_path / axis, **grid).leaderboard()
        for row in csv.DictReader(io.StringIO(board.to_csv())):
            cost = {key: float(row[f"selection_{key}"]) for key in ("requests", "tokens", "tokens_unique")}
            if any(cost.values()):
                found[axis].add(row[axis].split("(")[0])
                assert min(cost.values()) > 0
                assert cost["tokens"] >= cost["tokens_unique"]
                assert float(row["selection_seconds"]) > 0
        shown = [column.header for column in board.columns]
        assert {"sel. req", "sel. tok", "sel. s"} <= set(shown)
    assert found == expected
