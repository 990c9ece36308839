"""A Llama-shaped decoder for CPU: packed products, elementwise steps fused into them.

Covers the families whose block is norm - attention - norm - gated SiLU MLP with rotary positions
(Llama, SmolLM2, Mistral, Qwen2, Qwen3). It reads the weights of a transformers model and is only
used after the load-time probe has seen it agree with that model's own plain forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.trunks import packed
from icl.engine.trunks.hooked import head_product
from icl.engine.trunks.packed import PackedLinear

NAME = "fused trie engine"
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})


@dataclass(frozen=True, slots=True)
class Block:
    """One decoder layer."""

    norm_in: Tensor
    norm_mid: Tensor
    eps: float
    qkv: PackedLinear
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: PackedLinear
    gate: PackedLinear
    up: PackedLinear
    down: PackedLinear
    call: LayerCall


def supports(model: Any) -> bool:
    """Is this a family, activation, device and precision that the fused decoder covers, of plain layers?"""
    return against(model) == ""


def against(model: Any) -> str:
    """Why packed weights cannot stand for the model's own layers; "" if they may."""
    config = model.config.get_text_config()
    weights = next(model.parameters())
    if not (
        config.model_type in FAMILIES
        and getattr(config, "hidden_act", None) == "silu"
        and weights.device.type == "cpu"
        and packed.available(weights.dtype)
    ):
        return "its family, device or precision is not one that the fused decoder is written for"
    for name, module in model.get_decoder().named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return f"{name or 'its decoder'} has a hook, which packed weights would leave out"
        if name.endswith("_proj") and type(module) is not nn.Linear:
            return f"{name} is a {_class(module)}: packed weights would leave out what it adds"
    if type(model.get_output_embeddings()) is not nn.Linear:
        return f"its head is a {_class(model.get_output_embeddings())}, no plain linear layer"
    return ""


def _class(module: Any) -> str:
    return f"{type(module).__module__}.{type(module).__name__}"


class FusedTrunk:
    """Same surface as HookedTrunk: forward, logits, device."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config.get_text_config()
        decoder = model.get_decoder()
        self.device = torch.device("cpu")
        self.embeddings: Tensor = decoder.embed_tokens.weight.detach()
        self.rotary = decoder.rotary_emb
        self.final_norm: Tensor = decoder.norm.weight.detach()
        self.final_eps = float(decoder.norm.variance_epsilon)
        self.heads = int(self.config.num_attention_heads)
        self.kv_heads = int(self.config.num_key_value_heads)
        self.blocks = [self._block(i, layer) for i, layer in enumerate(decoder.layers)]
        self.plain_head: nn.Module = model.get_output_embeddings()
        self.head = PackedLinear(self.plain_head.weight, self.plain_head.bias)

    def _block(self, index: int, layer: Any) -> Block:
        attention, mlp = layer.self_attn, layer.mlp
        parts = [attention.q_proj, attention.k_proj, attention.v_proj]
        bias = None if parts[0].bias is None else torch.cat([p.bias.detach() for p in parts])
        q_norm = getattr(attention, "q_norm", None)
        # Mistral's attention reads its window from the configuration, Qwen's has its own, layer by layer
        everywhere = getattr(self.config, "sliding_window", None)
        window = getattr(attention, "sliding_window", everywhere)
        return Block(
            norm_in=layer.input_layernorm.weight.detach(),
            norm_mid=layer.post_attention_layernorm.weight.detach(),
            eps=float(layer.input_layernorm.variance_epsilon),
            qkv=PackedLinear(torch.cat([p.weight.detach() for p in parts]), bias),
            q_norm=None if q_norm is None else q_norm.weight.detach(),
            k_norm=None if q_norm is None else attention.k_norm.weight.detach(),
            out=PackedLinear(attention.o_proj.weight, attention.o_proj.bias),
            gate=PackedLinear(mlp.gate_proj.weight, mlp.gate_proj.bias),
            up=PackedLinear(mlp.up_proj.weight, mlp.up_proj.bias),
            down=PackedLinear(mlp.down_proj.weight, mlp.down_proj.bias),
            call=LayerCall(index, float(attention.scaling), window),
        )

    @property
    def engine(self) -> str:
        """See Trunk."""
        return f"{NAME}, {self.head.dtype} multiplied in fp32" if self.head.wide else NAME

    @torch.inference_mode()
    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden states [T, d] after the final norm of rows tokens[T] at positions[T]."""
        hidden = embedding(tokens, self.embeddings)
        cos, sin = self.rotary(hidden[None], positions[None])
        half = cos.shape[-1] // 2  # both halves of cos and sin are equal
        cos, sin = cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()
        for block in self.blocks:
            hidden = self._attention(block, hidden, cos, sin, attend)
            x = rms_norm(hidden, block.norm_mid, block.eps)
            hidden = block.down.plus(block.up.times(x, block.gate.silu(x)), hidden)
        return rms_norm(hidden, self.final_norm, self.final_eps)

    def _attention(self, block: Block, hidden: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        rows = len(hidden)
        x = rms_norm(hidden, block.norm_in, block.eps)
        projected = block.qkv(x).view(rows, self.heads + 2 * self.kv_heads, -1)  # [T, H + 2 Hkv, D]
        rotated = projected[:, : self.heads + self.kv_heads]
        if block.q_norm is not None and block.k_norm is not None:
            q = rms_norm(rotated[:, : self.heads], block.q_norm, block.eps)
            k = rms_norm(rotated[:, self.heads :], block.k_norm, block.eps)
            rotated = torch.cat([q, k], dim=1)
        qk = rotate(rotated, cos, sin)
        v = projected[:, self.heads + self.kv_heads :].transpose(0, 1)
        out = attend(qk[: self.heads], qk[self.heads :], v, block.call)  # [H, T, D]
        return block.out.plus(out.transpose(0, 1).reshape(rows, -1), hidden)

    @torch.inference_mode()
    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """[n, V] fp32 logits of hidden states [n, d]; [n, m] of the tokens [m] only."""
        if tokens is not None:
            return head_product(self.plain_head, hidden, tokens).float()
        return self.head(hidden.contiguous()).float()


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x [..., d] over its root mean square, times weight [d]; inside in fp32.

    On CPU torch's own is a chain of elementwise kernels, and took twice as long where it was measured.
    """
    wide = x.float()
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    result: Tensor = x * scale if wide is x else wide.mul_(scale).to(x.dtype)
    return result.mul_(weight)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: x [T, h, D], cos and sin [T, 1, D/2] -> [h, T, D] contiguous."""
    rows, heads, size = x.shape
    half = size // 2
    first, second = x[..., :half], x[..., half:]
    out = x.new_empty((heads, rows, size))
    low, high = out.transpose(0, 1)[..., :half], out.transpose(0, 1)[..., half:]
    torch.mul(first, cos, out=low)
    low.addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=high)
    high.addcmul_(first, sin)
    return out
