#!/usr/bin/env bash
# transformers 5.23.0 puts a space before the text of a SentencePiece GGUF file that says it wants none.
#
# Versions: transformers 5.23.0, torch 2.13.0, gguf 0.19.0.
# One would guess: `tokenizer.ggml.add_space_prefix = false` leaves "hello" as it is; transformers' table of keys has it.
# Seen: "hello" is ▁hello in either case. With the prefix wanted, " hello" loses a space (one ▁, where the
#   SentencePiece rule and llama.cpp have two), and the text after a control token gets none.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 gguf==0.19.0 \
  2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import sys
from pathlib import Path

import gguf
import numpy as np
from transformers import AutoTokenizer

work = Path(sys.argv[1])
pieces = ["▁", "h", "e", "l", "o", "▁h", "el", "lo", "▁hel", "▁hello", "hel", "hello"]
words = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *pieces, "[INST]"]
types = [2, 3, 3, *[6] * 256, *[1] * len(pieces), 3]
scores = [0.0] * 259 + [float(-i) for i in range(len(pieces))] + [0.0]
found = {}
for prefix in (True, False):
    name = f"{prefix}.gguf"
    out = gguf.GGUFWriter(work / name, "llama")
    out.add_context_length(64); out.add_embedding_length(8); out.add_block_count(1); out.add_feed_forward_length(8)
    out.add_head_count(1); out.add_head_count_kv(1); out.add_layer_norm_rms_eps(1e-5); out.add_rope_dimension_count(8)
    out.add_tokenizer_model("llama"); out.add_token_list(words); out.add_token_types(types); out.add_token_scores(scores)
    out.add_bos_token_id(1); out.add_eos_token_id(2); out.add_unk_token_id(0); out.add_add_space_prefix(prefix)
    out.add_tensor("token_embd.weight", np.zeros((len(words), 8), "f4"))
    out.write_header_to_file(); out.write_kv_data_to_file(); out.write_tensors_to_file(); out.close()
    tokenizer = AutoTokenizer.from_pretrained(work, gguf_file=name)
    for text in ("hello", " hello", "[INST]hello"):
        found[prefix, text] = "".join(tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids))
print(found)
assert found[False, "hello"] == found[True, "hello"] == "▁hello", "the finding no longer holds"
assert found[True, " hello"] == "▁hello" and found[True, "[INST]hello"] == "[INST]hello", "the finding no longer holds"
PY
"$work/venv/bin/python" "$work/look.py" "$work" 2>/dev/null
