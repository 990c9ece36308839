"""The tiny tuner, to which something happens after its second step, or after each."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.errors import ConfigError
from icl.training import TrainingStep, Tuned
from tests.experiments.tiny_model import Norm

WAITS = 240.0


@dataclass(kw_only=True)
class Scripted(Norm):
    """act: what happens. place: a folder, in which each beginning leaves a file: the process, the steps that
    were done already, and a number."""

    act: str = "nothing"
    place: str
    steps: int = 4

    def fit(self, pool: Sequence[Any], resources: Any) -> Tuned:
        """See Tuner."""
        held = resources.folder / "step.json"
        done = json.loads(held.read_text())[0] if held.exists() else 0
        (Path(self.place) / f"began {os.getpid()} {done} {time.monotonic_ns()}").touch()
        report = resources.report

        def told(step: TrainingStep) -> None:
            report(step)
            if step.step == 2 or self.act == "dies":
                self._happen(resources.seed)

        return super().fit(pool, replace(resources, report=told))

    def _happen(self, seed: int) -> None:
        place = Path(self.place)
        if self.act == "meets":
            (place / f"met {seed}").touch()
            wait_until(lambda: len(list(place.glob("met *"))) == 2)
        elif self.act == "waits":
            wait_until((place / "go").exists)
        elif self.act == "fails":
            raise ConfigError("there is nothing to learn")
        elif self.act == "breaks":
            raise ZeroDivisionError("nothing\nby nothing")
        elif self.act == "dies" or (self.act == "dies once" and not (place / "dead").exists()):
            (place / "dead").touch()
            time.sleep(0.5)  # what was told before is on its way
            os.kill(os.getpid(), signal.SIGKILL)


def began(place: Path) -> list[tuple[int, int]]:
    """(process, steps done already) of each beginning, in their order."""
    found = sorted((p.name.split() for p in place.glob("began *")), key=lambda parts: int(parts[3]))
    return [(int(pid), int(done)) for _, pid, done, _ in found]


def wait_until(true: Any, seconds: float = WAITS) -> None:
    """Raises TimeoutError where it does not come true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain")
        time.sleep(0.02)
