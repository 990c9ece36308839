"""What a manifest must look like to be read: the entries that icl itself reads again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from icl.errors import DataError


class _Overlap(BaseModel):
    summary: str
    dropped: dict[str, Any]


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True)

    cells: list[dict[str, Any]] = []
    data: dict[str, str] = {}
    queries: dict[str, int] = {}
    tasks: dict[str, dict[str, Any]] = {}
    overlap: dict[str, _Overlap] = {}
    tunings: dict[str, dict[str, Any]] = {}
    environments: dict[str, dict[str, Any]] = {}
    sessions: list[dict[str, Any]] = []
    model: dict[str, Any] | None = None
    models: dict[str, dict[str, Any]] = {}
    encoder: dict[str, Any] | None = None


def check_shape(manifest: dict[str, Any], path: Path) -> None:
    """Raises DataError naming the first entry that is not what a run writes there."""
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: is damaged ({key}: {first['msg']}); begin anew with --restart") from error
