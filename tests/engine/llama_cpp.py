"""llama.cpp as the second reader of a GGUF file, in a process of its own.

As a script: `python llama_cpp.py FILE`, with {"texts": [...], "prompts": [[ids], ...]} on standard input; it
writes the ids of each text and the log-probabilities (by id) of what follows each prompt.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "xllamacpp"


def available() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


@dataclass(frozen=True)
class Reading:
    tokens: list[list[int]]
    """Of each text, with what llama.cpp puts around it."""
    logprobs: list[dict[int, float]]


def read(file: Path, texts: Sequence[str] = (), prompts: Sequence[Sequence[int]] = ()) -> Reading:
    """What llama.cpp makes of texts and prompts."""
    asked = json.dumps({"texts": list(texts), "prompts": [list(p) for p in prompts]})
    done = subprocess.run(
        [sys.executable, __file__, str(file)], input=asked, capture_output=True, text=True, timeout=120
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("READ ")]
    assert lines, done.stderr[-3000:]
    found = json.loads(lines[0].removeprefix("READ "))
    return Reading(found["tokens"], [{int(i): p for i, p in row} for row in found["logprobs"]])


def _serve(file: str) -> None:
    import xllamacpp

    asked = json.load(sys.stdin)
    options = xllamacpp.CommonParams()
    options.model.path = file
    options.n_ctx, options.n_parallel, options.warmup, options.n_gpu_layers = 512, 1, False, 0
    options.cpuparams.n_threads = 1
    # keys and values in fp32, so that what differs is the model and not the precision
    options.cache_type_k = options.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    options.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(options)

    def tokens(text: str) -> Any:
        body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
        request = urllib.request.Request(f"{server.listening_address}/tokenize", body)
        request.add_header("Content-Type", "application/json")
        return json.load(urllib.request.urlopen(request))["tokens"]

    # an end or half a character would come without probabilities; they are those before the bias
    letter = tokens("a")[-1]

    def following(prompt: list[int]) -> list[tuple[int, float]]:
        body = {
            "prompt": prompt,
            "n_predict": 1,
            "n_probs": 1 << 20,
            "temperature": -1,
            "cache_prompt": False,
        }
        body["logit_bias"] = [[letter, 1000.0]]
        [choice] = server.handle_completions(body)["choices"]
        return [(row["id"], row["logprob"]) for row in choice["logprobs"]["content"][0]["top_logprobs"]]

    found = {
        "tokens": [tokens(text) for text in asked["texts"]],
        "logprobs": [following(prompt) for prompt in asked["prompts"]],
    }
    print("\nREAD " + json.dumps(found), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
