"""What readers take a model apart with. Nothing is guessed: what is of another kind is refused with a reason.

A reader takes every weight through `Parts`, which notes it; what is left over at the end is something that
it does not know of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from icl.engine.trunks.fused.blocks import Norm, Rotary
from icl.engine.trunks.packed import PackedLinear
from icl.errors import ModelError

Pack = Callable[[Sequence[Tensor], Sequence[Tensor] | None], PackedLinear]
"""(weights [out, in], one below the other; their biases [out]) -> one product."""

ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""Names of transformers, and what they are here."""

SHARED = frozenset(
    {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}
    | {"num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rope_parameters"}
    | {"rms_norm_eps", "layer_norm_eps", "tie_word_embeddings", "attention_bias", "mlp_bias"}
    | {"sliding_window", "use_sliding_window", "max_window_layers", "layer_types"}
    | {"use_cache", "pad_token_id", "bos_token_id", "eos_token_id"}  # not of the layers
    | {"initializer_range", "attention_dropout", "hidden_dropout", "classifier_dropout"}  # of training
)
"""Keys of a configuration that any reader heeds, or that change nothing here."""


class Unread(ModelError):
    """A part of the model that its reader does not know."""


def pack(weights: Sequence[Tensor], biases: Sequence[Tensor] | None) -> PackedLinear:
    """See Pack."""
    weight = weights[0] if len(weights) == 1 else torch.cat([w.reshape(-1, w.shape[-1]) for w in weights])
    bias = None if biases is None else torch.cat([b.reshape(-1) for b in biases])
    return PackedLinear(weight, bias)


def unpacked(weights: Sequence[Tensor], biases: Sequence[Tensor] | None) -> PackedLinear:
    """A Pack for a first reading, which only finds out whether the model can be read."""
    return cast(PackedLinear, None)


def foreign(model: Any) -> str:
    """What is put into or around the layers that weights alone would leave out; "" where nothing is."""
    head = model.get_output_embeddings()
    for name, module in (*model.get_decoder().named_modules(), ("its head", head)):
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            return f"{name or 'its decoder'} has a hook, which packed weights would leave out"
        if not type(module).__module__.startswith(("torch.nn.modules.", "transformers.")):
            return f"{name} is a {kind(module)}: packed weights would leave out what it adds"
    return "" if type(head) is nn.Linear else f"its head is a {kind(head)}, no plain linear layer"


def kind(module: Any) -> str:
    """The class of a module, for messages."""
    return f"{type(module).__module__}.{type(module).__name__}"


class Parts:
    """The parts of one model, and which of its weights were taken. `pack`: what is made of products."""

    def __init__(self, model: Any, pack: Pack) -> None:
        self.config = model.config.get_text_config()
        self.decoder = model.get_decoder()
        self.layers: Sequence[Any] = ()
        self.pack = pack
        self._names: dict[int, str] = {id(module): name for name, module in self.decoder.named_modules()}
        self._taken: set[int] = set()

    def check_settings(self, heeded: Iterable[str]) -> None:
        """Raises Unread for a key of the configuration that its reader does not know of (neither
        `heeded` nor SHARED) and that is not at its default."""
        config, known = self.config, SHARED.union(heeded)
        own = {
            key for c in type(config).__mro__ if _of_a_family(c) for key in vars(c).get("__annotations__", ())
        }
        default = type(config)()
        for key in sorted(own - known):
            value = getattr(config, key)
            if value != getattr(default, key):
                raise Unread(
                    f"its configuration has {key}={value!r}, which the reader of its family does not know"
                )

    def require(self, key: str, *allowed: Any) -> None:
        """Raises Unread where a setting is another than its reader is written for."""
        value = getattr(self.config, key, allowed[0])
        if value not in allowed:
            raise Unread(
                f"its configuration has {key}={value!r}, and its reader is written for {allowed[0]!r}"
            )

    def check_all_taken(self) -> None:
        """Raises Unread for a weight of the decoder that was not asked for."""
        for name, parameter in self.decoder.named_parameters():
            if id(parameter) not in self._taken:
                raise Unread(f"it has a weight {name}, which the reader of its family does not know")

    def weight(self, parameter: Tensor) -> Tensor:
        """A weight as it is."""
        self._taken.add(id(parameter))
        return parameter.detach()

    def table(self, module: Any) -> Tensor:
        """The rows of an embedding that gives them as they are, or scaled (`embed_scale`, for the reader)."""
        if type(module) is not nn.Embedding and not type(module).__name__.endswith("ScaledWordEmbedding"):
            raise Unread(f"{self._name(module)} is a {kind(module)}, and no embedding that its reader knows")
        return self.weight(module.weight)

    def matrix(self, module: Any) -> tuple[Tensor, Tensor | None]:
        """Weight [out, in] and bias [out] of a linear layer."""
        if type(module) not in (nn.Linear, Conv1D):
            raise Unread(
                f"{self._name(module)} is a {kind(module)}: packed weights would leave out what it adds"
            )
        weight = self.weight(module.weight)
        bias = None if module.bias is None else self.weight(module.bias)
        return (weight.T if type(module) is Conv1D else weight), bias

    def linear(self, *modules: Any) -> PackedLinear:
        """Linear layers of the same rows, one below the other."""
        read = [self.matrix(module) for module in modules]
        if all(bias is None for _, bias in read):
            return self.pack([weight for weight, _ in read], None)
        biases = [weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in read]
        return self.pack([weight for weight, _ in read], biases)

    def split(self, module: Any, count: int) -> list[PackedLinear]:
        """A linear layer as `count` of equal height, one below the other."""
        weight, bias = self.matrix(module)
        biases = [None] * count if bias is None else [[part] for part in bias.chunk(count)]
        return [self.pack([w], b) for w, b in zip(weight.chunk(count), biases, strict=True)]

    def norm(self, module: Any, *, wide: bool = False, from_one: bool = False) -> Norm:
        """A norm. wide: multiplied by its weight before rows of half precision are rounded; from_one: so too,
        and its weight is kept less 1."""
        if type(module) is nn.LayerNorm:
            weight, bias = (None if p is None else self.weight(p) for p in (module.weight, module.bias))
            return Norm(weight, module.eps, bias, centred=True)
        if not (
            type(module).__name__.endswith("RMSNorm") and kind(module).startswith("transformers.models.")
        ):
            raise Unread(f"{self._name(module)} is a {kind(module)}, and no norm that its reader knows")
        weight = self.weight(module.weight)
        if wide or from_one:
            weight = weight.float()
        eps = module.variance_epsilon if hasattr(module, "variance_epsilon") else module.eps
        return Norm(weight + 1.0 if from_one else weight, float(eps))

    def activation(self, key: str = "hidden_act") -> str:
        """What the configuration calls its activation, as it is called here."""
        name = getattr(self.config, key)
        if name not in ACTIVATIONS:
            raise Unread(f"its activation {name!r} is none of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[name]

    def window_of_kind(self, layer: int) -> int | None:
        """The sliding window of a layer, where each is of a kind (`layer_types`)."""
        sliding = self.config.layer_types[layer] == "sliding_attention"
        return self.config.sliding_window if sliding else None  # type: ignore[no-any-return]

    def window_of_all(self, layer: int) -> int | None:
        """The sliding window that every layer has, or none."""
        return self.config.sliding_window  # type: ignore[no-any-return]

    def _name(self, module: Any) -> str:
        return self._names.get(id(module), "a part")


def rotary(module: Any, *kinds: str) -> Rotary:
    """The model's own rotations; kinds: what its module is told beside rows and positions."""

    def angles(hidden: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = module(hidden[None], positions[None], *kinds)
        half = cos.shape[-1] // 2  # both halves of cos and sin are equal
        return cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()

    return angles


def _of_a_family(config_class: type) -> bool:
    module: str = config_class.__module__
    return module.startswith("transformers.models.")
