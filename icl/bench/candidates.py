"""One engine under test: in every setting in which it is tried, over one network, timed on workloads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from icl.bench.meters import NetworkClock, Stopwatch
from icl.bench.peers import ContinuousEngine, Engine, PaddedEngine, SharedPrefixEngine
from icl.bench.settings import OWN, PYTHON, SIZES, Settings
from icl.bench.workloads import Workload
from icl.engine.forward.scoring import plan_scores
from icl.engine.native import library
from icl.engine.requests.encoding import encode_scores, encode_texts
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.engine.trie.radix import radix_nodes
from icl.types import Generation, Scores


@dataclass(slots=True)
class Measured:
    """One run of one engine over (a part of) a workload, in its best setting."""

    seconds: float
    peak_memory: int
    scores: list[Scores] = field(default_factory=list)
    generations: list[Generation] = field(default_factory=list)
    setting: str = ""
    inside: float | None = None
    """Seconds in the network's forward and head (icl on CPU only)."""
    planning: float | None = None
    """Seconds of ids, trie and plan of the whole workload (icl only)."""


class Candidate:
    """An engine by its name. Raises ModelError where it cannot be asked."""

    def __init__(self, name: str, plain: NaiveModel, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.device = torch.device(plain.model.device)
        self._variants = list(_variants(name, plain, settings))

    def measure(self, workload: Workload) -> Measured:
        """Runs the engine's part of the workload in each setting, after one request as a warm-up."""
        part = self.settings.part(self.name, workload)
        # while decoding, the largest batch is the fastest: the smaller ones would only cost time
        variants = self._variants if workload.kind == "score" else self._variants[-1:]
        best = min((self._one(setting, engine, part) for setting, engine in variants), key=_seconds)
        engine = variants[0][1]
        if isinstance(engine, TrieModel):
            best.planning = planning_seconds(engine, workload)
        return best

    def _one(self, setting: str, engine: Engine, part: Workload) -> Measured:
        # one request warms up caches and threads; a GPU's kernels are compiled for the sizes that occur
        run_part(engine, part if self.device.type == "cuda" else part.subset(0, 1), self.device)
        if isinstance(engine, TrieModel) and self.device.type == "cpu":
            with NetworkClock(engine.trunk) as clock:
                measured = run_part(engine, part, self.device)
            measured.inside = clock.seconds
        else:
            measured = run_part(engine, part, self.device)
        measured.setting = setting
        return measured


def _seconds(measured: Measured) -> float:
    return measured.seconds


def _variants(name: str, plain: NaiveModel, settings: Settings) -> Iterator[tuple[str, Engine]]:
    """(setting, engine) of each way in which an engine is tried."""
    if name in (OWN, PYTHON):
        yield own_setting(), own_engine(plain, settings.max_memory)
    elif name == "naive":
        yield "", plain
    elif name == "continuous":
        yield "", ContinuousEngine(plain.model)
    else:
        kind = PaddedEngine if name == "padded" else SharedPrefixEngine
        for size in SIZES:
            yield f"batch {size}", kind(plain.model, size)


def own_setting() -> str:
    """With which kernels icl's engine runs in this process."""
    kernels = library.found().instructions
    return f"native kernels, {kernels}" if kernels else "no native kernels"


def own_engine(plain: NaiveModel, max_memory: int | None = None) -> Engine:
    """icl's own engine over the network, as `load_model` has it."""
    return choose_engine(
        plain.model,
        plain.tokenizer,
        name=plain.name,
        context_length=plain.context_length,
        fingerprint=plain.fingerprint,
        max_memory=max_memory,
    )


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
