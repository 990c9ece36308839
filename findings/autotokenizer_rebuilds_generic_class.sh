#!/usr/bin/env bash
# AutoTokenizer of transformers 5.23.0 does not read a folder's tokenizer.json as it stands, although the folder names
# the generic class PreTrainedTokenizerFast: it builds the class of the model type anew.
#
# Versions: transformers 5.23.0, tokenizers 0.23.3, torch is not needed.
# One would guess: save_pretrained of a PreTrainedTokenizerFast, a config.json of model type qwen2 beside it, and
#   AutoTokenizer.from_pretrained give back the same tokenizer.
# Seen: a Qwen2Tokenizer with Qwen2's own splitting; the saved pre-tokenizer (single digits, GPT-2's words) is gone, so
#   texts become other tokens. PreTrainedTokenizerFast.from_pretrained on the same folder is right.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3 \
  2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import json, sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config

folder = Path(sys.argv[1]) / "model"
words = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĠĠ"]
made = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, [("Ġ", "Ġ")]))
made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
made.decoder = decoders.ByteLevel()
saved = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>")
saved.save_pretrained(folder)
Qwen2Config(vocab_size=len(words)).save_pretrained(folder)
config = folder / "tokenizer_config.json"
config.write_text(json.dumps({**json.loads(config.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}))
auto, generic = AutoTokenizer.from_pretrained(folder), PreTrainedTokenizerFast.from_pretrained(folder)
for name, tokenizer in (("saved", saved), ("generic", generic), ("auto", auto)):
    print(name, type(tokenizer).__name__, tokenizer.convert_ids_to_tokens(tokenizer("x  7").input_ids))
assert saved("x  7").input_ids == generic("x  7").input_ids, "the finding no longer holds"
assert type(auto).__name__ == "Qwen2Tokenizer" and auto("x  7").input_ids != saved("x  7").input_ids, "the finding no longer holds"
PY
"$work/venv/bin/python" "$work/look.py" "$work" 2>/dev/null
