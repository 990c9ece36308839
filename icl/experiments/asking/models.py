"""From the `model:` of an experiment to a language model, or to what can be known without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.engine import load_model, load_tokenizer, resolve
from icl.engine.fake import FakeModel
from icl.engine.loading.files import local_folder
from icl.engine.loading.sources import agreed_context
from icl.errors import ConfigError, IclError, unknown_name
from icl.experiments.file.config import Experiment, Source
from icl.protocols import LanguageModel, Tokenizer
from icl.registry import Registry

BACKENDS: Registry[LanguageModel] = Registry("model backend", (), LanguageModel)
BACKENDS.register("fake")(FakeModel)


@dataclass(frozen=True, slots=True)
class TokenizerOnly:
    """What is known of a model before its weights are loaded."""

    name: str
    tokenizer: Tokenizer
    context_length: int


def check_model(experiment: Experiment, source: Source) -> None:
    """Raises ConfigError, with the file's line, if the model cannot be found. Loads nothing."""
    try:
        if isinstance(experiment.model, str):
            resolve(experiment.model)
        else:
            backend, options = _backend(experiment.model)
            if backend not in BACKENDS:
                raise ConfigError(unknown_name("model backend", backend, BACKENDS))
            BACKENDS.create(backend, options)
    except IclError as error:
        raise source.error(("model",), str(error)) from error
    if experiment.context_length is not None and not isinstance(experiment.model, str):
        raise source.error(("context_length",), "a backend takes it among its options, if at all")


def model_source(experiment: Experiment) -> str:
    """In words, for the manifest."""
    if isinstance(experiment.model, str):
        return resolve(experiment.model).origin
    return f"backend {_backend(experiment.model)[0]}"


def open_model(experiment: Experiment, *, max_memory: int | None = None) -> LanguageModel:
    """Loads the model. Raises ModelError if it cannot be read."""
    if isinstance(experiment.model, str):
        return load_model(
            experiment.model,
            engine=experiment.engine,
            dtype=experiment.dtype,
            max_memory=max_memory,
            context_length=experiment.context_length,
            batch_invariant=experiment.batch_invariant,
        )
    backend, options = _backend(experiment.model)
    return BACKENDS.create(backend, options)


def open_tokenizer(experiment: Experiment) -> TokenizerOnly:
    """The tokenizer and the context length; no weights are read. Raises ModelError."""
    if not isinstance(experiment.model, str):
        model = open_model(experiment)
        return TokenizerOnly(model.name, model.tokenizer, model.context_length)
    source = resolve(experiment.model)
    if source.kind == "fake":
        length = experiment.context_length
        fake = FakeModel() if length is None else FakeModel(context_length=length)
        return TokenizerOnly(fake.name, fake.tokenizer, fake.context_length)
    tokenizer = load_tokenizer(experiment.model)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(local_folder(source)[0], trust_remote_code=False)
    length = agreed_context(config, experiment.context_length, experiment.model)
    return TokenizerOnly(experiment.model, tokenizer, length)


def context_without_weights(experiment: Experiment) -> int | None:
    """The context length of the fake model; None for others, whose files say it."""
    plain = isinstance(experiment.model, str)
    name = experiment.model if plain else _backend(experiment.model)[0]  # type: ignore[arg-type]
    try:
        return open_tokenizer(experiment).context_length if name == "fake" else None
    except IclError:  # said by `check_model`
        return None


def _backend(model: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    ((backend, options),) = model.items()
    return backend, dict(options)
