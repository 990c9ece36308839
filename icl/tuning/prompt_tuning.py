"""Prompt tuning: input embeddings before every text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from icl.components import check_choice
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.embeddings import of_virtual_tokens
from icl.tuning.shared.rooted import Given, RootedTuner
from icl.tuning.shared.words import start_ids

INITS = ("text", "vocabulary", "random")


@tuners.register(
    "prompt_tuning",
    paper="Lester et al. 2021, The Power of Scale for Parameter-Efficient Prompt Tuning",
)
@dataclass(kw_only=True)
class PromptTuning(RootedTuner):
    """`length` input embeddings are trained, all else stays. Training does not start at the base.

    init: "text", the embeddings of `text` (empty: the task's instruction and label words), repeated or cut
    to `length`: the base with these words before every text; "vocabulary", embeddings of tokens drawn from
    the vocabulary; "random", normal with the vocabulary's own spread.
    """

    name = "prompt_tuning"
    learning_rate: float | Sequence[float] = 3e-3
    init: Literal["text", "vocabulary", "random"] = "text"
    text: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("init", self.init, INITS)
        if not isinstance(self.text, str):
            raise ValueError(f"text is {self.text!r}; allowed: a text")

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """Embeddings in peft's form."""
        import peft

        config = peft.PromptTuningConfig(num_virtual_tokens=self.length, prompt_tuning_init="RANDOM")
        encoder = None
        if resources is not None:
            rows = self._start(network, resources)
            encoder = Given(*rows.shape)
            encoder.prompt_embeddings.data.copy_(rows)
        return of_virtual_tokens(network, config, encoder)

    @torch.no_grad()
    def _start(self, network: Network, resources: TuningResources) -> Tensor:
        """[length, width], fp32."""
        table = network.get_input_embeddings()
        count = table.weight.shape[0]
        if self.init == "random":
            spread = table.weight.float().std()
            drawn: Tensor = torch.randn(self.length, table.weight.shape[1]) * spread.cpu()
            return drawn
        if self.init == "vocabulary":
            ids = torch.randint(0, count, (self.length,))
        else:
            ids = torch.tensor(start_ids(self.text, self.length, resources, self.name))
        found: Tensor = table(ids.to(network.device)).float()
        return found
