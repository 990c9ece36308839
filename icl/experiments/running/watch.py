"""Tells a meter how far trainings are, one alone or several side by side."""

from __future__ import annotations

import time
from dataclasses import dataclass

from icl.experiments.running.progress import Meter
from icl.training import TrainingCost, TrainingStep


@dataclass(slots=True)
class _Pace:
    """The clock runs from the end of the first step: what came before it was set-up, or had been done by an
    earlier session."""

    first: float = 0.0
    tokens: int = 0
    steps: int = 0
    short: str = ": begins"
    text: str = ": begins"

    def step(self, step: TrainingStep) -> None:
        """One step of one of perhaps several runs."""
        run = f", {step.run}" if step.run else ""
        self.short = f"step {step.step}/{step.of}"
        self.text = f"{self.short}, loss {step.loss:.3f}"
        if self.first:
            self.tokens += step.tokens
            self.steps += 1
            elapsed = max(time.monotonic() - self.first, 1e-9)
            left = (step.of - step.step) * elapsed / self.steps
            self.text += f", {self.tokens / elapsed:,.0f} tokens/s, {left:,.0f} s left"
        self.first = self.first or time.monotonic()
        self.short, self.text = f"{run}: {self.short}", f"{run}: {self.text}"


class Watch:
    """What is under way, by the words of each tuning."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._under_way: dict[str, _Pace] = {}
        self._began = 0.0

    def begin(self, words: str) -> None:
        """Perhaps not for the first time."""
        if not self._under_way:
            self._began = time.monotonic()
        self._under_way[words] = _Pace()
        self._meter.note(f"tuning {words}: training")

    def step(self, words: str, step: TrainingStep) -> None:
        """The first that is under way is said in full, the others in short."""
        self._under_way[words].step(step)
        (first, pace), *others = self._under_way.items()
        said = [f"tuning {first}{pace.text}", *(f"{other}{of.short}" for other, of in others)]
        self._meter.trains("; ".join(said))

    def end(self, words: str, cost: TrainingCost | None = None) -> None:
        """cost: None where it came to nothing."""
        del self._under_way[words]
        if not self._under_way:
            self._meter.trained(time.monotonic() - self._began)
        if cost is not None:
            self._meter.note(f"tuning {words}: trained in {cost.seconds:.0f} s, {cost.tokens:,} tokens")
