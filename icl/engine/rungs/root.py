"""What stands before every text of a tuned model, put to a network.

Virtual tokens are input embeddings, a prefix is the keys and values themselves. An engine needs of both the
keys and values only, as no text changes what stands before it; those of virtual tokens are what the network's
own forward makes of them, once. Plain forwards take either as it is, and so stay an oracle.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from icl.engine.forward.resident import Kept
from icl.engine.requests.validation import LEAST_CONTEXT
from icl.errors import ConfigError
from icl.training import GivenKeysValues, Root, VirtualTokens


class PlantedRoot:
    """A root before the texts of one network, in its precision and on its device.

    Raises ConfigError where it does not fit the network, or leaves no room for a text.
    """

    def __init__(self, root: Root, network: Any, context_length: int) -> None:
        self.root = root
        self.network = network
        self._check()
        if context_length - self.length < LEAST_CONTEXT:
            raise ConfigError(
                f"{self.length} positions before every text leave {context_length - self.length} of a "
                f"context of {context_length}; allowed: at most {context_length - LEAST_CONTEXT}"
            )

    @property
    def length(self) -> int:
        """Positions that it takes."""
        return self.root.length

    @property
    def forwarded(self) -> int:
        """Tokens that a plain engine forwards with every text; given keys and values need no forward."""
        return self.length if isinstance(self.root, VirtualTokens) else 0

    @property
    def tensors(self) -> list[Tensor]:
        """What it is made of, as it was given: a change in place is a change of the model."""
        root = self.root
        return [root.embeddings] if isinstance(root, VirtualTokens) else [*root.keys, *root.values]

    def digest(self) -> str:
        """A hash of its kind and its numbers."""
        total = hashlib.blake2b(type(self.root).__name__.encode(), digest_size=8)
        for tensor in self.tensors:
            total.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
            total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return total.hexdigest()

    @torch.inference_mode()
    def kept(self) -> Kept:
        """Keys and values [Hkv, n, D] of every layer that has its own, as the network is now."""
        if isinstance(self.root, GivenKeysValues):
            pairs = list(zip(map(self._own, self.root.keys), map(self._own, self.root.values), strict=True))
            return Kept(
                {at: k for at, (k, _) in enumerate(pairs)}, {at: v for at, (_, v) in enumerate(pairs)}
            )
        # no configuration: every layer keeps all its keys, whatever its window
        cache = DynamicCache()
        self.network(
            inputs_embeds=self._own(self.root.embeddings)[None], past_key_values=cache, use_cache=True
        )
        held = {at: layer for at, layer in enumerate(cache.layers) if layer.is_initialized}
        return Kept(
            {at: layer.keys[0] for at, layer in held.items()},
            {at: layer.values[0] for at, layer in held.items()},
        )

    def cache(self, config: Any = None) -> DynamicCache:
        """A cache that holds it: a text that is forwarded with it stands behind the root."""
        cache = DynamicCache(config=config)
        kept = self.kept()
        for layer in sorted(kept.keys):
            cache.update(kept.keys[layer][None], kept.values[layer][None], layer)
        return cache

    def before(self, tokens: Tensor) -> tuple[dict[str, Any], int]:
        """What a forward of the text `tokens` [1, T] behind the root is given, and how many rows of its
        result are the root's."""
        if isinstance(self.root, GivenKeysValues):
            return {"input_ids": tokens, "past_key_values": self.cache(), "use_cache": True}, 0
        text = self.network.get_input_embeddings()(tokens)
        whole = torch.cat([self._own(self.root.embeddings)[None].to(text.dtype), text], dim=1)
        return {"inputs_embeds": whole}, self.length

    def _own(self, tensor: Tensor) -> Tensor:
        weights = next(self.network.parameters())
        return tensor.detach().to(weights.device, self.network.dtype)

    def _check(self) -> None:
        root = self.root
        if isinstance(root, VirtualTokens):
            width = int(self.network.get_input_embeddings().weight.shape[1])
            shape = tuple(root.embeddings.shape)
            if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
                raise ConfigError(f"virtual tokens of shape {shape}; allowed: (n, {width}), n from 1")
        else:
            self._check_given(root)
        if not all(bool(tensor.isfinite().all()) for tensor in self.tensors):
            raise ConfigError("what stands before every text has numbers that are not finite")

    @torch.inference_mode()
    def _check_given(self, root: GivenKeysValues) -> None:
        """Against what the network itself keeps of one token."""
        cache = DynamicCache()
        token = torch.zeros((1, 1), dtype=torch.long, device=self.network.device)
        family = type(self.network).__name__
        try:
            self.network(input_ids=token, past_key_values=cache, use_cache=True)
        except Exception as error:  # whatever a foreign network raises at a cache that it does not know
            raise ConfigError(
                f"{family} takes no keys and values: {type(error).__name__}: {error}"
            ) from error
        own = [layer for layer in cache.layers if layer.is_initialized]
        if not own:
            raise ConfigError(f"{family} keeps no keys and values, so none can be given")
        if not len(root.keys) == len(root.values) == len(own):
            raise ConfigError(
                f"keys of {len(root.keys)} layers and values of {len(root.values)}; allowed: {len(own)} "
                f"each, the layers of {family}"
            )
        for at, layer in enumerate(own):
            for what, given, like in (("keys", root.keys, layer.keys), ("values", root.values, layer.values)):
                wanted = (like.shape[1], self.length, like.shape[3])
                if tuple(given[at].shape) != wanted or self.length < 1:
                    raise ConfigError(
                        f"{what} of layer {at} have the shape {tuple(given[at].shape)}; allowed: {wanted}, "
                        "key-value heads, positions, head size"
                    )
