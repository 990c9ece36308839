"""Tiny GGUF files with random weights, written with the gguf package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from transformers.convert_slow_tokenizer import bytes_to_unicode

HIDDEN, HEADS, KV_HEADS, LAYERS, WIDE, CONTEXT = 64, 4, 2, 2, 96, 256
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
MERGES = [
    "Ċ Ċ",
    "Ġ Ġ",
    "t h",
    "Ġ th",
    "Ċ Ġ",
    "e r",
    "1 2",
    "12 3",
    "Ġ 1",
    "' s",
    "l l",
    "h e",
    "he ll",
    "hell o",
]


def byte_level(
    pre: str | None = "gpt-2",
    control: Sequence[str] = ("<|start|>", "<|stop|>"),
    words: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """A byte-level vocabulary: control tokens, 256 bytes, what the merges make, user-defined words."""
    merged = ["".join(merge.split(" ")) for merge in MERGES]
    tokens = [*control, *bytes_to_unicode().values(), *merged, *words]
    types = [CONTROL] * len(control) + [NORMAL] * (256 + len(merged)) + [USER_DEFINED] * len(words)
    said = {"model": "gpt2", "tokens": tokens, "token_type": types, "merges": MERGES}
    said |= {"bos_token_id": 0, "eos_token_id": 1, "add_bos_token": False}
    return said | ({} if pre is None else {"pre": pre}) | more


def sentencepiece(**more: Any) -> dict[str, Any]:
    """A SentencePiece vocabulary with byte fallback."""
    pieces = [
        "▁",
        "h",
        "e",
        "l",
        "o",
        "a",
        "b",
        "▁h",
        "el",
        "lo",
        "▁hel",
        "▁hello",
        "hello",
        "▁a",
        "▁▁",
        "hel",
    ]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *pieces, "[INST]"]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(pieces), CONTROL]
    scores = [0.0] * 259 + [float(-i) for i in range(len(pieces))] + [0.0]
    said = {"model": "llama", "tokens": tokens, "token_type": types, "scores": scores}
    return said | {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0} | more


def weights(
    vocabulary: int,
    names: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    head: int = HIDDEN // HEADS,
) -> dict[str, np.ndarray]:
    """Tensors of a small Llama; `names` adds others or, with an empty shape, leaves some out."""
    q, kv = HEADS * head, KV_HEADS * head
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, HIDDEN),
        "output_norm.weight": (HIDDEN,),
    }
    for i in range(LAYERS):
        block = {
            "attn_norm": (HIDDEN,),
            "attn_q": (q, HIDDEN),
            "attn_k": (kv, HIDDEN),
            "attn_v": (kv, HIDDEN),
            "attn_output": (HIDDEN, q),
            "ffn_norm": (HIDDEN,),
            "ffn_gate": (WIDE, HIDDEN),
            "ffn_up": (WIDE, HIDDEN),
            "ffn_down": (HIDDEN, WIDE),
        }
        shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in block.items()}
    shapes |= names or {}
    random = np.random.default_rng(seed)
    made = {}
    for name, shape in shapes.items():
        if shape:
            around = 1.0 if "norm" in name and name.endswith(".weight") else 0.0
            scale = 0.1 if around else 2.0 if "attn_q" in name or "attn_k" in name else 1.0
            noise = random.standard_normal(shape) * scale / np.sqrt(shape[-1])
            made[name] = (around + noise).astype(np.float32)
    return made


def write(
    path: Path,
    vocabulary: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
    *,
    architecture: str = "llama",
    name: str = "tiny",
    template: str | None = None,
) -> Path:
    """One file; keys of `settings` are those of the architecture and replace the small Llama's."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    usual = {
        "context_length": CONTEXT,
        "embedding_length": HIDDEN,
        "block_count": LAYERS,
        "feed_forward_length": WIDE,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 10000.0,
    }
    for key, value in {**usual, **(settings or {})}.items():
        if value is not None:
            _add(writer, f"{architecture}.{key}", value)
    for key, value in vocabulary.items():
        _add(writer, f"tokenizer.ggml.{key}", value)
    if template:
        writer.add_chat_template(template)
    for tensor, array in (tensors or weights(len(vocabulary["tokens"]))).items():
        writer.add_tensor(tensor, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
