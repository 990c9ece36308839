"""From the `model:` of an experiment to a language model, or to what can be known without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from icl.backends import BACKENDS, Recomputing
from icl.engine import load_model, load_tokenizer, resolve
from icl.engine.fake import FakeModel
from icl.engine.loading.files import local_folder
from icl.engine.loading.load import default_precision, fingerprint_of
from icl.engine.loading.sources import agreed_length
from icl.engine.measuring.sizes import longest_text
from icl.errors import IclError
from icl.experiments.file.config import Experiment, Source
from icl.experiments.file.models import Plain
from icl.protocols import LanguageModel, Tokenizer


@dataclass(frozen=True)
class TokenizerOnly:
    """What is known of a model before its weights are loaded."""

    name: str
    tokenizer: Tokenizer
    read_context: Callable[[], int]
    """Reading a configuration takes seconds, once: not everybody wants to know."""
    read_fingerprint: Callable[[], str] = lambda: ""
    recomputing: Recomputing | None = None
    """Where it forwards more than each shared prefix once: it says how much."""

    @cached_property
    def context_length(self) -> int:
        """In tokens. Raises ConfigError where the experiment asks for more than the model takes."""
        return self.read_context()

    @cached_property
    def fingerprint(self) -> str:
        """That of the model once it is loaded."""
        return self.read_fingerprint()


def check_models(experiment: Experiment, source: Source) -> None:
    """Raises ConfigError, with the file's line, if one of the models cannot be found, or if two of them are
    the same under two names. Loads nothing."""
    met: dict[tuple[str, ...], str] = {}
    for at, one in enumerate(experiment.each):
        path = ("model",) if isinstance(experiment.model, str | dict) else ("model", at)
        choice = one.choice
        try:
            if choice.is_backend:
                BACKENDS.create(choice.name, choice.options)
            else:
                found = resolve(choice.name)
        except IclError as error:
            several = not choice.is_backend and not isinstance(one.model, str)
            hint = f". Backends with options: {', '.join(BACKENDS)}" if several else ""
            raise source.error(path, f"{error}{hint}") from error
        if choice.is_backend:
            if one.context_length is not None:
                raise source.error(("context_length",), "a backend takes it among its options, if at all")
            continue
        rest = (one.dtype, one.engine, one.context_length, one.batch_invariant)
        key = (found.kind, found.location, found.gguf_file or "", *map(str, rest))
        if key in met:
            raise source.error(path, f"{choice.label!r} is the same model as {met[key]!r}")
        met[key] = choice.label


def only_model(model: Plain) -> Experiment:
    """An experiment that says no more than which model: what opens one reads its settings there."""
    grid = {"selector": "zero_shot", "shots": 0}
    given = {"name": "model", "model": model, "task": "questions", "grid": grid}
    (one,) = Experiment.model_validate(given).each
    return one


def model_source(experiment: Experiment) -> str:
    """In words, for the manifest. experiment: of one model, as in all that follows."""
    choice = experiment.choice
    return f"backend {choice.name}" if choice.is_backend else resolve(choice.name).origin


def open_model(experiment: Experiment, *, max_memory: int | None = None) -> LanguageModel:
    """Loads the model. Raises ModelError if it cannot be read."""
    choice = experiment.choice
    if choice.is_backend:
        return BACKENDS.create(choice.name, choice.options)
    return load_model(
        choice.name,
        engine=experiment.engine,
        dtype=experiment.dtype,
        max_memory=max_memory,
        context_length=experiment.context_length,
        batch_invariant=experiment.batch_invariant,
    )


def files_needed(experiment: Experiment) -> tuple[str, ...]:
    """Names of the models whose files an executor has to have at hand."""
    choice = experiment.choice
    return () if choice.is_backend else (choice.name,)


def open_tokenizer(experiment: Experiment) -> TokenizerOnly:
    """The tokenizer and the context length; no weights are read. Raises ModelError."""
    choice = experiment.choice
    if choice.is_backend:
        model = open_model(experiment)
        again = model if isinstance(model, Recomputing) else None
        return TokenizerOnly(
            model.name, model.tokenizer, lambda: model.context_length, lambda: model.fingerprint, again
        )
    source = resolve(choice.name)
    if source.kind == "fake":
        length = experiment.context_length
        fake = FakeModel() if length is None else FakeModel(context_length=length)
        return TokenizerOnly(fake.name, fake.tokenizer, lambda: fake.context_length, lambda: fake.fingerprint)
    tokenizer = load_tokenizer(choice.name)

    def context() -> int:
        return agreed_length(longest_text(choice.name), experiment.context_length, choice.name)

    def fingerprint() -> str:
        precision = experiment.dtype or default_precision()
        weights = local_folder(source)[1]
        return fingerprint_of(weights, tokenizer, precision, experiment.batch_invariant)

    return TokenizerOnly(choice.name, tokenizer, context, fingerprint)


def context_without_weights(experiment: Experiment) -> int | None:
    """The shortest context length of fake models; None without one: the files of others say theirs."""
    found = []
    for one in experiment.each:
        try:
            if one.choice.name == "fake":
                found.append(open_tokenizer(one).context_length)
        except IclError:  # said by `check_models`
            continue
    return min(found, default=None)
