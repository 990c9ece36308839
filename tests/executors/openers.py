"""What workers of the tests open: importable there, as what they are sent must be."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from icl.engine import load_model, resolve
from icl.engine.fake import FakeModel
from icl.errors import ModelError
from icl.protocols import LanguageModel


@dataclass(frozen=True)
class Fake:
    """The fake model."""

    delay: float = 0.0
    name: str = "fake"

    def open(self) -> LanguageModel:
        """See Opener."""
        return FakeModel(delay=self.delay, name=self.name)


@dataclass(frozen=True)
class Dies:
    """A fake model whose worker is killed at a prompt with `word` in it, as often as `folder` lacks files."""

    word: str
    folder: str
    times: int = 1

    def open(self) -> LanguageModel:
        """See Opener."""

        def score(prompt: str, continuation: str) -> float:
            if self.word in prompt and len(os.listdir(self.folder)) < self.times:
                (Path(self.folder) / str(time.monotonic_ns())).touch()
                time.sleep(0.5)  # what was answered before is on its way
                os.kill(os.getpid(), signal.SIGKILL)
            return -float(len(prompt) + len(continuation))

        model = FakeModel(score)
        model.fingerprint = "dies"  # not that of the function, which holds this object
        return model


@dataclass(frozen=True)
class Tells:
    """A fake model that is called after variables of its worker's environment."""

    variables: tuple[str, ...]

    def open(self) -> LanguageModel:
        """See Opener."""
        return FakeModel(name=",".join(os.environ.get(name, "-") for name in self.variables))


@dataclass(frozen=True)
class Fails:
    """Cannot be opened; kind: how."""

    kind: str

    def open(self) -> LanguageModel:
        """See Opener."""
        if self.kind == "dies":
            os._exit(3)
        if self.kind == "bug":
            raise ZeroDivisionError("nothing\nby nothing")
        raise ModelError("model 'x' cannot be read: it is damaged")


@dataclass(frozen=True)
class Unpackable:
    """Ends the worker that unpacks it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (5,)

    def open(self) -> LanguageModel:
        """See Opener."""
        return FakeModel()


@dataclass(frozen=True)
class Hangs:
    """A fake model that never answers a prompt with `word` in it, while `folder` is empty."""

    word: str
    folder: str

    def open(self) -> LanguageModel:
        """See Opener."""

        def score(prompt: str, continuation: str) -> float:
            if self.word in prompt and not os.listdir(self.folder):
                (Path(self.folder) / "hung").touch()
                time.sleep(10_000)
            return -float(len(prompt) + len(continuation))

        model = FakeModel(score)
        model.fingerprint = "hangs"
        return model


@dataclass(frozen=True)
class Reads:
    """A model from its files. Where they lay is written down in `folder`, by process."""

    model: str
    folder: str

    @property
    def needs(self) -> tuple[str, ...]:
        """See Needing."""
        return (self.model,)

    def open(self) -> LanguageModel:
        """See Opener."""
        (Path(self.folder) / str(os.getpid())).write_text(resolve(self.model).location, encoding="utf-8")
        return load_model(self.model, engine="naive")
