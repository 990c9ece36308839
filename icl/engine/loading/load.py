"""`load_model`: from a name to a `LanguageModel`.

GGUF files are read once (`gguf.convert`) and kept as safetensors in the user's cache, so that every later
load takes a second; from there on a file, a folder and a hub id are one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from icl.engine.fake import FakeModel
from icl.engine.loading.sources import (
    ModelSource,
    agreed_context,
    cache_folder,
    check_context,
    resolve,
    weights_fingerprint,
)
from icl.errors import ConfigError, ModelError, unknown_name
from icl.protocols import LanguageModel, Tokenizer

log = logging.getLogger("icl")

ENGINES = ("trie", "naive")
DTYPES = ("float32", "bfloat16", "float16")


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
    source = resolve(model)
    if source.kind == "fake":
        return FakeModel(**options | ({} if context_length is None else {"context_length": context_length}))
    import torch

    from icl.engine.rungs.ladder import choose_engine
    from icl.engine.rungs.naive import NaiveModel

    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision = dtype or ("float32" if where == "cpu" else "bfloat16")
    if batch_invariant and torch.device(where).type != "cpu":
        raise ConfigError(f"batch_invariant works on CPU, not on {where}: give device='cpu', or leave it out")
    if batch_invariant:
        options["batch_invariant"] = True
    folder, weights = local_folder(source)
    if context_length is not None:  # before the weights
        agreed_context(_configuration(source, folder), context_length, source.name)
    network = _load_network(source, folder, getattr(torch, precision)).to(where)
    tokenizer = load_tokenizer(model)
    common: dict[str, Any] = {
        "name": source.name,
        "context_length": agreed_context(network.config, context_length, source.name),
        "fingerprint": f"{weights}-{tokenizer.fingerprint}-{precision}" + "-invariant" * batch_invariant,
    }
    if engine == "naive":
        naive = NaiveModel(network, tokenizer, **common)
        naive.check()
        return naive
    return choose_engine(network, tokenizer, max_memory=max_memory, **common, **options)


def load_tokenizer(model: str) -> Tokenizer:
    """The model's tokenizer alone; no weights are read (for GGUF: once, to fill the cache)."""
    source = resolve(model)
    if source.kind == "fake":
        return FakeModel().tokenizer
    from transformers import AutoConfig, GenerationConfig

    from icl.engine.loading.gguf.convert import notes_of
    from icl.engine.loading.reading import read_tokenizer
    from icl.engine.loading.tokenizer import HFTokenizer

    folder, _ = local_folder(source)
    with _quiet(), _as_model_error(source):
        tokenizer, note = read_tokenizer(Path(folder))
        try:
            settings = GenerationConfig.from_pretrained(folder)
        except OSError:  # no generation settings: those of the model's configuration
            settings = GenerationConfig.from_model_config(
                AutoConfig.from_pretrained(folder, trust_remote_code=False)
            )
    for said in (*notes_of(Path(folder)), *([note] if note else [])):
        log.warning("model %s: %s", source.name, said)
    eos = settings.eos_token_id
    ids = eos if isinstance(eos, list) else [] if eos is None else [eos]
    return HFTokenizer(tokenizer, frozenset(int(i) for i in ids))


def known_notes(model: str) -> list[str]:
    """What loading the model says of it, where it is a GGUF file that was read before; else nothing."""
    from icl.engine.loading.gguf.convert import VERSION, notes_of

    source = resolve(model)
    if source.gguf_file is None:
        return []
    weights = weights_fingerprint(Path(source.location), source.gguf_file, f"conversion {VERSION}")
    return notes_of(cache_folder() / "models" / f"{source.name}-{weights}")


def local_folder(source: ModelSource) -> tuple[str, str]:
    """What transformers can load (a folder, or the hub id), and the fingerprint of the weights."""
    if source.gguf_file is not None:
        from icl.engine.loading.gguf.convert import VERSION

        weights = weights_fingerprint(Path(source.location), source.gguf_file, f"conversion {VERSION}")
        return str(_dequantised(source, Path(source.location) / source.gguf_file, weights)), weights
    if source.kind == "folder":
        return source.location, weights_fingerprint(Path(source.location))
    from huggingface_hub import snapshot_download

    with _as_model_error(source):
        patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
        folder = snapshot_download(source.location, allow_patterns=patterns)
    return folder, weights_fingerprint(Path(folder))


def _dequantised(source: ModelSource, file: Path, weights: str) -> Path:
    """The folder of plain safetensors for a GGUF file; made once."""
    from icl.engine.loading.gguf.convert import convert

    folder = cache_folder() / "models" / f"{source.name}-{weights}"
    if not (folder / "config.json").is_file():
        log.info("dequantising %s once into %s", source.gguf_file, folder)
        with _quiet(), _as_model_error(source):
            convert(file, folder)
    return folder


def _configuration(source: ModelSource, folder: str) -> Any:
    from transformers import AutoConfig

    with _quiet(), _as_model_error(source):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def _load_network(source: ModelSource, folder: str, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    with _quiet(), _as_model_error(source):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False).eval()


@contextlib.contextmanager
def _as_model_error(source: ModelSource) -> Iterator[None]:
    """What transformers raises for an unreadable model, as one clear line."""
    try:
        yield
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(f"model {source.name!r} needs another package: {error}") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"model {source.name!r} ({source.origin}) comes with Python code of its own (auto_map in its "
                "config.json or tokenizer_config.json), which icl never runs; allowed: architectures that "
                "transformers has itself"
            ) from error
        lines = (line.strip() for line in str(error).splitlines())
        first = next((line for line in lines if line), type(error).__name__).rstrip(".")
        hint = (
            " The hub could not be reached or does not know it; give a local folder or a .gguf file."
            if source.kind == "hub"
            else ""
        )
        raise ModelError(f"model {source.name!r} ({source.origin}) cannot be read: {first}.{hint}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers' progress bars and warnings off: icl shows its own."""
    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
