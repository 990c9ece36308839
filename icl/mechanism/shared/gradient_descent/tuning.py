"""Fine-tuning of a decoder's key and value projections, taken back bit for bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from icl.errors import ModelError
from icl.training import Network
from icl.tuning.shared.forward import token_logprobs
from icl.tuning.shared.sublayers import sublayers
from icl.tuning.shared.tokens import TokenRow

KNOWN = "separate k_proj and v_proj (Llama, Qwen, Mistral, Gemma, OPT ...), GPT-2, GPT-NeoX, BLOOM, Phi-3"
BY_HEADS = ("gpt_neox", "bloom")
"""Models whose `query_key_value` has rows [heads, 3, head size]."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A parameter and which of it belongs to keys and values."""

    parameter: nn.Parameter
    mask: Tensor | None = None
    """0 and 1, of a shape that is broadcast to the parameter's; None: all of it."""


def key_value_parts(network: Network) -> list[Part]:
    """Weights and offsets of the key and value projections of all blocks.

    Raises ModelError where they are not found, with the forms that are known.
    """
    found: list[Part] = []
    for block in sublayers(network, "attention", "gradient_descent"):
        parts = [part for module in block.first.modules() for part in _of(module, network)]
        if not parts:
            raise ModelError(
                f"the key and value projections of {type(network).__name__} are not found in its "
                f"{type(block.first).__name__}; known: {KNOWN}"
            )
        found += parts
    return found


def _of(module: nn.Module, network: Network) -> list[Part]:
    children = dict(module.named_children())
    if "k_proj" in children and "v_proj" in children:
        return [Part(p) for name in ("k_proj", "v_proj") for p in children[name].parameters()]
    config = network.config.get_text_config()
    kind, hidden = config.model_type, config.hidden_size
    if kind == "gpt2" and "c_attn" in children:  # its weight is [in, out]
        keys = torch.arange(3 * hidden) >= hidden
        return [Part(p, keys.to(p)) for p in children["c_attn"].parameters()]
    if kind == "phi3" and "qkv_proj" in children:
        (weight,) = children["qkv_proj"].parameters()
        head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
        return [_rows(weight, torch.arange(len(weight)) >= config.num_attention_heads * head)]
    if kind in BY_HEADS and "query_key_value" in children:
        fused = children["query_key_value"].parameters()
        return [_rows(p, _by_heads(len(p), config.num_attention_heads)) for p in fused]
    return []


def _by_heads(rows: int, heads: int) -> Tensor:
    which = torch.arange(rows) % (rows // heads) // (rows // heads // 3)
    return which > 0


def _rows(parameter: nn.Parameter, wanted: Tensor) -> Part:
    return Part(parameter, wanted.to(parameter).reshape(-1, *[1] * (parameter.ndim - 1)))


@contextlib.contextmanager
def finetuned(
    network: Network, parts: Sequence[Part], rows: Sequence[TokenRow], rate: float, epochs: int = 1
) -> Iterator[None]:
    """The network after plain gradient descent on `parts`, one example a step in the order given; before and
    after it the network is the same, bit for bit.

    The loss of a row is the mean over its learned tokens, as in the authors' code. Raises ModelError where it
    is no longer a number.
    """
    saved = [part.parameter.detach().clone() for part in parts]
    needed = [parameter.requires_grad for parameter in network.parameters()]
    try:
        network.requires_grad_(False)
        for part in parts:
            part.parameter.requires_grad_(True)
        for row in [row for _ in range(epochs) for row in rows]:
            _step(network, parts, row, rate)
        network.requires_grad_(False)
        yield
    finally:
        with torch.no_grad():
            for part, before in zip(parts, saved, strict=True):
                part.parameter.copy_(before)
        for parameter, wanted in zip(network.parameters(), needed, strict=True):
            parameter.requires_grad_(wanted)
            parameter.grad = None


@torch.enable_grad()
def _step(network: Network, parts: Sequence[Part], row: TokenRow, rate: float) -> None:
    loss = -token_logprobs(network, [row], layout="padded")[0].mean()
    if not bool(torch.isfinite(loss)):
        raise ModelError(
            f"fine-tuning of keys and values: the loss is no longer a number with learning rate {rate:g}; "
            "try a smaller one"
        )
    parameters = [part.parameter for part in parts]
    with torch.no_grad():
        for part, slope in zip(parts, torch.autograd.grad(loss, parameters), strict=True):
            part.parameter.sub_(rate * (slope if part.mask is None else slope * part.mask))
