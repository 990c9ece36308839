"""A GGUF file as a folder of plain safetensors, made once and kept in the user's cache.

transformers dequantises the weights; `settings` and `tokenizer` set the rest from what the file says.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from icl.engine.loading.gguf.file import GGUFFile
from icl.engine.loading.gguf.rope import TENSORS
from icl.engine.loading.gguf.settings import apply_settings
from icl.engine.loading.gguf.tokenizer import Built, build_tokenizer
from icl.errors import ModelError

VERSION = 2
"""Of what is written here. A folder of an earlier one is not used again, and fingerprints change with it."""
NOTES = "notes.json"
"""What must be said each time the folder is loaded."""
LEFT_OUT = ("attn_rot_embd", "nextn.", "mm.", "v.")
"""Tensors that a forward does without: tables of rotations, heads for tokens further on, eyes."""


def convert(path: Path, folder: Path) -> None:
    """Writes the model of a GGUF file into `folder`, which appears whole or not at all.

    Raises ModelError for a file that transformers cannot express as it is meant.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    file = GGUFFile(path)
    where, name = str(path.parent), path.name
    built = build_tokenizer(file)
    config = AutoConfig.from_pretrained(where, gguf_file=name)
    notes = [*built.notes, *apply_settings(file, config)]
    _check_vocabulary(file, built.tokenizer)
    _set_ids(config, built)
    network, read = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=name, config=config, dtype=torch.float32, output_loading_info=True
    )
    _check_weights(file, network, set(read["missing_keys"]) | set(read.get("mismatched_keys", ())))
    # the weights are plain now; left in place, these would make every later load quantised
    network.hf_quantizer = None
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    _set_ids(network.config, built)
    _set_ids(network.generation_config, built)
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    network.save_pretrained(part)
    built.tokenizer.save_pretrained(part)
    (part / NOTES).write_text(json.dumps(notes))
    try:
        os.replace(part, folder)
    except OSError:  # another process was faster
        shutil.rmtree(part, ignore_errors=True)


def notes_of(folder: Path) -> list[str]:
    """What must be said of a model folder that was made here; nothing of any other."""
    try:
        return [str(note) for note in json.loads((folder / NOTES).read_text())]
    except (OSError, ValueError):
        return []


def _set_ids(settings: Any, built: Built) -> None:
    settings.eos_token_id = built.ends or None
    settings.bos_token_id = built.tokenizer.bos_token_id
    settings.pad_token_id = built.tokenizer.pad_token_id


def _check_vocabulary(file: GGUFFile, tokenizer: Any) -> None:
    rows = file.shapes["token_embd.weight"][0]
    if len(tokenizer) > rows:
        raise ModelError(f"{file.path.name}: {len(tokenizer)} tokens, and an embedding of {rows} rows")


def _check_weights(file: GGUFFile, network: Any, missing: set[Any]) -> None:
    """Every weight of the network comes from the file, and every tensor of the file goes into it."""
    kind = f"transformers' {network.config.model_type}"
    tied = (
        set(getattr(network, "_tied_weights_keys", None) or ())
        if network.config.tie_word_embeddings
        else set()
    )
    for name, parameter in network.named_parameters():
        if name in missing and name.endswith(".bias"):  # none in the file is a bias of zero
            parameter.data.zero_()
    lacking = sorted(str(name) for name in missing if name not in tied and not str(name).endswith(".bias"))
    if lacking:
        raise ModelError(
            f"{file.path.name}: the file has no weights for {', '.join(lacking[:3])}"
            f"{' and others' if len(lacking) > 3 else ''} of {kind}"
        )
    dropped = sorted(_dropped(file, network))
    if dropped:
        raise ModelError(
            f"{file.path.name}: {kind} has no place for {', '.join(dropped[:3])}"
            f"{' and others' if len(dropped) > 3 else ''}; load the original (a folder or a hub id) instead"
        )


def _dropped(file: GGUFFile, network: Any) -> set[str]:
    """Tensors that transformers' reader passes over in silence."""
    from transformers.integrations.gguf import is_gguf_arch_supported
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    if is_gguf_arch_supported(file.architecture):  # its newer reader reports what it does not know
        return set()
    processor = TENSOR_PROCESSORS.get(file.architecture, TensorProcessor)(config=network.config.to_dict())
    places = get_gguf_hf_weights_map(network, processor)
    known = {*places, *(f"{name}.weight" for name in places)} | TENSORS
    unplaced = file.shapes.keys() - known
    return {name for name in unplaced if not any(part in name for part in LEFT_OUT)}
