"""Selection at scale: kNN, MMR and DPP over a pool of a million vectors.

    OMP_NUM_THREADS=2 python benchmarks/selection_scale.py --out benchmarks/selection_scale.json

Synthetic clustered unit vectors stand in for embeddings (one centre for 100 vectors, noise as
long as the centre, so that members of a cluster have a cosine of about 0.5): encoding is timed
nowhere. What is timed is what the selectors call: `NeighbourIndex.search` and, batch by batch, the
kernel and the greedy choice. Recall of an approximate index is against exact search of some of the queries.
Asked for: kNN within 60 s, MMR and DPP within 120 s, on 2 cores and 4 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from icl.encoders.neighbours import IndexKind, NeighbourIndex
from icl.seeding import generator
from icl.selectors.mmr import maximal_marginal_relevance
from icl.selectors.shared.determinants import greedy_map, relevance_kernel
from icl.selectors.shared.prefetch import BATCH, Neighbours, allowed_first, gram

Vectors = NDArray[np.float32]
T = TypeVar("T")
Choose = Callable[[Neighbours, Vectors], object]


def clustered(count: int, dimension: int, centres: Vectors, item: str) -> Vectors:
    """[count, dimension] unit rows around `centres`, written in slices so that no copy is held."""
    stream = generator(0, "benchmarks.selection_scale", item)
    rows = np.empty((count, dimension), dtype=np.float32)
    for start in range(0, count, 50_000):
        part = rows[start : start + 50_000]
        part[:] = centres[stream.integers(0, len(centres), size=len(part))]
        part += stream.standard_normal(part.shape, dtype=np.float32) * np.float32(1 / dimension**0.5)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


@dataclass(frozen=True, slots=True)
class Seconds:
    """By the clock, and of all threads: where others use the cores too, the clock says less."""

    wall: float
    cpu: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    @property
    def figures(self) -> dict[str, float]:
        return {"wall_s": round(self.wall, 1), "cpu_s": round(self.cpu, 1)}


def timed(run: Callable[[], T]) -> tuple[T, Seconds]:
    wall, cpu = time.perf_counter(), time.process_time()
    value = run()
    return value, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def choose_all(
    vectors: Vectors, found: tuple[NDArray[np.int64], NDArray[np.float64]], n: int, choose: Choose
) -> None:
    """What MMR and DPP do after the search, over all queries."""
    positions, similarities = found
    for start in range(0, len(positions), BATCH):
        part = slice(start, start + BATCH)
        forbidden = [frozenset[int]()] * len(positions[part])
        near = allowed_first(positions[part], similarities[part], forbidden, n)
        choose(near, gram(vectors, near.positions))


def recall(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Share of the exact neighbours that were found, over all rows."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True))
    return round(hits / exact.size, 4)


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def measure_index(
    name: str, vectors: Vectors, asked: Vectors, k: int, prefetch: int
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """The figures of one index, and the k nearest that it found."""
    kind: IndexKind = "flat" if name == "flat" else "ivf"
    probes = 1 if kind == "flat" else int(name.removeprefix("ivf"))
    index, build = timed(lambda: NeighbourIndex(vectors, kind, probes))
    (near, _), knn = timed(lambda: index.search(asked, k))
    found, search = timed(lambda: index.search(asked, prefetch))

    def mmr(neighbours: Neighbours, cosines: Vectors) -> None:
        maximal_marginal_relevance(neighbours, cosines, k, 0.5)

    def dpp(neighbours: Neighbours, cosines: Vectors) -> None:
        greedy_map(relevance_kernel(cosines, neighbours, 0.1)[0], k)

    _, mmr_choice = timed(lambda: choose_all(vectors, found, prefetch, mmr))
    _, dpp_choice = timed(lambda: choose_all(vectors, found, prefetch, dpp))
    run = {
        "index": name,
        "build": build.figures,
        f"knn_{k}": knn.figures,
        f"search_{prefetch}": search.figures,
        "mmr": (search + mmr_choice).figures,
        "dpp": (search + dpp_choice).figures,
        "peak_gib": peak_gib(),
        "load": round(os.getloadavg()[0], 1),
    }
    return run, near


def measure(
    pool: int, queries: int, dimension: int, k: int, prefetch: int, indices: list[str], reference: int
) -> dict[str, Any]:
    """Every figure, as JSON."""
    stream = generator(0, "benchmarks.selection_scale", "centres")
    centres = stream.standard_normal((max(pool // 100, 1), dimension), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = clustered(pool, dimension, centres, "pool")
    asked = clustered(queries, dimension, centres, "queries")
    figures: dict[str, Any] = {
        "pool": pool,
        "queries": queries,
        "dimension": dimension,
        "k": k,
        "prefetch": prefetch,
        "threads": faiss.omp_get_max_threads(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        "faiss": faiss.__version__,
        "runs": [],
    }
    exact, _ = NeighbourIndex(vectors).search(asked[:reference], k)
    for name in indices:
        run, near = measure_index(name, vectors, asked, k, prefetch)
        run[f"recall_at_{k}"] = recall(near[:reference], exact)
        run["recall_queries"] = len(exact)
        figures["runs"].append(run)
        print(json.dumps(run), flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--pool", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--prefetch", type=int, default=100)
    parser.add_argument("--indices", nargs="+", default=["flat", "ivf64"], help="flat, or ivf and its probes")
    parser.add_argument("--reference", type=int, default=1000, help="queries on which recall is measured")
    parser.add_argument("--out", type=Path, default=None)
    given = vars(parser.parse_args())
    out = given.pop("out")
    figures = measure(**given)
    text = json.dumps(figures, indent=1)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
