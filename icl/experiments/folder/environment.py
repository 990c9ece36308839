"""In what results were made: versions and hardware, by a key that stands in every cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from icl.experiments.folder.manifest import hardware
from icl.experiments.folder.versions import versions


def environment() -> dict[str, Any]:
    """This process: {"versions": {package: version}, "hardware": {...}}."""
    return {"versions": versions(), "hardware": hardware()}


def key_of(environment: Mapping[str, Any]) -> str:
    """Eight letters and digits; the same wherever the environment is."""
    text = json.dumps(environment, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def of_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """That of a whole folder, for cells from before they said theirs: its last session's."""
    return {part: dict(manifest.get(part) or {}) for part in ("versions", "hardware")}
