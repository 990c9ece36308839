"""Where the engine's time goes: one workload under torch's profiler, operations put together by what they do.

    python benchmarks/where_time_goes.py DIR permutations self_consistency
    python benchmarks/where_time_goes.py DIR permutations self_consistency --dtype bfloat16

Shares of the wall time of a run under the profiler, which itself costs some per cent; `between` is what no
operation of torch accounts for: Python, dispatch, numpy, and the kernels' step of decoding, one call.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from icl.bench.networks import load_plain
from icl.bench.workloads import Workload, read_workloads
from icl.engine.rungs.ladder import choose_engine
from icl.protocols import LanguageModel

GROUPS = {
    "products": ("_linear_pointwise", "addmm", "::mm", "::linear", "icl_native::product"),
    "attention": ("flash_attention", "tree_attention", "step_attention"),
    "copies and gathers": ("copy_", "index", "::cat", "gather", "::clone", "constant_pad"),
    "allocation": ("::empty", "::resize_", "::zeros", "::full", "::fill_", "::zero_"),
    "views": (
        "::view",
        "as_strided",
        "::select",
        "::slice",
        "::transpose",
        "::reshape",
        "::permute",
        "::expand",
    ),
}
"""Parts of operations' names; what is in none is elementwise or a reduction."""


def run(model: LanguageModel, work: Workload) -> None:
    """All of a workload."""
    if work.kind == "score":
        model.score(work.scores)
    else:
        model.generate(work.generations)


def group_of(operation: str) -> str:
    """Which of GROUPS an operation belongs to."""
    for group, parts in GROUPS.items():
        if any(part in operation for part in parts):
            return group
    return "elementwise and reductions"


def shares(model: LanguageModel, work: Workload) -> dict[str, float]:
    """Share of the wall time by group, the largest first."""
    run(model, work.subset(0, 1))
    with profile(activities=[ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        run(model, work)
        seconds = time.perf_counter() - started
    spent: dict[str, float] = {}
    for event in found.key_averages():
        group = group_of(event.key)
        spent[group] = spent.get(group, 0.0) + event.self_cpu_time_total / 1e6
    spent["between"] = seconds - sum(spent.values())
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    return {"seconds": round(seconds, 2), **{name: round(part / seconds, 3) for name, part in ranked}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="the folder of workload files")
    parser.add_argument("workloads", nargs="+")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    given = parser.parse_args()
    plain = load_plain(given.model, given.dtype)
    model = choose_engine(
        plain.model, plain.tokenizer, name=plain.name,
        context_length=plain.context_length, fingerprint=plain.fingerprint,
    )  # fmt: skip
    for work in read_workloads(given.folder, tuple(given.workloads)):
        row = {"workload": work.name, "dtype": given.dtype, "threads": torch.get_num_threads()}
        print(json.dumps({**row, **shares(model, work)}), flush=True)


if __name__ == "__main__":
    main()
