"""Cases beyond the six workloads, where sharing helps little or the trie has an odd shape: icl against the
best plain way of doing it.

    python -m benchmarks.cases --json benchmarks/results/cases.json

Random ids. The ways take turns in one process over one network (icl packs its own copy of the weights); in
every round the best plain way counts. 1.00 is level, more is icl ahead; the spread is that of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.growth import ids
from icl.atomic import write_atomically
from icl.bench.candidates import Measured, own_engine, own_setting, run_part
from icl.bench.networks import load_plain
from icl.bench.peers import Engine, PaddedEngine, SharedPrefixEngine
from icl.bench.run import processor
from icl.bench.turns import take_turns
from icl.bench.workloads import Workload
from icl.engine.rungs.naive import NaiveModel
from icl.errors import ModelError
from icl.types import GenerateRequest, Generation, ScoreRequest, Scores, TokenIds

OWN = "icl"
LABELS = ((11,), (12,))
LARGE_VOCABULARY = "random-150k"
PROMPT, LONG, LEAVES, DEPTH, STEP, NEW = 300, 4000, 10_000, 100, 20, 32


class LongestOnce:
    """Prompts that are beginnings of one another: the longest is forwarded once, and the labels'
    log-probabilities are read behind every beginning."""

    def __init__(self, network: Any) -> None:
        self.network = network.eval()

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Continuations of one token. Raises ModelError where the prompts are no chain."""
        longest = max((r.prompt for r in requests), key=len)
        for request in requests:
            begins = request.prompt == longest[: len(request.prompt)]
            if not begins or max(map(len, request.continuations)) > 1:
                raise ModelError("not a chain of beginnings with labels of one token")
        tokens = torch.tensor([[int(i) for i in longest]], device=self.network.device)
        hidden = self.network.model(input_ids=tokens, use_cache=False).last_hidden_state[0]
        places = torch.tensor([len(r.prompt) - 1 for r in requests], device=hidden.device)
        logprobs = torch.log_softmax(self.network.lm_head(hidden[places]).float(), dim=-1)
        return [
            Scores(tuple((float(logprobs[row, int(c[0])]),) for c in request.continuations))
            for row, request in enumerate(requests)
        ]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Generation]:
        """It does not."""
        raise ModelError("it only scores")


@dataclass(slots=True)
class Way:
    """One way of running a case."""

    name: str
    engine: Engine
    device: torch.device

    def measure(self, workload: Workload) -> Measured:
        """One run, after one request as a warm-up."""
        run_part(self.engine, workload.subset(0, 1), self.device)
        return run_part(self.engine, workload, self.device)


@dataclass(frozen=True, slots=True)
class Case:
    """A workload and the plain ways that a good researcher would try for it."""

    name: str
    make: Callable[[int], Workload]
    """`divide` -> the case, so many times smaller."""
    plain: tuple[str, ...]
    model: str | None = None
    """None: the one that the command names."""


def apart(count: int) -> Callable[[int], Workload]:
    """So many prompts that share nothing, two labels each."""
    return lambda divide: Workload(
        "apart", "score",
        scores=tuple(ScoreRequest(ids(f"apart-{i}", PROMPT // divide), LABELS) for i in range(count)),
    )  # fmt: skip


def written(count: int) -> Callable[[int], Workload]:
    """So many prompts that share nothing, each gone on from greedily."""

    def make(divide: int) -> Workload:
        prompts = [ids(f"apart-{i}", PROMPT // divide) for i in range(count)]
        requests = tuple(GenerateRequest(p, 1, NEW, 0.0, ignore_eos=True) for p in prompts)
        return Workload("written", "gen", generations=requests)

    return make


def long(divide: int) -> Workload:
    """One long prompt with two labels."""
    return Workload("long", "score", scores=(ScoreRequest(ids("long", LONG // divide), LABELS),))


def leaves(divide: int) -> Workload:
    """One prompt with thousands of continuations of two tokens."""
    count = LEAVES // divide
    drawn = ids("leaves", 2 * count)
    continuations = tuple(zip(drawn[::2], drawn[1::2], strict=True))
    return Workload("leaves", "score", scores=(ScoreRequest(ids("stem", PROMPT // divide), continuations),))


def chain(divide: int) -> Workload:
    """Prompts each of which goes on from the one before."""
    whole = ids("chain", DEPTH * STEP // divide)
    step = max(STEP // divide, 1)
    ends = range(step, len(whole) + 1, step)
    return Workload("chain", "score", scores=tuple(ScoreRequest(whole[:end], LABELS) for end in ends))


def classified(divide: int) -> Workload:
    """Short queries below a short instruction, two labels each."""
    stem = ids("instruction", 40)
    prompts: list[TokenIds] = [(*stem, *ids(f"query-{i}", 20)) for i in range(64 // divide)]
    return Workload("classified", "score", scores=tuple(ScoreRequest(p, LABELS) for p in prompts))


def sampled(divide: int) -> Workload:
    """One prompt, many short chains."""
    request = GenerateRequest(ids("instruction", 60), 32 // divide, 16, 0.7, ignore_eos=True)
    return Workload("sampled", "gen", generations=(request,))


BATCHED = ("naive", "padded 8", "padded 32")
ALONE = tuple((n, f"{n} prompt{'s' if n > 1 else ''} of {PROMPT} tokens, nothing shared") for n in (1, 2, 8))
CASES = (
    *(Case(f"{said}, scored", apart(n), BATCHED) for n, said in ALONE),
    *(Case(f"{said}, {NEW} written", written(n), BATCHED) for n, said in ALONE),
    Case(f"1 prompt of {LONG:,} tokens", long, ("naive",)),
    Case(f"{LEAVES:,} leaves of two tokens", leaves, ("shared 32", "shared 256")),
    Case(f"a chain of {DEPTH} prefixes, {STEP} tokens each", chain, ("longest once",)),
    Case("vocabulary of 150,000: 64 queries", classified, ("padded 32", "shared 32"), LARGE_VOCABULARY),
    Case("vocabulary of 150,000: 32 samples", sampled, ("padded 32", "shared 32"), LARGE_VOCABULARY),
)


def engine(name: str, plain: NaiveModel) -> Engine:
    """By its name: icl, naive, "longest once", or a kind and its batch size."""
    if name == OWN:
        return own_engine(plain)
    if name == "naive":
        return plain
    if name == "longest once":
        return LongestOnce(plain.model)
    kind, _, size = name.partition(" ")
    return {"padded": PaddedEngine, "shared": SharedPrefixEngine}[kind](plain.model, int(size))


def compared(case: Case, plain: NaiveModel, rounds: int, divide: int) -> dict[str, Any]:
    """Seconds of every way in every round; the best plain way of each round over icl."""
    workload = case.make(divide)
    device = torch.device(plain.model.device)
    ways = [Way(name, engine(name, plain), device) for name in (OWN, *case.plain)]
    found = take_turns(ways, workload, rounds, lambda name, error: print(f"{name}: {error}", flush=True))
    seconds = {name: [m.seconds for m in runs] for name, runs in found.items()}
    own = seconds.pop(OWN)
    ratios = [min(of[number] for of in seconds.values()) / own[number] for number in range(rounds)]
    best = min(seconds, key=lambda name: np.median(seconds[name]))
    return {
        "case": case.name, "model": plain.name, "requests": len(workload.scores or workload.generations),
        "tokens_flat": workload.tokens_flat, "seconds": {OWN: own, **seconds}, "best": best,
        "ratio": float(np.median(ratios)), "least": min(ratios), "most": max(ratios),
    }  # fmt: skip


HEADER = "| case | icl, s | best plain way, s | plain / icl, median (least to most) |\n|---|---|---|---|"


def line(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    own, best = (np.median(row["seconds"][name]) for name in (OWN, row["best"]))
    level = f"{row['ratio']:.2f} ({row['least']:.2f} to {row['most']:.2f})"
    return f"| {row['case']} | {own:.2f} | {best:.2f}, {row['best']} | {level} |"


def main() -> None:
    """Runs the cases and prints the table; each is kept as soon as it is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--divide", type=int, default=1, help="cases so many times smaller, to try the command"
    )
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    about = {
        "device": processor(), "threads": torch.get_num_threads(), "torch": torch.__version__,
        "dtype": given.dtype, "rounds": given.rounds, "divide": given.divide, "icl": own_setting(),
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    loaded: dict[str, NaiveModel] = {}
    print(HEADER, flush=True)
    for case in CASES:
        if given.only not in case.name:
            continue
        name = case.model or given.model
        if name not in loaded:
            loaded.clear()
            gc.collect()
            loaded[name] = load_plain(name, given.dtype)
        rows.append(compared(case, loaded[name], given.rounds, given.divide))
        print(line(rows[-1]), flush=True)
        if given.json is not None:
            write_atomically(given.json, json.dumps({"machine": about, "cases": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
