"""Cells with drawn answers, for boards made by hand."""

from icl.experiments.records import Cell, CellResult
from icl.seeding import generator
from icl.types import Prediction, Usage


def cell(
    selector: str,
    shots: int = 4,
    seed: int = 0,
    hits: float = 0.6,
    *,
    n: int = 40,
    task: str = "sst2",
    orderer: str = "as_selected",
    method: str = "direct",
    complete: bool = True,
    ids: str = "q",
) -> CellResult:
    """A cell with about a share `hits` of right answers, drawn for (selector, shots, seed)."""
    rng = generator(seed, selector, f"{shots}{orderer}{method}")
    predictions = []
    for i in range(n):
        gold = "positive" if i % 4 else "negative"
        right = bool(rng.random() < hits)
        wrong = "negative" if gold == "positive" else "positive"
        predictions.append(
            Prediction(
                f"{ids}{i}",
                (),
                gold if right else wrong,
                gold,
                right,
                label_scores={"negative": -1.0, "positive": -2.0},
                usage=Usage(100, 25, 0, 0.5),
            )
        )
    where = Cell("tiny", task, selector, shots, orderer, method, seed)
    return CellResult(where, tuple(predictions), Usage(1000, 500, 0, 0.0), 2.0, complete=complete)


def board_cells() -> list[CellResult]:
    results = []
    for seed in range(3):
        results.append(cell("zero_shot", 0, seed, 0.5))
        for shots in (4, 8):
            results += [cell("random", shots, seed, 0.55), cell("knn", shots, seed, 0.9)]
    return results
