"""icl models --backends."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from icl.cli.tables import show
from icl.errors import ConfigError, IclError

if TYPE_CHECKING:
    from icl.backends.abilities import Abilities

EMBEDDED = "smollm2-135m-instruct"
NAMES = {
    "scoring": "scoring",
    "generation": "generation",
    "logprobs": "log-probabilities",
    "chat": "chat",
    "sharing": "shared prefixes",
    "determinism": "same again",
}
"""Field of Abilities -> header."""


def show_measured(file: Path | None, base_url: str | None, as_json: bool) -> None:
    """Measures the models of the file, or those at hand. A model that cannot be opened keeps none back."""
    from icl.backends import BACKENDS
    from icl.experiments.asking.models import check_models
    from icl.experiments.file.config import read_experiment

    if file is not None and base_url is not None:
        raise ConfigError("--base-url: the file names its servers itself")
    experiment, source = read_experiment(_at_hand(base_url) if file is None else file)
    check_models(experiment, source)
    measured = [_measured(one) for one in experiment.each]
    if as_json:
        typer.echo(json.dumps({"models": [_as_json(*row) for row in measured]}, indent=2))
        return
    rows = [(name, BACKENDS.entry(name).summary) for name in BACKENDS]
    note = "model: {BACKEND: {options}}, see docs/backends.md."
    show("backends", ("backend", "what it is"), rows, note=note)
    show(
        "measured now",
        ("model", *NAMES.values(), "engine"),
        [_row(*row) for row in measured],
        note="Fewer tokens and faster: prompts with one beginning against as many with others.",
    )
    if file is None and importlib.util.find_spec("vllm") is None:
        typer.echo("vllm: not installed here (pip install 'icl[vllm]')", err=True)


def _at_hand(base_url: str | None) -> dict[str, Any]:
    """An experiment on the models that are at hand."""
    models: list[Any] = [EMBEDDED, "fake"]
    if importlib.util.find_spec("vllm") is not None:
        models.append({"vllm": {"model": EMBEDDED}})
    url = base_url or os.environ.get("OPENAI_BASE_URL")
    if url:
        from icl.backends.openai.model import OpenAIModel
        from icl.backends.openai.served import only_name

        try:
            asked = OpenAIModel("any", base_url=url)
        except ValueError as error:
            raise ConfigError(f"--base-url: {error}") from error
        models.append({"openai": {"model": only_name(asked.client), "base_url": url}})
    grid = {"selector": ["zero_shot"], "shots": [0]}
    return {"name": "here", "model": models, "task": "questions", "grid": grid}


def _measured(one: Any) -> tuple[str, Abilities | str, str]:
    """The model's label, what it gives or why it cannot be asked, what computes. one: of one model."""
    from icl.backends.abilities import measure
    from icl.experiments.asking.models import open_model

    typer.echo(f"asking {one.model_label}", err=True)
    try:
        model = open_model(one)
    except IclError as error:
        return one.model_label, f"no: {error}", ""
    found = measure(model)
    return one.model_label, found, str(getattr(model, "engine", type(model).__name__))


def _row(label: str, found: Abilities | str, engine: str) -> tuple[str, ...]:
    if isinstance(found, str):
        return (label, found, *[""] * len(NAMES))
    return (label, *(getattr(found, name).said for name in NAMES), engine)


def _as_json(label: str, found: Abilities | str, engine: str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"model": label, "error": found.removeprefix("no: ")}
    return {"model": label, "engine": engine, **asdict(found)}
