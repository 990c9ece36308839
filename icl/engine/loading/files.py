"""A model's files: where they are, and what transformers makes of them.

GGUF files are read once (`gguf.convert`) and kept as safetensors in the user's cache, so that every later
load takes a second; from there on a file, a folder and a hub id are one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from icl.cache import cache_folder
from icl.engine.fake import FakeModel
from icl.engine.loading.sources import ModelSource, resolve, weights_fingerprint
from icl.errors import ModelError
from icl.protocols import Tokenizer

log = logging.getLogger("icl")


def load_tokenizer(model: str) -> Tokenizer:
    """The model's tokenizer alone; no weights are read (for GGUF: once, to fill the cache)."""
    source = resolve(model)
    if source.kind == "fake":
        return FakeModel().tokenizer
    from transformers import GenerationConfig

    from icl.engine.loading.gguf.convert import notes_of
    from icl.engine.loading.reading import read_tokenizer
    from icl.engine.loading.tokenizer import HFTokenizer

    folder, _ = local_folder(source)
    with _quiet(), _as_model_error(source):
        tokenizer, note = read_tokenizer(Path(folder))
        try:
            settings = GenerationConfig.from_pretrained(folder)
        except OSError:  # no generation settings: those of the model's configuration
            from transformers import AutoConfig  # seconds of imports, which most folders do without

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


def read_configuration(source: ModelSource, folder: str) -> Any:
    """The configuration alone. Raises ModelError where it cannot be read."""
    from transformers import AutoConfig

    with _quiet(), _as_model_error(source):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def read_network(source: ModelSource, folder: str, dtype: Any) -> Any:
    """The network with its weights, on the CPU. Raises ModelError where it cannot be read."""
    from transformers import AutoModelForCausalLM

    with _quiet(), _as_model_error(source):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False).eval()


@contextlib.contextmanager
def _as_model_error(source: ModelSource) -> Iterator[None]:
    """What transformers raises for an unreadable model, as one clear line."""
    from safetensors import SafetensorError

    try:
        yield
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(f"model {source.name!r} needs another package: {error}") from error
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
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
