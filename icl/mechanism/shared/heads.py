"""The heads of a decoder: where they look, what they give, and the decoder without some of them.

The attention is read where the engine hooks it (`icl.engine.trunks.hooked`): queries, keys and values of the
network's own, after its positions and norms, with its windows, caps and sinks. No second network is built,
and weights are made in blocks of rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from icl.engine.attention.contract import LayerCall
from icl.engine.rungs.probe import unsupported, wrong_trunk
from icl.engine.trunks.hooked import HookedTrunk, after_head
from icl.errors import ConfigError, ModelError
from icl.tuning.shared.targets import linear

READABLE = "llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, gpt2, gpt_neox, opt, phi3, olmo2, smollm3"
"""Families whose heads are known to be read (docs/families.md: those that the trie engine runs)."""
MOST_WEIGHTS = 1 << 24
"""Attention weights of one layer that are made at once."""


class Head(NamedTuple):
    """One attention head; both count from 0."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the heads of one layer do at some positions of every text."""

    layer: int
    rows: Tensor
    """[R] positions that look."""
    weights: Tensor
    """[B, H, R, S] fp32 after the softmax; a row adds up to 1, or to less where the model has sinks."""
    values: Tensor
    """[B, H, S, D]: what is looked at; query heads that share a key-value head have the same."""
    scored: Callable[[], Tensor] | None = None
    """Makes `scores`, which few ask for."""

    @property
    def scores(self) -> Tensor:
        """[B, H, R, S] fp32 before the softmax; -inf: not seen. Of what `HeadReader` told of alone."""
        assert self.scored is not None, "made of parts of another"
        return self.scored()

    @property
    def mixed(self) -> Tensor:
        """[B, H, R, D]: what each head hands to the output projection."""
        return self.weights.to(self.values.dtype) @ self.values


Look: TypeAlias = Callable[[Seen], None]
Blocked: TypeAlias = Mapping[int, Tensor]
"""Of a layer [B, S, S]: True where a position (row) does not see another, beside those after it."""
Means: TypeAlias = Mapping[Head, Tensor]
"""Of each head the mean [D] of what it hands to the output projection."""


class HeadReader:
    """Reads the heads of a decoder of transformers, and takes heads away.

    heads, kv_heads, head_size: of each layer; values are D = head_size wide.

    Raises ModelError, in one line with the families that can be read, for a network whose layers mix tokens
    without attention (mamba), with several kinds of it, or outside of transformers' attention interface.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        config = network.config.get_text_config()
        self.context_length: int | None = getattr(config, "max_position_embeddings", None)
        try:
            reason = unsupported(network, 0)
            self.trunk = HookedTrunk(network)
            reason = reason or wrong_trunk(network, self.trunk)
        except (ModelError, TypeError, AttributeError) as error:
            reason = str(error)
        if reason:
            raise ModelError(
                f"the attention heads of {type(network).__name__} cannot be read: {reason}; read are "
                f"decoders of softmax attention, such as {READABLE}"
            )
        self.layers = int(config.num_hidden_layers)
        self.projections: list[nn.Module] = []
        """Of each layer what makes one vector out of its heads (`o_proj`, `c_proj`, `out_proj`, `dense`)."""
        self._look_once()

    def _look_once(self) -> None:
        """Shapes, and the output projections: the first linear layer that is called after the attention."""
        shapes: list[tuple[int, int, int]] = []
        after: dict[int, nn.Module] = {}

        def attend(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
            shapes.append((q.shape[0], k.shape[0], v.shape[-1]))
            return v.repeat_interleave(q.shape[0] // v.shape[0], dim=0)

        def called(module: nn.Module, given: tuple[Any, ...]) -> None:
            if len(shapes) and len(shapes) - 1 not in after:
                after[len(shapes) - 1] = module

        hooks = [m.register_forward_pre_hook(called) for m in self.network.modules() if linear(m)]
        zero = torch.zeros(1, dtype=torch.long, device=self.trunk.device)
        try:
            self.trunk.forward(zero, zero, attend)
        finally:
            for hook in hooks:
                hook.remove()
        self.heads, self.kv_heads, self.head_size = shapes[0]
        if len(set(shapes)) > 1 or len(after) < self.layers:
            raise ModelError(
                f"the attention heads of {type(self.network).__name__} cannot be read: its layers differ in "
                f"the number or size of their heads; read are decoders such as {READABLE}"
            )
        self.projections = [after[layer] for layer in range(self.layers)]

    @property
    def all(self) -> list[Head]:
        """Every head, by layer."""
        return [Head(layer, head) for layer in range(self.layers) for head in range(self.heads)]

    def forward(
        self, tokens: Tensor, look: Look, rows: Sequence[int] | None = None, blocked: Blocked | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Runs texts tokens [B, S] of one length; hidden states [B, S, d] after the final norm.

        look: told of every layer, for `rows` (default: all positions) in blocks that stay small; called under
        `inference_mode`. positions [S]: of several texts in one sequence, apart by `blocked` in all layers,
        none of them longer than a layer's window. Raises ConfigError for a text longer than the context.
        """
        with torch.inference_mode():
            return self.differentiable(tokens, look, rows, blocked, positions)

    def differentiable(
        self, tokens: Tensor, look: Look, rows: Sequence[int] | None = None, blocked: Blocked | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """As `forward`, with gradients through weights and values where torch keeps them."""
        batch, length = tokens.shape
        self.check_length(length if positions is None else int(positions.max()) + 1)
        wanted = list(dict.fromkeys(range(length) if rows is None else (row % length for row in rows)))
        others = sorted(set(range(length)) - set(wanted))
        back = torch.tensor([*wanted, *others], device=tokens.device).argsort()

        def attend(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
            call = call if positions is None else replace(call, window=None)
            # packed rows of equal texts [H, B * S, D] -> [B, H, S, D]
            q, k, v = (x.view(len(x), batch, length, -1).transpose(0, 1) for x in (q, k, v))
            values = v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)
            size = max(1, MOST_WEIGHTS // (batch * q.shape[1] * length))
            mixed = []
            for group, told in ((wanted, True), (others, False)):
                for at in range(0, len(group), size):
                    block = torch.tensor(group[at : at + size], device=q.device)
                    closed = blocked[call.layer][:, block] if blocked and call.layer in blocked else None
                    weights = attention_weights(q[:, :, block], k, block, call, closed)
                    mixed.append(weights.to(values.dtype) @ values)
                    if told:
                        scored = partial(attention_scores, q[:, :, block], k, block, call, closed)
                        look(Seen(call.layer, block, weights, values, scored))
            return torch.cat(mixed, dim=2)[:, :, back].transpose(0, 1).flatten(1, 2)

        places = torch.arange(length, device=tokens.device) if positions is None else positions
        with self.trunk.switched(attend):
            output = self.trunk.decoder(
                input_ids=tokens.reshape(1, -1), position_ids=places.repeat(batch)[None], use_cache=False
            )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden.view(batch, length, -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., V] fp32 of hidden states [..., d], as the network makes them."""
        with torch.inference_mode(hidden.is_inference()):
            return after_head(self.trunk.config, self.trunk.head(hidden).float())

    def rows(self, tokens: Tensor, positions: Sequence[int]) -> Tensor:
        """Attention weights [L, B, H, R, S] of texts tokens [B, S] from such positions (-1: the last)."""
        return self._gathered(tokens, positions, lambda seen: seen.weights)

    def outputs(self, tokens: Tensor, positions: Sequence[int]) -> Tensor:
        """What each head hands to the output projection at the given positions: [L, B, H, R, D]."""
        return self._gathered(tokens, positions, lambda seen: seen.mixed)

    def _gathered(self, tokens: Tensor, positions: Sequence[int], of: Callable[[Seen], Tensor]) -> Tensor:
        found: list[list[Tensor]] = [[] for _ in range(self.layers)]
        self.forward(tokens, lambda seen: found[seen.layer].append(of(seen)), positions)
        return torch.stack([torch.cat(parts, dim=2) for parts in found])

    def check_length(self, length: int) -> None:
        """Raises ConfigError where texts of so many tokens are longer than the context."""
        if self.context_length is not None and length > self.context_length:
            raise ConfigError(
                f"texts of {length} tokens are longer than the context of {type(self.network).__name__}, "
                f"{self.context_length} tokens"
            )

    def means(self, texts: Sequence[Tensor]) -> dict[Head, Tensor]:
        """The mean [D] of what each head hands on, over all positions of texts [B, S] but their first."""
        total = torch.zeros(self.layers, self.heads, self.head_size)
        count = 0

        def add(seen: Seen) -> None:
            total[seen.layer] += seen.mixed.float().sum(dim=(0, 2)).cpu()

        for tokens in texts:
            self.forward(tokens, add, range(1, tokens.shape[1]))
            count += tokens.shape[0] * (tokens.shape[1] - 1)
        return {head: total[head.layer, head.head] / count for head in self.all}

    @contextlib.contextmanager
    def without(self, heads: Collection[Head], means: Means | None = None) -> Iterator[None]:
        """The network with what these heads hand on replaced: by zero, or by `means`.

        For every forward of the network while it lasts, the engine's too, at all positions.
        """
        hooks = []
        for layer in sorted({head.layer for head in heads}):
            taken = sorted(head.head for head in heads if head.layer == layer)
            hook = _replaced(taken, self.heads, [means[Head(layer, h)] for h in taken] if means else None)
            hooks.append(self.projections[layer].register_forward_pre_hook(hook))
        try:
            yield
        finally:
            for handle in hooks:
                handle.remove()


def attention_weights(
    q: Tensor, k: Tensor, rows: Tensor, call: LayerCall, closed: Tensor | None = None
) -> Tensor:
    """Softmax weights [B, H, R, S] in fp32; arguments as of `attention_scores`."""
    scores = attention_scores(q, k, rows, call, closed)
    if call.sinks is None:
        return torch.softmax(scores, dim=-1)
    batch, heads, count, _ = scores.shape
    sinks = call.sinks.float().view(1, heads, 1, 1).expand(batch, -1, count, 1)
    return torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]


def attention_scores(
    q: Tensor, k: Tensor, rows: Tensor, call: LayerCall, closed: Tensor | None = None
) -> Tensor:
    """What the softmax is taken of, [B, H, R, S] in fp32, of queries q [B, H, R, D] at positions rows [R] on
    keys k [B, Hkv, S, D]; closed [B, R, S]: what is not seen besides. -inf: not seen."""
    batch, heads, count, size = q.shape
    groups = q.float().reshape(batch, k.shape[1], -1, size)  # query heads of a key head below one another
    scores = (groups @ k.float().transpose(2, 3) * call.scaling).view(batch, heads, count, -1)
    if call.softcap is not None:
        scores = torch.tanh(scores / call.softcap) * call.softcap
    rows = rows.to(q.device)
    back = rows[:, None] - torch.arange(k.shape[2], device=q.device)
    hidden = (back < 0) if call.window is None else (back < 0) | (back >= call.window)
    return scores.masked_fill(hidden if closed is None else hidden | closed[:, None], -torch.inf)


def _replaced(heads: Sequence[int], count: int, means: Sequence[Tensor] | None) -> Callable[..., Any]:
    """A hook before an output projection: its input [..., H * D] with other values for some heads."""

    def hook(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        parts = given[0].unflatten(-1, (count, -1)).clone()
        if means is None:
            parts[..., list(heads), :] = 0
        else:
            parts[..., list(heads), :] = torch.stack(list(means)).to(parts)
        return (parts.flatten(-2), *given[1:])

    return hook
