"""What was tuned before, taken over from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from icl.errors import ModelError
from icl.protocols import ALL_KINDS, Tuner, TuningResources, tuners
from icl.training import Array, Network, TrainingCost, Tuned
from icl.types import Example

NO_NEEDS: frozenset[str] = frozenset()


@tuners.register("saved")
class Saved:
    """A folder that `icl tune` wrote, a tuning of a run folder, or an adapter that peft saved.

    Nothing is trained: the costs are those that were written down. folder: with adapter_model.safetensors in
    it, and tuning.json or peft's adapter_config.json. The base must be the model that is asked; the task may
    be another than the one that was trained on. adapter: peft's configuration where it is at hand, in place
    of the file.
    """

    kinds = ALL_KINDS
    needs = NO_NEEDS
    example_parameters: ClassVar[dict[str, Any]] = {"folder": "adapters/example"}

    def __init__(self, *, folder: str, adapter: Mapping[str, Any] | None = None) -> None:
        if not isinstance(folder, str) or not folder:
            raise ValueError(f"folder is {folder!r}; allowed: the path of a folder that holds a tuning")
        if adapter is not None and not (isinstance(adapter, Mapping) and "peft_type" in adapter):
            raise ValueError("adapter is no configuration of peft's; allowed: nothing, it is in the folder")
        self.folder = folder
        self.adapter = adapter

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """Reads the folder; the pool is not looked at. DataError where it cannot be read, ModelError where it
        is of another base, as it says itself or as its weights show."""
        from icl.tuning.shared.folder import cost_of, read_state

        about: Mapping[str, Any] = {}
        if plain_peft(self.folder):
            from icl.tuning.shared.peft_folder import read_adapter

            read_adapter(Path(self.folder))
        else:
            about = self._about()
            self._check_base(about, resources.fingerprint)
        state = read_state(Path(self.folder), about.get("digest"))
        if not about:
            made = self.restore(state, resources.network)
            cost = TrainingCost(trainable=sum(tensor.numel() for tensor in state.values()))
            notes = {"taken_from": self.folder, "cost": "not known: peft's folder does not tell"}
            return replace(made, cost=cost, notes=notes)
        made = self.restore(state, resources.network)
        said = about.get("notes")
        kept = dict(said) if isinstance(said, Mapping) else {}
        return replace(made, cost=cost_of(about), notes={**kept, "taken_from": self.folder})

    def restore(self, state: Mapping[str, Array], network: Network) -> Tuned:
        """See protocols.Tuner."""
        if self.adapter is None and not plain_peft(self.folder):
            return self._tuner().restore(state, network)
        from icl.tuning.shared.peft_folder import put, read_adapter

        adapter = dict(self.adapter or read_adapter(Path(self.folder)))
        made, root = put(adapter, state, network)
        parameters = {"folder": self.folder, "adapter": adapter}
        return Tuned(made, root, dict(state), {"tuner": "saved", "parameters": parameters, "peft": adapter})

    def _about(self) -> dict[str, Any]:
        from icl.tuning.shared.folder import read_about

        return read_about(Path(self.folder))

    def _tuner(self) -> Tuner:
        about = self._about()
        parameters = about.get("parameters")
        given = parameters if isinstance(parameters, Mapping) else {}
        return tuners.create(about["tuner"], {key.rstrip("_"): value for key, value in given.items()})

    def _check_base(self, about: Mapping[str, Any], here: str) -> None:
        of = about.get("of")
        base = of.get("base") if isinstance(of, Mapping) else None
        if isinstance(base, str) and base and here and here != base and not here.startswith(f"{base}-"):
            raise ModelError(
                f"{self.folder}: was trained on another base, with weights and tokenizer {base}; "
                f"here they are {here}"
            )


def plain_peft(folder: str) -> bool:
    """Whether peft has written it, and not icl."""
    from icl.tuning.shared.folder import ABOUT, PEFT

    place = Path(folder)
    return not (place / ABOUT).is_file() and (place / PEFT).is_file()
