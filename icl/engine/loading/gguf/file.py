"""The metadata and tensors of one GGUF file, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.errors import ModelError


@dataclass(frozen=True)
class GGUFFile:
    """A GGUF file: `metadata` by key, tensors by name. Weights are read when asked for."""

    path: Path

    @cached_property
    def _reader(self) -> Any:
        from gguf import GGUFReader

        try:
            return GGUFReader(self.path)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise ModelError(f"{self.path.name} is not a GGUF file that can be read: {error}") from error

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Every key with its value; arrays as lists."""
        return {key: field.contents() for key, field in self._reader.fields.items()}

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture, which begins the keys about it."""
        return str(self.metadata.get("general.architecture", ""))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The keys about the architecture, without its name before them."""
        head = f"{self.architecture}."
        return {key.removeprefix(head): v for key, v in self.metadata.items() if key.startswith(head)}

    @cached_property
    def vocabulary(self) -> dict[str, Any]:
        """The keys about the tokenizer, without "tokenizer.ggml."."""
        head = "tokenizer.ggml."
        return {key.removeprefix(head): v for key, v in self.metadata.items() if key.startswith(head)}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor names with their shapes, rows first."""
        return {t.name: tuple(int(n) for n in reversed(t.shape)) for t in self._reader.tensors}

    def tensor(self, name: str) -> NDArray[np.float32]:
        """One tensor, dequantised."""
        from gguf import dequantize

        found = next(t for t in self._reader.tensors if t.name == name)
        return np.asarray(dequantize(found.data, found.tensor_type), dtype=np.float32)
