"""A tuned model as a folder: what was trained and from what. peft reads it where it has the form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from icl.errors import DataError
from icl.training import Array, TrainingCost, Tuned

ABOUT = "tuning.json"
WEIGHTS = "adapter_model.safetensors"
PEFT = "adapter_config.json"
FORMAT = 1


def save_tuned(tuned: Tuned, folder: Path, about: Mapping[str, Any]) -> None:
    """Writes a folder: `adapter_model.safetensors`, `tuning.json` last (without it a folder is not whole),
    and `adapter_config.json` where peft has the form. about: base, seed, data; plain data."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in tuned.state.items()}, folder / WEIGHTS, {"format": "pt"})
    config = dict(tuned.config)
    peft = config.pop("peft", None)
    if peft is not None:
        _write(folder / PEFT, peft)
    said = {
        "format": FORMAT, **config, "cost": tuned.cost.plain, "notes": dict(tuned.notes), **about,
    }  # fmt: skip
    _write(folder / ABOUT, said)


def _write(path: Path, data: Mapping[str, Any]) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    beside.replace(path)


def read_about(folder: Path) -> dict[str, Any]:
    """tuning.json. DataError where it is missing or damaged."""
    path = folder / ABOUT
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: is not there: no tuned model was saved in this folder") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(held, dict) or held.get("format") != FORMAT or not isinstance(held.get("tuner"), str):
        raise DataError(f"{path}: is no tuned model of this icl (format {FORMAT})")
    return held


def read_state(folder: Path, digest: object = None) -> dict[str, Any]:
    """Names and tensors of what was trained. DataError where the file is missing, damaged, or not what was
    written. digest: of what was, where that is known."""
    path = folder / WEIGHTS
    try:
        state = dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if isinstance(digest, str) and digest_of_state(state) != digest:
        raise DataError(f"{folder}: its weights are not those that were written")
    return state


def digest_of_state(state: Mapping[str, Array]) -> str:
    """128 bits over names, shapes, types and bytes."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        total.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return total.hexdigest()


def cost_of(about: Mapping[str, Any]) -> TrainingCost:
    """What the training cost, as it was written. DataError for what is no number >= 0."""
    held = about.get("cost") or {}
    good = isinstance(held, Mapping) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v < float("inf")
        for v in held.values()
    )
    if not good:
        raise DataError(f"{ABOUT}: cost is {held!r}; allowed: names with numbers")
    return TrainingCost(**{k: v for k, v in held.items() if k in TrainingCost.__dataclass_fields__})
