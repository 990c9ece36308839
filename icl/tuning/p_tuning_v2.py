"""P-tuning v2: keys and values before every text, trained as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from icl.protocols import tuners
from icl.tuning.shared.prefixes import PrefixTuner


@tuners.register(
    "p_tuning_v2",
    paper="Liu et al. 2022, P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally",
)
@dataclass(kw_only=True)
class PTuningV2(PrefixTuner):
    """Every layer finds `length` keys and values before every text, which are themselves trained.

    Prefix tuning without its MLP. Training does not start at the base.
    """

    name = "p_tuning_v2"
    learning_rate: float | Sequence[float] = 1e-2

    def encoder(self, config: Any, start: Tensor | None) -> nn.Module:
        """peft's table of rows."""
        import peft

        made: Any = peft.PrefixEncoder(config)  # type: ignore[no-untyped-call]
        if start is not None:
            made.load_prompt_embeddings(start)
        return made  # type: ignore[no-any-return]
