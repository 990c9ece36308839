#!/usr/bin/env bash
# transformers 5.23.0 reads a GGUF file's rotary base and drops its rotary scaling without a word.
#
# Versions: transformers 5.23.0, torch 2.13.0, gguf 0.19.0, accelerate 1.15.0, xllamacpp 2026.10.11549 (llama.cpp).
# One would guess: a Llama whose file has `rope_freqs.weight` (how Llama 3.1's scaling is stored), or says
#   llama.rope.scaling.type = linear or yarn with a factor, is read with that scaling, or refused.
# Seen: three files with the same weights (plain, linear, rope_freqs) give one and the same distribution in
#   transformers; llama.cpp gives three, whole nats apart. The configuration says rope_type "default".
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 gguf==0.19.0 \
  accelerate==1.15.0 xllamacpp==2026.10.11549 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import subprocess, sys
from pathlib import Path

import gguf
import numpy as np

WORK, CONTROL, NORMAL = Path(sys.argv[1]), 3, 1
WORDS = ["<s>", "</s>", *(chr(c) for c in range(33, 127)), "ab"]
PROMPT = [2 + (7 * i) % 90 for i in range(120)]

def write(name, settings=(), tensors=()):
    random = np.random.default_rng(0)
    def tensor(*shape, around=0.0):
        return (around + random.standard_normal(shape) * (0.1 if around else 2.0) / np.sqrt(shape[-1])).astype("f4")
    out = gguf.GGUFWriter(WORK / name, "llama")
    out.add_context_length(256); out.add_embedding_length(64); out.add_block_count(1)
    out.add_feed_forward_length(96); out.add_head_count(4); out.add_head_count_kv(4)
    out.add_layer_norm_rms_eps(1e-5); out.add_rope_freq_base(10000.0); out.add_vocab_size(len(WORDS))
    out.add_tokenizer_model("gpt2"); out.add_tokenizer_pre("gpt-2"); out.add_token_list(WORDS)
    out.add_token_types([CONTROL, CONTROL] + [NORMAL] * (len(WORDS) - 2)); out.add_token_merges(["a b"])
    out.add_bos_token_id(0); out.add_eos_token_id(1)
    for method, value in settings:
        getattr(out, method)(value)
    out.add_tensor("token_embd.weight", tensor(len(WORDS), 64)); out.add_tensor("output_norm.weight", tensor(64, around=1.0))
    for part, shape in {"attn_q": (64, 64), "attn_k": (64, 64), "attn_v": (64, 64), "attn_output": (64, 64),
                        "ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96)}.items():
        out.add_tensor(f"blk.0.{part}.weight", tensor(*shape))
    for part in ("attn_norm", "ffn_norm"):
        out.add_tensor(f"blk.0.{part}.weight", tensor(64, around=1.0))
    for tensor_name, array in tensors:
        out.add_tensor(tensor_name, array)
    out.write_header_to_file(); out.write_kv_data_to_file(); out.write_tensors_to_file(); out.close()
    return name

FILES = [
    write("plain.gguf"),
    write("linear.gguf", [("add_rope_scaling_type", gguf.RopeScalingType.LINEAR), ("add_rope_scaling_factor", 4.0)]),
    write("freqs.gguf", tensors=[("rope_freqs.weight", np.linspace(1, 8, 8).astype("f4"))]),
]
LLAMA_CPP = """
import json, sys, xllamacpp
options = xllamacpp.CommonParams()
options.model.path, options.n_ctx, options.n_parallel, options.warmup = sys.argv[1], 256, 1, False
server = xllamacpp.Server(options)
[choice] = server.handle_completions({"prompt": json.loads(sys.argv[2]), "n_predict": 1, "n_probs": 1000, "temperature": -1,
                                      "logit_bias": [[40, 1000.0]]})["choices"]
print("\\nFOUND", json.dumps({row["id"]: row["logprob"] for row in choice["logprobs"]["content"][0]["top_logprobs"]}))
"""
def by_llama_cpp(name):
    done = subprocess.run([sys.executable, "-c", LLAMA_CPP, str(WORK / name), str(PROMPT)], capture_output=True, text=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    import json
    return np.array([p for _, p in sorted((int(i), p) for i, p in json.loads(line.removeprefix("FOUND ")).items())])

def by_transformers(name):
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(WORK, gguf_file=name, dtype=torch.float32)
    print(name, model.config.rope_parameters)
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([PROMPT])).logits[0, -1], -1).numpy()

cpp, hf = [by_llama_cpp(f) for f in FILES], [by_transformers(f) for f in FILES]
apart = lambda rows: [float(np.abs(row - rows[0]).max()) for row in rows[1:]]
print("plain against linear, freqs: transformers", apart(hf), "llama.cpp", apart(cpp))
print("transformers against llama.cpp on the plain file:", float(np.abs(hf[0] - cpp[0]).max()))
assert np.abs(hf[0] - cpp[0]).max() < 0.02, "the plain file is read alike"
assert max(apart(hf)) == 0.0 and min(apart(cpp)) > 0.1, "the finding no longer holds"
PY
"$work/venv/bin/python" "$work/look.py" "$work" 2>&1 | grep -v "it/s"
