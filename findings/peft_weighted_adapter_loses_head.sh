#!/usr/bin/env bash
# `add_weighted_adapter` of peft 0.21.2 leaves out what an adapter trained beside its LoRA: the head and the new tokens.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.13.0, accelerate 1.15.0.
# One would guess: combining one adapter with weight 1 gives that adapter; what cannot be combined is refused or named, as two
#   adapters with `modules_to_save` are refused.
# Seen: with one of them among the adapters, the new one has fresh copies of the base model's weights in their place, without an
#   error or a warning. For sequence classification (where peft itself adds the head to `modules_to_save`) that is the head as
#   it was initialised; rows of `trainable_token_indices` are the base model's as well. The LoRA part is exact.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 \
  2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import logging
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

SAID = []


class Listener(logging.Handler):
    def emit(self, record):
        SAID.append(record.getMessage())


logging.getLogger("peft").addHandler(Listener())
IDS = torch.randint(1, 50, (64, 12), generator=torch.Generator().manual_seed(1))


def adapted(kind, **options):
    """A model with one adapter "task", all of whose trained weights were moved."""
    torch.manual_seed(0)
    base = kind(LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_labels=3,
        pad_token_id=0))
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options), "task")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn(weight.shape)
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def combined(model):
    """(logits of "task", those of the adapter made of it with weight 1, what was said)."""
    before = logits(model)
    SAID.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.add_weighted_adapter(["task"], [1.0], "again", combination_type="linear")
        model.set_adapter("again")
    return before, logits(model), [*SAID, *(str(one.message) for one in caught)]


before, after, _ = combined(adapted(LlamaForCausalLM))
print("LoRA alone: logits apart by", float((before - after).abs().max()))
assert torch.allclose(before, after, atol=1e-4), "LoRA alone is combined exactly"

model = adapted(LlamaForSequenceClassification, task_type="SEQ_CLS")
before, after, said = combined(model)
same = float((before.argmax(-1) == after.argmax(-1)).float().mean())
head = model.base_model.model.score
print(f"classifier: {same:.0%} of the predictions are those of the adapter; said: {said}")
assert torch.equal(head.modules_to_save["again"].weight, head.original_module.weight), "the head is no longer the base model's"
assert not torch.equal(head.modules_to_save["task"].weight, head.original_module.weight) and same < 0.9
assert not said, "it is said now"

model = adapted(LlamaForCausalLM, trainable_token_indices=[5, 6, 7])
before, after, said = combined(model)
model.set_adapter("task")
rows = model.base_model.model.model.embed_tokens.token_adapter
plain = rows.get_base_layer().weight[5:8]
off = {name: float((rows.trainable_tokens_delta[name] - plain).detach().abs().max()) for name in ("task", "again")}
print(f"new tokens: rows apart from the base model's by {off}; logits by {float((before - after).abs().max()):.2f}; said: {said}")
assert off["again"] == 0.0 and off["task"] > 0.1 and (before - after).abs().max() > 0.1, "rows are no longer the base model's"
assert not said, "it is said now"
PY
"$work/venv/bin/python" "$work/look.py" 2>&1 | grep -v "it/s"
