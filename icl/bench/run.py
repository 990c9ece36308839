"""Runs engines over workloads, one after another, and compares what they say with plain fp32."""

from __future__ import annotations

import gc
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from icl.bench.meters import Stopwatch, TimedTrunk
from icl.bench.networks import SHAPES, load_plain
from icl.bench.peers import ContinuousEngine, Engine, PaddedEngine, SharedPrefixEngine
from icl.bench.table import Row, compare
from icl.bench.workloads import Workload, strided
from icl.engine.forward.chunks import ChunkRunner, default_sizes
from icl.engine.forward.scoring import plan_scores
from icl.engine.measuring.roofline import (
    Rates,
    Shape,
    generate_bound,
    measure_rates,
    score_bound,
    score_work,
    shape_of,
)
from icl.engine.requests.encoding import encode_scores, encode_texts
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.engine.trie.radix import radix_nodes
from icl.errors import ConfigError, ModelError, unknown_name
from icl.types import Generation, ScoreRequest, Scores

log = logging.getLogger("icl")

ENGINES = ("icl", "naive", "padded", "shared", "continuous")
DTYPES = ("float32", "bfloat16")
SIZES = (8, 16, 32)
"""Batch sizes that padded and shared are tried with; they decode with the largest only."""
COMPARED = 8
"""Requests of a workload whose log-probabilities are compared with plain fp32."""


@dataclass(frozen=True, slots=True)
class Slow:
    """How much of a workload a slow engine runs: a share, but never less than it needs to be itself."""

    fraction: float
    least: int = 1


SLOW = {
    "naive": Slow(0.03, 2),
    "padded": Slow(0.06, max(SIZES)),
    "shared": Slow(0.15, max(SIZES)),
    "continuous": Slow(0.06, 8),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What `icl bench` is asked."""

    model: str = "smollm2-135m-instruct"
    dtype: str = "float32"
    engines: tuple[str, ...] = ENGINES
    fraction: float | None = None
    """Of each workload that slow peers run; None: their own (SLOW)."""
    max_memory: int | None = None

    def __post_init__(self) -> None:
        for engine in self.engines:
            if engine not in ENGINES:
                raise ConfigError(unknown_name("engine", engine, ENGINES))
        if self.dtype not in DTYPES:
            raise ConfigError(unknown_name("dtype", self.dtype, DTYPES))
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigError(f"--fraction: {self.fraction} is not in (0, 1]")

    def part(self, engine: str, workload: Workload) -> Workload:
        """What `engine` runs of `workload`."""
        slow = SLOW.get(engine)
        if slow is None:
            return workload
        if self.fraction is None:
            return workload.subset(slow.fraction, slow.least)
        return workload.subset(self.fraction)


@dataclass(slots=True)
class Measured:
    """One run of one engine over (a part of) a workload."""

    seconds: float
    peak_memory: int
    scores: list[Scores] = field(default_factory=list)
    generations: list[Generation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an engine said about a few requests, to be compared with plain fp32 at the end."""

    row: Row
    request: ScoreRequest
    token_logprobs: tuple[tuple[float, ...], ...]


class Bench:
    """One model at one precision: rates, bounds, and engines in turn."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        plain = load_plain(settings.model, settings.dtype)
        self.plain: NaiveModel | None = plain
        self.device = torch.device(plain.model.device)
        self.shape: Shape = shape_of(plain.model)
        self.chunk_rows, self.slots = default_sizes(self.device)
        self.rates: Rates = measure_rates(self.shape, plain.model.dtype, self.device, self.chunk_rows)
        self.rows: list[Row] = []
        self._claims: list[Claim] = []

    def run(
        self,
        workloads: Sequence[Workload],
        on_row: Callable[[Row], None] | None = None,
        *,
        compare_scores: bool = True,
    ) -> list[Row]:
        """All rows; `on_row` sees each when it is measured, before its log-probabilities are compared.

        compare_scores: whether they are compared with plain fp32 at the end, which takes its time.
        """
        for name in self.settings.engines:
            variants = list(self._variants(name))
            for workload in workloads:
                if name == "continuous" and workload.kind == "score":
                    continue
                try:
                    row = self._measure(name, workload, variants)
                except ModelError as error:
                    log.warning("%s on %s: %s", name, workload.name, error)
                    continue
                self.rows.append(row)
                compare(self.rows)
                if on_row is not None:
                    on_row(row)
            del variants
            gc.collect()
        if compare_scores:
            self._compare_with_plain()
        order = {w.name: i for i, w in enumerate(workloads)}
        self.rows.sort(key=lambda r: (order[r.workload], self.settings.engines.index(r.engine)))
        return self.rows

    # -- engines ---------------------------------------------------------------------------------

    def _variants(self, name: str) -> Iterator[tuple[str, Engine]]:
        """(setting, engine) of each way in which an engine is tried."""
        plain = self.plain
        assert plain is not None
        if name == "icl":
            yield "", self._own(plain)
        elif name == "naive":
            yield "", plain
        elif name == "continuous":
            yield "", ContinuousEngine(plain.model)
        else:
            kind = PaddedEngine if name == "padded" else SharedPrefixEngine
            for size in SIZES:
                yield f"batch {size}", kind(plain.model, size)

    def _own(self, plain: NaiveModel) -> Engine:
        model = choose_engine(
            plain.model,
            plain.tokenizer,
            name=plain.name,
            context_length=plain.context_length,
            fingerprint=plain.fingerprint,
            max_memory=self.settings.max_memory,
        )
        if isinstance(model, TrieModel):
            model.trunk = TimedTrunk(model.trunk)
            model.runner = ChunkRunner(model.trunk, model.runner.rows)
        return model

    # -- measuring -------------------------------------------------------------------------------

    def _measure(self, name: str, workload: Workload, variants: Sequence[tuple[str, Engine]]) -> Row:
        part = self.settings.part(name, workload)
        fraction = part.tokens_flat / workload.tokens_flat
        best: tuple[str, Engine, Measured, float] | None = None
        # while decoding, the largest batch is the fastest: the smaller ones would only cost time
        for setting, engine in variants if workload.kind == "score" else variants[-1:]:
            # one request warms up caches and threads; a GPU's kernels are compiled for the sizes that occur
            warm = part if self.device.type == "cuda" else part.subset(0, 1)
            run_part(engine, warm, self.device)
            timed = engine.trunk if isinstance(engine, TrieModel) else None
            before = timed.seconds if isinstance(timed, TimedTrunk) else 0.0
            measured = run_part(engine, part, self.device)
            inside = timed.seconds - before if isinstance(timed, TimedTrunk) else 0.0
            if best is None or measured.seconds < best[2].seconds:
                best = (setting, engine, measured, inside)
        assert best is not None
        setting, engine, measured, inside = best
        bounds, unique = self.bounds(workload)
        seconds = measured.seconds / fraction
        row = Row(
            workload=workload.name, engine=name, dtype=self.settings.dtype, seconds=seconds,
            tokens_flat=workload.tokens_flat, tokens_unique=unique,
            eta=bounds[0] / seconds, eta_packed=bounds[1] / seconds,
            peak_memory=measured.peak_memory, fraction=fraction, setting=setting,
        )  # fmt: skip
        if isinstance(engine, TrieModel):
            row.planning = planning_seconds(engine, workload) / seconds
            if self.device.type == "cpu":
                row.overhead = 1 - inside / measured.seconds
        self._remember(row, part, measured)
        return row

    def bounds(self, workload: Workload) -> tuple[tuple[float, float], int]:
        """Lower bounds in seconds (at the rate of torch.mm, at the best rate), and unique tokens."""
        gemms = (self.rates.gemm, self.rates.best_gemm)
        if workload.kind == "score":
            plan = plan_scores(encode_scores(_no_tokenizer(self.plain), workload.scores))
            work = score_work(plan, self.shape, self.chunk_rows)
            both = [score_bound(self.shape, work, g, self.rates.bandwidth) for g in gemms]
            return (both[0], both[1]), work.unique
        found = [
            generate_bound(
                self.shape, workload.generations, self.slots, self.chunk_rows, (g, self.rates.bandwidth)
            )
            for g in gemms
        ]
        return (found[0][0], found[1][0]), found[0][1]

    # -- agreement -------------------------------------------------------------------------------

    def _remember(self, row: Row, part: Workload, measured: Measured) -> None:
        """Keeps what was said of a few requests; of a generation, its first sample's log-probabilities."""
        if part.kind == "score":
            pairs = list(zip(part.scores, measured.scores, strict=True))
            for request, scores in strided(pairs, 0, COMPARED):
                self._claims.append(Claim(row, request, scores.token_logprobs))
            return
        written = list(zip(part.generations, measured.generations, strict=True))
        for asked, generation in strided(written, 0, 2):
            sample = generation.samples[0]
            if not sample.logprobs:
                continue
            again = ScoreRequest(asked.prompt, (sample.token_ids,))
            self._claims.append(Claim(row, again, (sample.logprobs,)))

    def _compare_with_plain(self) -> None:
        settings = self.settings
        if settings.dtype != "float32" and settings.model in SHAPES:
            return  # other precisions draw other random weights
        plain = self.plain
        if settings.dtype != "float32":
            self.plain = plain = None
            gc.collect()
            plain = load_plain(settings.model, "float32")
        assert plain is not None
        for claim in self._claims:
            [scores] = plain.score([claim.request])
            gap = largest_gap(claim.token_logprobs, scores.token_logprobs)
            claim.row.max_abs_diff = max(gap, claim.row.max_abs_diff or 0.0)


def run_part(engine: Engine, part: Workload, device: torch.device) -> Measured:
    """Runs and times."""
    with Stopwatch(device) as watch:
        scores = engine.score(part.scores) if part.kind == "score" else []
        generations = engine.generate(part.generations) if part.kind == "gen" else []
    return Measured(watch.seconds, watch.peak_memory, scores, generations)


def planning_seconds(engine: TrieModel, workload: Workload) -> float:
    """Time of ids, trie and plan, without any forward."""
    started = time.perf_counter()
    if workload.kind == "score":
        plan_scores(encode_scores(engine.tokenizer, workload.scores))
    else:
        prompts = encode_texts(engine.tokenizer, [r.prompt for r in workload.generations])
        unique = list(dict.fromkeys(prompts))
        trie = build_trie(as_arrays(unique))
        Layout(trie)
        radix_nodes(trie, [workload.generations[0].n] * len(unique))
    return time.perf_counter() - started


def largest_gap(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> float:
    """Largest difference of a token's log-probability."""
    return max(abs(a - b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True))


def _no_tokenizer(plain: NaiveModel | None) -> Any:
    """Workloads hold ids; the encoder asks for a tokenizer all the same."""
    assert plain is not None
    return plain.tokenizer


def machine(bench: Bench) -> dict[str, Any]:
    """What the figures were measured on and with."""
    import transformers

    gpu = bench.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(bench.device) if gpu else processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "model": bench.settings.model,
        "dtype": bench.settings.dtype,
        "gemm_gflops": round(bench.rates.gemm / 1e9, 1),
        "packed_gflops": round(bench.rates.packed_gemm / 1e9, 1),
        "bandwidth_gb": round(bench.rates.bandwidth / 1e9, 1),
    }


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
