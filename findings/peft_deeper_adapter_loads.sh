#!/usr/bin/env bash
# peft 0.21.2 loads an adapter of a deeper model into a shallower one and says nothing: the layers without a place are dropped.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.13.0.
# One would guess: `PeftModel.from_pretrained` refuses, or at least names, weights of the file that have no place in the model,
#   as it names those of the model that are not in the file (the adapter of a shallower model in a deeper one gives a warning),
#   and as transformers reports unexpected keys of a checkpoint.
# Seen: a LoRA of 4 layers is put into a model of 2 layers of the same width; half of its weights are dropped without an
#   error, a warning or a line in the log. FourierFT goes further: its numbers do not depend on any size, so one of a model of
#   twice the width loads as well.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 \
  2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import logging
import sys
import warnings
from pathlib import Path

import torch
from peft import FourierFTConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

WORK = Path(sys.argv[1])
SAID = []

class Listener(logging.Handler):
    def emit(self, record):
        SAID.append(record.getMessage())

for name in (None, "peft", "transformers"):
    logging.getLogger(name).addHandler(Listener())

def base(layers, width=32):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=50, hidden_size=width, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=4)).eval()

def saved(name, config, model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(model, config).save_pretrained(WORK / name)
    return len(load_file(WORK / name / "adapter_model.safetensors"))

def loaded(name, model):
    """(what was said of the weights, how many of them the model then has)."""
    SAID.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = PeftModel.from_pretrained(model, WORK / name)
    said = [m for m in [*SAID, *(str(w.message) for w in caught)] if "key" in m or "weight" in m or "size" in m]
    return said, sum("lora_" in n or "fourierft_" in n for n, _ in made.named_parameters())

lora = saved("lora", LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False), base(4))
said, taken = loaded("lora", base(2))
print(f"LoRA of 4 layers into 2: {lora} tensors in the file, {taken} taken; said: {said}")
assert (lora, taken) == (16, 8) and not said, "surplus weights are no longer dropped in silence"

said, _ = loaded("lora", base(6))
print("LoRA of 4 layers into 6; said:", [line[:90] for line in said])
assert any("missing" in line for line in said), "what is missing is named"

count = saved("fourierft", FourierFTConfig(n_frequency=40, target_modules=["q_proj"]), base(2, width=64))
said, taken = loaded("fourierft", base(2))
print(f"FourierFT of width 64 into 32: {count} tensors, {taken} taken; said: {said}")
assert (count, taken) == (2, 2) and not said, "FourierFT of another width is no longer taken in silence"
PY
"$work/venv/bin/python" "$work/look.py" "$work" 2>&1 | grep -v "it/s"
