"""The workload files with OpenVINO GenAI; started by run.py, in its own environment."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
import openvino_genai as genai
from files import keep, timed, workloads

HINTS = {"float32": "f32", "bfloat16": "bf16"}


def settings(new: int, temperature: float = 0.0) -> Any:
    """Of one request; the end of sequence is ignored."""
    config = genai.GenerationConfig()
    config.max_new_tokens = new
    config.ignore_eos = True
    config.do_sample = temperature > 0
    if temperature > 0:
        config.temperature = temperature
        config.top_p = 1.0
        config.top_k = sys.maxsize
    return config


def requests(data: dict[str, Any]) -> tuple[list[list[int]], list[Any], str]:
    """Prompts, their settings, and in words what is measured: "generate", or a forward without the answer's
    log-probabilities."""
    if data["kind"] == "gen":
        prompts = [p for p in data["prompts"] for _ in range(data["n"])]
        configs = [settings(data["new"], data["temp"]) for _ in prompts]
        for seed, config in enumerate(configs):
            config.rng_seed = seed
        return prompts, configs, "generate"
    items = data["items"]
    if all(len(c) == 1 for i in items for c in i["conts"]):
        prompts, said = [i["ctx"] for i in items], "one token; forward only"
    else:
        prompts = [i["ctx"] + c[:-1] for i in items for c in i["conts"]]
        said = "forward only: no log-probability of the answer"
    return prompts, [settings(1) for _ in prompts], said


def common(prompts: Sequence[list[int]]) -> list[int]:
    """The prefix of all."""
    low, high = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:same]


def main() -> None:
    model, folder, dtype, out = sys.argv[1:5]
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = 512
    scheduler.cache_size = 3
    versions = {"openvino": ov.__version__, "openvino-genai": genai.__version__}
    for path, data in workloads(folder):
        # a fresh pipeline a workload: nothing is left in its prefix cache
        hint = {"INFERENCE_PRECISION_HINT": HINTS[dtype]}
        pipe = genai.ContinuousBatchingPipeline(model, scheduler, "CPU", hint)
        prompts, configs, said = requests(data)
        tensors = [ov.Tensor(np.array([p], dtype=np.int64)) for p in prompts]
        shared = common(prompts)
        first = ov.Tensor(np.array([shared], dtype=np.int64))
        pipe.generate([ov.Tensor(np.array([[1, 2, 3]], dtype=np.int64))], [settings(2)])

        def run(
            pipe: Any = pipe, tensors: Any = tensors, configs: Any = configs,
            first: Any = first, primed: bool = bool(shared),
        ) -> None:  # fmt: skip
            if primed:
                pipe.generate([first], [settings(1)])
            pipe.generate(tensors, configs)

        about = {"engine": "openvino-genai", "dtype": dtype, "setting": said, "scored": said == "generate"}
        keep(out, path, timed(run), data, **about, versions=versions)


if __name__ == "__main__":
    main()
