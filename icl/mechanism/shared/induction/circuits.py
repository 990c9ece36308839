"""What a head writes of what it looks at: its value and output weights as one matrix (Elhage et al. 2021).

The weights are found by what they compute, so that fused, transposed and grouped projections are all alike: a
row of a linear layer belongs to value d of a head if a forward gives the two the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from icl.engine.attention.contract import LayerCall
from icl.mechanism.shared.heads import HeadReader
from icl.tuning.shared.targets import linear

PROBED = 12
"""Tokens of the forward by which weights are found."""


@dataclass
class Circuits:
    """Of every layer with the gains of the norms before values, after the output and before the unembedding
    folded in; mean-free where the norm takes the mean away. Biases count for nothing."""

    values: list[Tensor | None]
    """[Hkv, D, d] of each layer; None where no linear layer gives the values."""
    outputs: list[Tensor]
    """[H, d, D] of each layer, into the residual stream."""
    embedding: Tensor
    """[V, d]"""
    unembedding: Tensor | None
    """[V, d] with the final norm's gain folded in; None where it does not read the residual stream."""
    _cache: dict[str, Tensor] = field(default_factory=dict)

    @property
    def unembedded(self) -> bool:
        """Whether outputs can be followed to the vocabulary."""
        return self.unembedding is not None

    @property
    def words(self) -> str:
        """Which circuit `positivity` is of."""
        if self._through is None:
            return "values and output alone (the embeddings do not have the residual stream's size)"
        return "embedding, values, output and unembedding"

    @property
    def _through(self) -> Tensor | None:
        """[d, d] E^T U: from the unembedding back to the embedding; None where it cannot be."""
        if self.unembedding is None or self.embedding.shape[1] != self.outputs[0].shape[1]:
            return None
        if "through" not in self._cache:
            self._cache["through"] = self.embedding.float().T @ self.unembedding
        return self._cache["through"]

    def positivity(self, layer: int) -> list[float | None]:
        """Of each head sum(re l) / sum |l| over the eigenvalues l of its circuit, 1 where all it does is
        copying; None where the values were not found.

        The eigenvalues of U W_O W_V E^T [V, V] other than zero are those of W_V E^T U W_O [D, D].
        """
        values, outputs = self.values[layer], self.outputs[layer]
        if values is None:
            return [None] * len(outputs)
        through = self._through
        right = outputs if through is None else through @ outputs
        groups = len(outputs) // len(values)
        small = values.repeat_interleave(groups, dim=0).double() @ right.double()
        eigenvalues = torch.linalg.eigvals(small)
        total = eigenvalues.abs().sum(dim=-1)
        return [float(v) for v in eigenvalues.real.sum(dim=-1) / total.clamp(min=1e-300)]

    def lift(self, layer: int, mixed: Tensor, ids: Tensor) -> Tensor:
        """How far what heads hand on, mixed [B, H, R, D], lifts the logits of tokens ids [B, H, R] above the
        mean of the vocabulary, in standard deviations over the vocabulary: [B, H, R]."""
        assert self.unembedding is not None
        outputs, mixed = self.outputs[layer], mixed.float()
        mean, small = self._spread_of(layer)
        variance = ((mixed @ small) * mixed).sum(dim=-1)
        written = mixed @ outputs.transpose(1, 2)  # [B, H, R, d]
        rows = self.unembedding[ids] - mean
        return (written * rows).sum(dim=-1) / variance.clamp(min=1e-30).sqrt()

    def _spread_of(self, layer: int) -> tuple[Tensor, Tensor]:
        """The mean of the unembedding [d]; and of each head of a layer the covariance over the vocabulary of
        the logits that it writes, by what it hands on: [H, D, D]."""
        assert self.unembedding is not None
        if "mean" not in self._cache:
            self._cache["mean"] = mean = self.unembedding.mean(dim=0)
            square = self.unembedding.T @ self.unembedding / len(self.unembedding)
            self._cache["spread"] = square - torch.outer(mean, mean)
        if f"spread {layer}" not in self._cache:
            outputs = self.outputs[layer]
            self._cache[f"spread {layer}"] = outputs.transpose(1, 2) @ self._cache["spread"] @ outputs
        return self._cache["mean"], self._cache[f"spread {layer}"]


def read_circuits(reader: HeadReader) -> Circuits:
    """The circuits of a network, found by one short forward."""
    trace = _traced(reader)
    values = [_values(trace, layer) for layer in range(reader.layers)]
    head = reader.trunk.head
    outputs = [_outputs(trace, reader, layer) for layer in range(reader.layers)]
    unembedding = None
    if isinstance(head, nn.Linear) and head.weight.shape[1] == outputs[0].shape[1]:
        unembedding = _normed(head.weight.detach().float(), trace.norm_giving(trace.hidden))
    embedding = reader.network.get_input_embeddings().weight.detach()
    return Circuits(values, outputs, embedding, unembedding)


@dataclass
class _Trace:
    """A short forward, looked at closely."""

    before: list[list[tuple[nn.Module, Tensor, Tensor]]]
    """Of each layer the linear layers that were called before its attention: module, input, output."""
    values: list[Tensor]
    """[Hkv, T, D] of each layer."""
    projected: dict[nn.Module, Tensor]
    """What the output projections gave."""
    norms: list[tuple[nn.Module, Tensor, Tensor]]
    hidden: Tensor

    def norm_giving(self, x: Tensor) -> nn.Module | None:
        """The norm that gave x."""
        return next((m for m, _, y in self.norms if y.shape == x.shape and torch.equal(y, x)), None)

    def norm_taking(self, x: Tensor) -> nn.Module | None:
        """The norm that is given x alone."""
        return next((m for m, y, _ in self.norms if y.shape == x.shape and torch.equal(y, x)), None)


@torch.inference_mode()
def _traced(reader: HeadReader) -> _Trace:
    before: list[list[tuple[nn.Module, Tensor, Tensor]]] = [[]]
    values: list[Tensor] = []
    norms: list[tuple[nn.Module, Tensor, Tensor]] = []
    projected: dict[nn.Module, Tensor] = {}

    def attend(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        values.append(v)
        before.append([])
        return v.repeat_interleave(q.shape[0] // v.shape[0], dim=0)

    def called(module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        if linear(module):
            before[-1].append((module, given[0].flatten(0, -2), result.flatten(0, -2)))
            if module in reader.projections:
                projected[module] = result.flatten(0, -2)
        else:
            norms.append((module, given[0].flatten(0, -2), result.flatten(0, -2)))

    wanted = [m for m in reader.network.modules() if linear(m) or _is_norm(m)]
    hooks = [m.register_forward_hook(called) for m in wanted]
    draw = torch.Generator().manual_seed(0)
    vocabulary = reader.network.get_input_embeddings().weight.shape[0]
    tokens = torch.randint(0, vocabulary, (PROBED,), generator=draw).to(reader.trunk.device)
    try:
        hidden = reader.trunk.forward(tokens, torch.arange(PROBED, device=tokens.device), attend)
    finally:
        for hook in hooks:
            hook.remove()
    return _Trace(before, values, projected, norms, hidden)


def _is_norm(module: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    return "norm" in type(module).__name__.lower() and bool(own) and all(p.ndim == 1 for p in own)


def _values(trace: _Trace, layer: int) -> Tensor | None:
    """[Hkv, D, d] of the linear layer whose outputs hold the layer's values; None where none does."""
    v = trace.values[layer]
    columns = v.transpose(1, 2).flatten(0, 1).float().cpu().numpy()  # [Hkv * D, T]
    for module, given, result in trace.before[layer]:
        places = {row.tobytes(): at for at, row in enumerate(result.T.contiguous().float().cpu().numpy())}
        at = [places.get(column.tobytes()) for column in columns]
        if None in at:
            continue
        rows = _weight(module)[[int(place) for place in at if place is not None]]
        return _normed(rows, trace.norm_giving(given)).view(v.shape[0], v.shape[2], -1)
    return None


def _outputs(trace: _Trace, reader: HeadReader, layer: int) -> Tensor:
    """[H, d, D] of the output projection."""
    projection = reader.projections[layer]
    weight = _weight(projection)  # [d, H * D]
    after = trace.norm_taking(trace.projected[projection])
    if after is not None:  # Gemma 2, OLMo 2: the sublayer's output is normed before it is added
        weight = _normed(weight.T, after).T
    return weight.view(len(weight), reader.heads, -1).transpose(0, 1).contiguous()


def _weight(module: nn.Module) -> Tensor:
    """[out, in] in fp32, also of GPT-2's transposed layers."""
    weight: Tensor = module.weight.detach().float()  # type: ignore[union-attr, operator, assignment]
    return weight if isinstance(module, nn.Linear) else weight.T


def _normed(weight: Tensor, norm: nn.Module | None) -> Tensor:
    """weight [out, d] with the gain of the norm before it folded in; without the mean where it goes."""
    if norm is None:
        return weight
    if isinstance(norm, nn.LayerNorm):
        scaled = weight if norm.weight is None else weight * norm.weight.detach().float()
        return scaled - scaled.mean(dim=1, keepdim=True)
    with torch.inference_mode():
        gain: Tensor = norm(torch.ones(1, weight.shape[1], device=weight.device, dtype=norm.weight.dtype))  # type: ignore[arg-type]
    return weight * gain[0].float()
