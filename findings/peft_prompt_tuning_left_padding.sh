#!/usr/bin/env bash
# A prompt-tuned model of peft 0.21.2 writes other texts in a left-padded batch than alone.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.13.0.
# One would guess: with `attention_mask` given, left padding (what transformers asks for in `generate` of decoders) changes
#   no text, as it changes none of the base model; and `position_ids` that skip the padding would set right what it may change.
# Seen: peft puts the virtual tokens before the padding, at positions 0, 1, ..., so the text stands as many positions farther
#   from them as there is padding: logits whole units apart, other greedy texts. `position_ids` are ignored (with a warning).
#   The base model alone, prefix tuning and LoRA on it give the same texts padded and alone.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 \
  2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import warnings

import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
TEXTS = [[5 + (3 * i + 7 * j) % 45 for j in range(2 + i)] for i in range(8)]
WIDTH = max(map(len, TEXTS))
BATCH = torch.tensor([[0] * (WIDTH - len(text)) + text for text in TEXTS])

def base():
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=None))
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    return model.eval()

def written(model, ids):
    with torch.no_grad():
        done = model.generate(input_ids=ids, attention_mask=(ids != 0).long(), max_new_tokens=8, do_sample=False,
                              output_logits=True, return_dict_in_generate=True)
    return done.sequences[:, ids.shape[1]:].tolist(), done.logits[0]

def apart(model):
    """(largest difference of the first logits, how many texts differ) between one batch and one by one."""
    texts, first = written(model, BATCH)
    alone = [written(model, torch.tensor([text])) for text in TEXTS]
    off = max(float((first[at] - logits[0]).abs().max()) for at, (_, logits) in enumerate(alone))
    return off, sum(texts[at] != said[0] for at, (said, _) in enumerate(alone))

torch.manual_seed(2)
MODELS = {
    "base": base(),
    "LoRA": get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False)),
    "prefix tuning": get_peft_model(base(), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)),
    "prompt tuning": get_peft_model(base(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)),
}
found = {name: apart(model.eval()) for name, model in MODELS.items()}
for name, (off, differ) in found.items():
    print(f"{name}: first logits up to {off:.1e} apart, {differ} of {len(TEXTS)} greedy texts differ")

model, mask = MODELS["prompt tuning"], (BATCH != 0).long()
places = (mask.cumsum(1) - 1).clamp(min=0)
with torch.no_grad():
    told = model(input_ids=BATCH, attention_mask=mask, position_ids=places).logits
    untold = model(input_ids=BATCH, attention_mask=mask).logits
print("position_ids change its logits by", float((told - untold).abs().max()))

assert all(found[name][0] < 1e-3 and not found[name][1] for name in ("base", "LoRA", "prefix tuning")), "others changed"
assert found["prompt tuning"][0] > 0.1 and found["prompt tuning"][1] > 0, "the finding no longer holds"
assert torch.equal(told, untold), "position_ids are no longer ignored"
PY
"$work/venv/bin/python" "$work/look.py" 2>&1 | grep -v "it/s"
