"""Language models that are not icl's own engine, by name: `model: {openai: {...}}`.

Each registers a class whose constructor only checks and stores. A class may say in `circumstances` which of
its options never change what a model answers (how many requests at once, how long to wait): they are no
part of the model's name and may change between two sessions of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from icl.engine.fake import FakeModel
from icl.protocols import LanguageModel
from icl.registry import Registry
from icl.types import Request


@runtime_checkable
class Recomputing(Protocol):
    """What a model may offer besides, where it forwards more than each shared prefix once."""

    @property
    def recomputes(self) -> str:
        """What it forwards again and why, as the end of a sentence of `icl plan`."""
        ...

    def forwards(self, requests: Sequence[Request]) -> int:
        """Tokens of the prompts and continuations of one call that it would forward. Loads no weights."""
        ...


@runtime_checkable
class SaysLabels(Protocol):
    """What a model may offer besides, where not every one of its kind gives log-probabilities of labels."""

    def check_labels(self) -> None:
        """Raises ModelError where this one does not: "http://... gives none". May ask a server."""
        ...


BACKENDS: Registry[LanguageModel] = Registry("model backend", ("icl.backends",), LanguageModel)
BACKENDS.register("fake")(FakeModel)


def essential(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a backend that make the model, without its circumstances."""
    circumstances: frozenset[str] = getattr(BACKENDS.entry(name).factory, "circumstances", frozenset())
    return {key: value for key, value in options.items() if key not in circumstances}
