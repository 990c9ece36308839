"""Runs engines over workloads, one after another, and compares what they say with plain fp32."""

from __future__ import annotations

import gc
import logging
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from icl.bench.candidates import Candidate, Measured
from icl.bench.networks import SHAPES, load_plain
from icl.bench.settings import Settings
from icl.bench.table import Row, compare
from icl.bench.turns import apart, take_turns
from icl.bench.workloads import Workload, strided
from icl.engine.forward.chunks import default_sizes
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
from icl.engine.native import library
from icl.engine.requests.encoding import encode_scores
from icl.engine.rungs.naive import NaiveModel
from icl.errors import ModelError
from icl.types import ScoreRequest

log = logging.getLogger("icl")

COMPARED = 8
"""Requests of a workload whose log-probabilities are compared with plain fp32."""


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
        self.context = plain.context_length
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
        for workload in workloads:
            workload.check(self.shape.vocabulary, self.context)

        def keep(row: Row) -> None:
            self.rows.append(row)
            compare(self.rows)
            if on_row is not None:
                on_row(row)

        if self.settings.turns:
            self._by_turns(workloads, keep)
        else:
            self._one_after_another(workloads, keep)
        if compare_scores:
            self._compare_with_plain()
        order = {w.name: i for i, w in enumerate(workloads)}
        self.rows.sort(key=lambda r: (order[r.workload], self.settings.engines.index(r.engine)))
        return self.rows

    def _one_after_another(self, workloads: Sequence[Workload], keep: Callable[[Row], None]) -> None:
        assert self.plain is not None
        for name in self.settings.engines:
            candidate = Candidate(name, self.plain, self.settings)
            for workload in workloads:
                if not asks(name, workload):
                    continue
                try:
                    measured = candidate.measure(workload)
                except ModelError as error:
                    _warn(name, workload, error)
                else:
                    keep(self._row(name, workload, [measured]))
            del candidate
            gc.collect()

    def _by_turns(self, workloads: Sequence[Workload], keep: Callable[[Row], None]) -> None:
        with apart(self.settings.engines, self.settings) as candidates:
            for workload in workloads:
                found = take_turns(
                    [one for one in candidates if asks(one.name, workload)],
                    workload,
                    self.settings.turns,
                    lambda name, error, w=workload: _warn(name, w, error),  # type: ignore[misc]
                )
                for name, rounds in found.items():
                    row = self._row(name, workload, rounds)
                    row.round_seconds = [m.seconds / row.fraction for m in rounds]
                    keep(row)

    # -- measuring -------------------------------------------------------------------------------

    def _row(self, name: str, workload: Workload, rounds: Sequence[Measured]) -> Row:
        """One engine on one workload; of several rounds the median, memory at its highest."""
        part = self.settings.part(name, workload)
        fraction = part.tokens_flat / workload.tokens_flat
        bounds, unique = self.bounds(workload)
        run = float(np.median([m.seconds for m in rounds]))
        seconds = run / fraction
        last = rounds[-1]
        row = Row(
            workload=workload.name, engine=name, dtype=self.settings.dtype, seconds=seconds,
            tokens_flat=workload.tokens_flat, tokens_unique=unique,
            eta=bounds[0] / seconds, eta_packed=bounds[1] / seconds,
            peak_memory=max(m.peak_memory for m in rounds), fraction=fraction, setting=last.setting,
            planning=None if last.planning is None else last.planning / seconds,
            overhead=None if last.inside is None else 1 - last.inside / last.seconds,
        )  # fmt: skip
        self._remember(row, part, last)
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


def asks(name: str, workload: Workload) -> bool:
    """Whether that engine can be asked such a workload at all."""
    return name != "continuous" or workload.kind == "gen"


def _warn(name: str, workload: Workload, error: ModelError) -> None:
    log.warning("%s on %s: %s", name, workload.name, error)


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
        "native": library.said(),
        "rounds": bench.settings.turns or 1,
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
