"""Adapters that peft has written: into a network, in the form in which it is asked."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from icl.errors import DataError, ModelError
from icl.training import GivenKeysValues, Network, Root, VirtualTokens
from icl.tuning.shared.folder import PEFT, WEIGHTS
from icl.tuning.shared.rooted import KEPT

EMBEDDINGS = ("PROMPT_TUNING", "P_TUNING")
PREFIX = "PREFIX_TUNING"
OTHER_FORWARD = ("CPT", "MULTITASK_PROMPT_TUNING", "CARTRIDGE", "POLY", "XLORA")
"""They compute something around the layers, or are told the task with every call."""


def read_adapter(folder: Path) -> dict[str, Any]:
    """adapter_config.json. DataError where it is missing, damaged, or of a kind that cannot be asked here."""
    path = folder / PEFT
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    kind = held.get("peft_type") if isinstance(held, dict) else None
    if not (isinstance(held, dict) and isinstance(kind, str)):
        raise DataError(f"{path}: is no configuration of an adapter (it has no peft_type)")
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    if kind not in [getattr(known, "value", known) for known in PEFT_TYPE_TO_CONFIG_MAPPING]:
        raise DataError(f"{path}: peft_type is {kind!r}, which this peft does not know")
    if kind in OTHER_FORWARD or held.get("alora_invocation_tokens"):
        what = kind if kind in OTHER_FORWARD else "activated LoRA"
        raise DataError(f"{path}: {what} is more than a change of the layers or of what stands before a text")
    if held.get("task_type") not in (None, "CAUSAL_LM"):
        raise DataError(f"{path}: task_type is {held['task_type']!r}; allowed: CAUSAL_LM")
    if not (folder / WEIGHTS).is_file() and (folder / "adapter_model.bin").is_file():
        raise DataError(f"{folder}: adapter_model.bin is a pickle, which is not read; save it as {WEIGHTS}")
    return held


def put(
    config: Mapping[str, Any], state: Mapping[str, Tensor], network: Network
) -> tuple[Network, Root | None]:
    """The network with the adapter in it, merged where its kind merges, else as modules; or untouched, and
    what stands before every text. ModelError where names or shapes are not those of the network."""
    kind = str(config["peft_type"])
    if kind in EMBEDDINGS:
        wanted = (int(config["num_virtual_tokens"]), network.get_input_embeddings().weight.shape[1])
        rows = _rows(state, wanted, config)
        return network.requires_grad_(False).eval(), VirtualTokens(rows.to(network.device))
    if kind == PREFIX:
        return network.requires_grad_(False).eval(), _prefix(config, state, network)
    return _modules(config, state, network), None


def _rows(state: Mapping[str, Tensor], wanted: tuple[int, int], config: Mapping[str, Any]) -> Tensor:
    found = state.get(KEPT)
    if found is None or tuple(found.shape) != wanted:
        has = "is not in it" if found is None else f"is {tuple(found.shape)}, here {wanted}"
        raise ModelError(_unfit(config, f"{KEPT} {has}"))
    return found.detach().float().clone()


def _prefix(config: Mapping[str, Any], state: Mapping[str, Tensor], network: Network) -> Root:
    from icl.tuning.shared.prefixes import activations, as_keys_and_values

    _, layers, _, heads, size = shape = activations(network, (0,), "saved").shape
    length = int(config["num_virtual_tokens"])
    rows = _rows(state, (length, layers * 2 * heads * size), config)
    root: GivenKeysValues = as_keys_and_values(rows.to(network.device), shape)
    return root


def _modules(config: Mapping[str, Any], state: Mapping[str, Tensor], network: Network) -> Network:
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = peft.PeftConfig.from_peft_type(**config)  # type: ignore[no-untyped-call]
            made.inference_mode = True
            model: Any = peft.get_peft_model(network, made)
            peft.set_peft_model_state_dict(model, dict(state))
            own = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
        except (ValueError, TypeError, RuntimeError, KeyError, AttributeError) as error:
            raise ModelError(_unfit(config, _said(error))) from error
    missing = sorted(own.keys() - state.keys())
    more = sorted(state.keys() - own.keys() - model.state_dict().keys())
    if missing or more:
        raise ModelError(
            _unfit(config, f"{missing[0]} is not in it" if missing else f"{more[0]} is not in this model")
        )
    done = _merged(model)
    done.requires_grad_(False)
    return done.eval()


@torch.no_grad()
def _merged(model: Any) -> Network:
    """Merged if its kind merges."""
    try:
        return model.merge_and_unload(safe_merge=True)
    except (AttributeError, NotImplementedError, TypeError):
        return model.get_base_model()


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "size mismatch" in line), lines[0] if lines else "").rstrip(".")


def _unfit(config: Mapping[str, Any], what: str) -> str:
    base = config.get("base_model_name_or_path")
    of = f" (it names {base!r} as its base)" if base else ""
    return f"the adapter ({config['peft_type']}) does not fit this model{of}: {what}"
