"""What a server says of its models: whether the one that is asked for is there, and its context length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.backends.openai.answers import Garbled
from icl.backends.openai.client import Client, Refused
from icl.errors import ModelError, unknown_name

LASTING = ("root", "parent", "meta")
"""Parts of a model's entry that say what it is; the others say when and by whom it is served."""
PASSING = ("n_ctx",)


@dataclass(frozen=True, slots=True)
class Served:
    """One model of a server, by its own account. `names`: what it serves, where it says so."""

    context_length: int | None
    about: str
    """What lasts of the account, as JSON; "" where there is none."""
    names: tuple[str, ...] = ()


def served(client: Client) -> Served:
    """Of the model that the settings name. Raises ModelError where the server has others only."""
    settings = client.settings
    try:
        listed = client.one("/models", None, _models)
    except Refused:
        return Served(_of_llama(client), "")
    names = {name: entry for entry in listed for name in _names(entry)}
    entry = names.get(settings.model)
    if entry is None:
        raise ModelError(f"{settings.base_url}: {unknown_name('model', settings.model, names)}")
    about = {key: entry[key] for key in LASTING if entry.get(key)}
    meta = about.get("meta")
    if isinstance(meta, Mapping):
        about["meta"] = {key: value for key, value in meta.items() if key not in PASSING}
    length = entry.get("max_model_len") or (meta or {}).get("n_ctx")
    if type(length) is not int:
        length = _of_llama(client)
    return Served(length, json.dumps(about, sort_keys=True) if about else "", tuple(names))


def only_name(client: Client) -> str:
    """Of the one model that a server has. ModelError where it lists none or several."""
    listed = client.one("/models", None, _models)
    names = [name for entry in listed for name in _names(entry)[:1]]
    if len(names) != 1:
        said = ", ".join(names) or "none"
        raise ModelError(
            f"{client.settings.base_url} has not one model but: {said}; name the one that is meant"
        )
    return names[0]


def _names(entry: Mapping[str, Any]) -> list[str]:
    aliases = entry.get("aliases")
    others = aliases if isinstance(aliases, list) else []
    return [name for name in (entry.get("id"), *others) if isinstance(name, str)]


def _models(body: object) -> list[Mapping[str, Any]]:
    listed = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        raise Garbled("a list of models that is none")
    return listed


def _of_llama(client: Client) -> int | None:
    """llama.cpp's account of itself; None of others."""

    def read(body: object) -> int | None:
        settings = body.get("default_generation_settings") if isinstance(body, Mapping) else None
        length = settings.get("n_ctx") if isinstance(settings, Mapping) else None
        return length if type(length) is int else None

    try:
        return client.one(f"{client.settings.root}/props", None, read)
    except ModelError:
        return None
