"""Rounds in which a model is asked until there are enough instructions, or none come any more."""

from __future__ import annotations

from dataclasses import dataclass

from icl.components import check_number, check_stops
from icl.instructions.contract import Work
from icl.types import GenerateRequest, Sample


@dataclass(kw_only=True)
class Sampling:
    """How a model is asked; published values are the defaults of each generator.

    per_round: prompts of a round, which all see what was kept before it (published: 5). patience: rounds
    without a new row after which it is over. max_tokens, temperature, top_p, top_k, presence_penalty,
    frequency_penalty, stop: as of a request.
    """

    per_round: int = 5
    patience: int = 20
    max_tokens: int = 1024
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    def check_sampling(self) -> None:
        """ValueError for what no request can have."""
        for name in ("per_round", "patience", "max_tokens"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("temperature", self.temperature, low=0)
        check_number("top_p", self.top_p, low=0, high=1)
        check_number("top_k", self.top_k, low=0, whole=True)
        for name in ("presence_penalty", "frequency_penalty"):
            check_number(name, getattr(self, name), low=-2, high=2)

    def request(
        self, work: Work, prompt: str, stop: tuple[str, ...], *item: object, ignore_eos: bool = False
    ) -> GenerateRequest:
        """One text after the prompt, its seed that of the item."""
        check_stops(stop)
        return GenerateRequest(
            prompt,
            max_tokens=work.room(prompt, self.max_tokens),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=stop,
            seed=work.request_seed(*item),
            ignore_eos=ignore_eos,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )


@dataclass
class Progress:
    """How far the rounds have come."""

    wanted: int
    patience: int
    kept: int = 0
    rounds: int = 0
    idle: int = 0

    @property
    def going_on(self) -> bool:
        """Whether another round is asked."""
        return self.kept < self.wanted and self.idle < self.patience

    def round_over(self, new: int) -> None:
        """One more round, with so many new ones."""
        self.rounds += 1
        self.kept += new
        self.idle = 0 if new else self.idle + 1

    def note(self, work: Work) -> None:
        """What a reader of the card should know."""
        work.notes["rounds"] = self.rounds
        if self.kept < self.wanted:
            work.notes["stopped_early"] = (
                f"{self.kept} of {self.wanted} after {self.patience} rounds without a new one"
            )


def was_cut(sample: Sample) -> bool:
    """Whether the text ended because it had to."""
    return sample.stop_reason == "length"
