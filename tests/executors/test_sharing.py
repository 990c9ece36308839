"""How many tasks a worker gets, and that the simulator cuts as the pool does."""

from __future__ import annotations

import numpy as np
import pytest

from icl.engine.fake import ByteTokenizer
from icl.executors.shapes import GridShape
from icl.executors.sharing import LEAST_TEXTS, LEAST_TOKENS, share, tasks_per_worker
from icl.executors.simulate import simulate
from icl.types import GenerateRequest, ScoreRequest, TokenIds


@pytest.mark.parametrize(
    ("read", "texts", "workers", "tasks"),
    [
        (10, 0, 4, 1),
        (3 * LEAST_TOKENS * 4, 0, 4, 3),
        (1000 * LEAST_TOKENS, 0, 4, 8),
        (1000 * LEAST_TOKENS, 5 * LEAST_TEXTS, 2, 2),
    ],
)
def test_tasks_are_not_small(read: int, texts: int, workers: int, tasks: int) -> None:
    assert tasks_per_worker(read, texts, workers) == tasks


def prompts_of(shape: GridShape) -> list[TokenIds]:
    """The prompts of a grid with few beginnings, as ids."""
    head = (0,) * shape.instruction
    shown = shape.shots * shape.demonstration
    found = []
    for one in range(shape.cells * shape.seeds):
        for query in range(shape.queries):
            own = (one * shape.queries + query) if shape.demonstrations == "query" else query
            start = own if shape.demonstrations == "query" else one
            found.append((*head, *(start,) * shown, *(own,) * shape.query))
    return found


@pytest.mark.parametrize("demonstrations", ["fixed", "query"])
@pytest.mark.parametrize("written", [0, 12])
def test_the_simulator_cuts_as_the_pool_does(demonstrations: str, written: int) -> None:
    shape = GridShape(
        queries=100,
        cells=4,
        seeds=2,
        demonstrations=demonstrations,  # type: ignore[arg-type]
        shots=2,
        labels=0 if written else 3,
        label=4,
        samples=3 if written else 0,
        written=written,
        demonstration=30,
    )
    order = np.random.default_rng(0).permutation(shape.requests)
    prompts = prompts_of(shape)
    labels = tuple((t, t, t, t) for t in (1, 2, 3))
    for workers in (1, 2, 7):
        if written:
            asked = [GenerateRequest(prompts[at], n=3, max_tokens=written) for at in order]
            groups, report = share("generate", asked, ByteTokenizer(), workers)
        else:
            scored = [ScoreRequest(prompts[at], labels) for at in order]
            groups, report = share("score", scored, ByteTokenizer(), workers)
        found = simulate(shape, workers)
        assert (found.tasks, found.tokens_forwarded) == (len(groups), report.tokens_forwarded)
        assert found.tokens_once == report.tokens_once
