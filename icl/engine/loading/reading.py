"""The tokenizer of a model folder, as the folder has it.

transformers builds the tokenizers of many model types anew from vocabulary and merges and leaves the rest of
tokenizer.json: a Qwen2 with a tokenizer of its own is cut by Qwen2's rule all the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from icl.engine.loading.gguf.convert import NOTES

GENERIC = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})
"""Classes that a folder names where its tokenizer.json says everything."""
PROBES = (
    "x  7 a\n 5",
    "a\n\n1",
    " two  words",
    "It's 2024.",
    "don't 12345",
    "été 停止 🙂",
    "\t x\r\n y",
    "<|a|></s>",
    "fooBar(x)",
)


def read_tokenizer(folder: Path) -> tuple[Any, str]:
    """A transformers tokenizer, and what must be said of it ("" for nothing).

    Where transformers reads tokenizer.json otherwise than it stands, the file is right if the folder names a
    generic class; a class of its own is believed, and the difference said.
    """
    from transformers import PreTrainedTokenizerFast

    if (folder / NOTES).is_file():
        return PreTrainedTokenizerFast.from_pretrained(folder), ""
    from transformers import AutoTokenizer  # seconds of imports

    found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not (folder / "tokenizer.json").is_file() or _as_written(found, folder / "tokenizer.json"):
        return found, ""
    if _class_of(folder) in GENERIC:
        return PreTrainedTokenizerFast.from_pretrained(folder), ""
    return (
        found,
        f"transformers' {type(found).__name__} cuts some texts otherwise than the model's tokenizer.json",
    )


def _as_written(found: Any, file: Path) -> bool:
    written = Tokenizer.from_file(str(file))
    written.no_padding()
    written.no_truncation()
    return all(
        written.encode(probe, add_special_tokens=False).ids
        == list(found(probe, add_special_tokens=False, verbose=False).input_ids)
        for probe in PROBES
    )


def _class_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / "tokenizer_config.json").read_text()).get("tokenizer_class"))
    except (OSError, ValueError, AttributeError):
        return ""
