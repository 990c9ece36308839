"""A tiny network on the disk with a tokenizer of bytes, and a tuner that trains it in a moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from icl.protocols import ALL_KINDS
from icl.training import TrainingCost, TrainingStep, Tuned


def write_model(folder: Path, seed: int = 0) -> Path:
    """A Llama of one layer in `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=258, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=600, bos_token_id=256, eos_token_id=257,
    )  # fmt: skip
    torch.manual_seed(seed)
    network = LlamaForCausalLM(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return folder


@dataclass(kw_only=True)
class Norm:
    """Trains the scales of the last norm on the pool's rows, one a step, and keeps each step on the disk.

    stop_at: raises at that step, as a process would be killed there.
    """

    steps: int = 3
    batch_size: int = 1
    learning_rate: float = 0.5
    stop_at: ClassVar[int] = -1
    kinds = ALL_KINDS
    needs: frozenset[str] = frozenset()

    def fit(self, pool: Sequence[Any], resources: Any) -> Tuned:
        """Plain gradient descent on the answer's first token."""
        import torch

        network, scales = resources.network, resources.network.model.norm.weight
        network.requires_grad_(False)
        scales.requires_grad_(True)
        at, tokens = 0, 0
        kept = resources.folder / "step.json"
        if kept.exists():
            at, held, tokens = json.loads(kept.read_text())
            scales.data.copy_(torch.tensor(held))
        order = resources.generator("order").permutation(len(pool))
        while at < self.steps:
            if at == self.stop_at:
                raise KeyboardInterrupt
            example = pool[int(order[at % len(order)])]
            prompt = resources.renderer.prompt(example.query, ()).text
            ids = resources.tokenizer.encode(prompt)
            answer = resources.tokenizer.encode(prompt + resources.renderer.answer(example.target))[len(ids)]
            loss = -torch.log_softmax(network(torch.tensor([ids])).logits[0, -1], -1)[answer]
            (gradient,) = torch.autograd.grad(loss, [scales])
            scales.data -= self.learning_rate * gradient
            at, tokens = at + 1, tokens + len(ids)
            kept.write_text(json.dumps([at, scales.tolist(), tokens]))
            if resources.report is not None:
                resources.report(TrainingStep(at, self.steps, float(loss.detach()), len(ids)))
        scales.requires_grad_(False)
        cost = TrainingCost(scales.numel(), at, tokens, tokens, 0, 0.5, 1 << 20)
        state, notes = {"norm": scales.detach().clone()}, {"rate": self.learning_rate, "rows": len(pool)}
        return Tuned(network, state=state, config=self._config, cost=cost, notes=notes)

    def restore(self, state: Any, network: Any) -> Tuned:
        """The scales put back."""
        network.requires_grad_(False)
        network.model.norm.weight.data.copy_(state["norm"])
        return Tuned(network, state=dict(state), config=self._config)

    @property
    def _config(self) -> dict[str, Any]:
        return {"tuner": "norm", "parameters": {"steps": self.steps, "learning_rate": self.learning_rate}}
