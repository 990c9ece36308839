#!/usr/bin/env bash
# A GGUF control token with a character outside the byte alphabet is no token in transformers 5.23.0.
#
# Versions: transformers 5.23.0, torch 2.13.0, gguf 0.19.0.
# One would guess: tokens that the file marks as control (type 3), among them its own BOS and EOS, are matched
#   whole and have the ids that the file gives them. DeepSeek's are written with full-width bars: <｜User｜>.
# Seen: such marks are cut into their bytes, and BOS and EOS get new ids past the vocabulary of the file, where the
#   embedding has no row.
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
from transformers.convert_slow_tokenizer import bytes_to_unicode

work = Path(sys.argv[1])
marks = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<|ascii|>"]
words = [*marks, *bytes_to_unicode().values(), "ab"]
out = gguf.GGUFWriter(work / "m.gguf", "qwen2")
out.add_context_length(64); out.add_embedding_length(8); out.add_block_count(1); out.add_feed_forward_length(8)
out.add_head_count(1); out.add_head_count_kv(1); out.add_layer_norm_rms_eps(1e-5)
out.add_tokenizer_model("gpt2"); out.add_tokenizer_pre("deepseek-r1-qwen"); out.add_token_list(words)
out.add_token_types([3] * len(marks) + [1] * 257); out.add_token_merges(["a b"])
out.add_bos_token_id(0); out.add_eos_token_id(1)
out.add_tensor("token_embd.weight", np.zeros((len(words), 8), "f4"))
out.write_header_to_file(); out.write_kv_data_to_file(); out.write_tensors_to_file(); out.close()
tokenizer = AutoTokenizer.from_pretrained(work, gguf_file="m.gguf")
print("tokens in the file:", len(words), "BOS and EOS in the file: 0, 1")
print("in transformers:", len(tokenizer), "BOS and EOS:", tokenizer.bos_token_id, tokenizer.eos_token_id)
pieces = {mark: tokenizer(mark, add_special_tokens=False).input_ids for mark in marks[2:]}
print(pieces)
assert tokenizer.bos_token_id >= len(words) and tokenizer.eos_token_id >= len(words), "the finding no longer holds"
assert len(pieces["<｜User｜>"]) > 1 and pieces["<|ascii|>"] == [3], "the finding no longer holds"
PY
"$work/venv/bin/python" "$work/look.py" "$work" 2>/dev/null
