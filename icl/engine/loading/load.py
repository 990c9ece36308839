"""From a name to a `LanguageModel`; in two steps where something is to be done to the network between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icl.engine.fake import FakeModel
from icl.engine.loading.files import load_tokenizer, local_folder, read_configuration, read_network
from icl.engine.loading.sources import agreed_context, check_context, resolve
from icl.errors import ConfigError, unknown_name
from icl.protocols import LanguageModel, Tokenizer
from icl.training import Network, Root

ENGINES = ("trie", "naive")
DTYPES = ("float32", "bfloat16", "float16")
INVARIANT = "-invariant"
"""Behind the fingerprint of a model whose results do not depend on what else is asked."""


def load_model(
    model: str,
    *,
    engine: str = "trie",
    dtype: str | None = None,
    device: str | None = None,
    max_memory: int | None = None,
    context_length: int | None = None,
    batch_invariant: bool = False,
    **options: Any,
) -> LanguageModel:
    """Loads a model behind an engine.

    model: alias, folder, .gguf file, hub id, or "fake". engine: "trie" (the fastest that is exact
    for this model, see icl.engine.rungs.ladder) or "naive". dtype: default
    float32 on CPU, bfloat16 on GPU. device: default cuda where there is one. max_memory: bytes
    that the engine may use beside the weights. context_length: tokens of the longest text, prompt and answer
    together, where less is needed than the model could take: models whose rotary positions move beyond a
    length (longrope, dynamic) share prefixes up to it. Default: what the configuration allows.
    batch_invariant: no bit of a result depends on what else is asked with it; CPU only, and slower
    (benchmarks/README.md).

    Raises ConfigError for a wrong option, ModelError for a model that cannot be read.
    """
    if engine not in ENGINES:
        raise ConfigError(unknown_name("engine", engine, ENGINES))
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(unknown_name("dtype", dtype, DTYPES))
    if context_length is not None:
        check_context(context_length)
    if resolve(model).kind == "fake":
        return FakeModel(**options | ({} if context_length is None else {"context_length": context_length}))
    if batch_invariant:
        _check_invariant(device or default_device())
    opened = open_network(model, dtype=dtype, device=device, context_length=context_length)
    return engine_on(
        opened.network, opened.tokenizer,
        name=opened.name, context_length=opened.context_length, fingerprint=opened.fingerprint,
        max_memory=max_memory, batch_invariant=batch_invariant, engine=engine, **options,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A network fresh from its files, and what an engine on it is to be told."""

    network: Network
    """In eval mode, on its device."""
    tokenizer: Tokenizer
    name: str
    context_length: int
    fingerprint: str
    """Of weights, tokenizer and precision."""


def open_network(
    model: str,
    *,
    dtype: str | None = None,
    device: str | None = None,
    context_length: int | None = None,
) -> Opened:
    """The network of a model, to be trained or asked through `engine_on`; arguments as of `load_model`.

    Raises ConfigError for a wrong option and for a model without weights here (the fake one, a backend),
    ModelError for one that cannot be read.
    """
    if not isinstance(model, str) or resolve(model).kind == "fake":
        raise ConfigError(
            f"tuning needs a model with weights, {model!r} has none here; allowed: an alias, a folder, "
            "a .gguf file or a hub id"
        )
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(unknown_name("dtype", dtype, DTYPES))
    source = resolve(model)
    folder, weights = local_folder(source)
    if context_length is not None:  # before the weights
        agreed_context(read_configuration(source, folder), context_length, source.name)
    import torch

    where = device or default_device()
    precision = dtype or default_precision(where)
    network = read_network(source, folder, getattr(torch, precision)).to(where)
    tokenizer = load_tokenizer(model)
    return Opened(
        network,
        tokenizer,
        source.name,
        agreed_context(network.config, context_length, source.name),
        fingerprint_of(weights, tokenizer, precision),
    )


def engine_on(
    network: Network,
    tokenizer: Tokenizer,
    *,
    name: str,
    context_length: int,
    fingerprint: str,
    root: Root | None = None,
    max_memory: int | None = None,
    batch_invariant: bool = False,
    engine: str = "trie",
    **options: Any,
) -> LanguageModel:
    """An engine on a network as it is now: merged, with adapters in it, or untouched beside a root.

    context_length: of the network; what stands at the root takes its part of it. root: what stands before
    every text. The others are those of `load_model`. The engine is compared with plain forwards first.

    Raises ConfigError for a wrong option and a root that does not fit the network, ModelError for a network
    that cannot be asked.
    """
    from icl.engine.rungs.ladder import choose_engine
    from icl.engine.rungs.naive import NaiveModel

    if engine not in ENGINES:
        raise ConfigError(unknown_name("engine", engine, ENGINES))
    if batch_invariant:
        _check_invariant(str(network.device))
        options["batch_invariant"] = True
    common: dict[str, Any] = {
        "name": name,
        "context_length": context_length,
        "fingerprint": fingerprint + INVARIANT * batch_invariant,
        "root": root,
    }
    if engine == "naive":
        naive = NaiveModel(network, tokenizer, **common)
        naive.check()
        return naive
    return choose_engine(network, tokenizer, max_memory=max_memory, **common, **options)


def fingerprint_of(weights: str, tokenizer: Tokenizer, precision: str, batch_invariant: bool = False) -> str:
    """Of a model behind an engine: known before it is loaded. weights: the fingerprint of its files."""
    return f"{weights}-{tokenizer.fingerprint}-{precision}" + INVARIANT * batch_invariant


def default_precision(device: str | None = None) -> str:
    """Of weights on that device, by default the one that models are loaded on."""
    return "float32" if (device or default_device()) == "cpu" else "bfloat16"


def default_device() -> str:
    """Where models are loaded unless told otherwise: "cuda" where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_invariant(device: str) -> None:
    import torch

    if torch.device(device).type != "cpu":
        raise ConfigError(
            f"batch_invariant works on CPU, not on {device}: give device='cpu', or leave it out"
        )
