"""What was tuned before, taken over from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from icl.protocols import ALL_KINDS, Tuner, TuningResources, tuners
from icl.training import Array, Network, Tuned
from icl.types import Example

NO_NEEDS: frozenset[str] = frozenset()


@tuners.register("saved")
class Saved:
    """A folder that `icl tune` wrote, or a tuning of a run folder. Nothing is trained: the costs are those
    that were written down.

    folder: with tuning.json and adapter_model.safetensors in it. The base must be the model that is asked;
    the task may be another than the one that was trained on.
    """

    kinds = ALL_KINDS
    needs = NO_NEEDS

    def __init__(self, *, folder: str) -> None:
        if not isinstance(folder, str) or not folder:
            raise ValueError(f"folder is {folder!r}; allowed: the path of a folder that holds a tuning")
        self.folder = folder

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """Reads the folder; the pool is not looked at. DataError where it cannot be read, ModelError where
        its weights do not fit the network."""
        from icl.tuning.shared.folder import cost_of, read_state

        about, made = self._about(), self.restore(read_state(Path(self.folder)), resources.network)
        notes = about.get("notes")
        kept = dict(notes) if isinstance(notes, Mapping) else {}
        return replace(made, cost=cost_of(about), notes={**kept, "taken_from": self.folder})

    def restore(self, state: Mapping[str, Array], network: Network) -> Tuned:
        """See protocols.Tuner."""
        return self._tuner().restore(state, network)

    def _about(self) -> dict[str, Any]:
        from icl.tuning.shared.folder import read_about

        return read_about(Path(self.folder))

    def _tuner(self) -> Tuner:
        about = self._about()
        parameters = about.get("parameters")
        given = parameters if isinstance(parameters, Mapping) else {}
        return tuners.create(about["tuner"], {key.rstrip("_"): value for key, value in given.items()})
