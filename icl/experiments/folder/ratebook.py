"""Rates of models on this machine, kept from command to command beside the responses of a folder of runs.

A rate is that of one machine (processor, graphics card, threads), model (fingerprint of weights, tokenizer
and precision), engine, its native kernels, and version of icl: where one of these differs, nothing is known.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from icl.atomic import write_atomically
from icl.experiments.file.config import Experiment
from icl.experiments.folder.manifest import processor
from icl.experiments.folder.versions import versions

RATES = "rates.json"
RUN, LAYERS = "run", "layers"
"""Where a figure comes from: a run of the model, or random layers of its shape."""
BUSY = 0.1
"""Share of the processor that other programs take from which a measurement is said to be of little worth."""
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Figure:
    """Tokens a second, where they were seen and when (seconds since 1970)."""

    rate: float
    source: str
    at: float
    others: float = 0.0
    """Share of the processor that other programs took meanwhile."""

    def said(self, now: float) -> str:
        """Where it comes from and how old it is, in words."""
        when = age(now - self.at)
        if self.source == RUN:
            return f"as in a run with this model on this machine {when}"
        if self.others <= BUSY:
            return f"measured {when} on this machine, on two random layers of its shape"
        return (
            f"measured {when} on this machine, on two random layers of its shape, while other programs took "
            f"{self.others:.0%} of the processor, so of little worth: icl plan --measure measures anew"
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one model. write: by how many texts side by side below how long a prompt, see `width`,
    or by RUN, which holds for all. share: of their limits that texts took."""

    read: Figure | None = None
    write: Mapping[str, Figure] = field(default_factory=dict)
    share: float | None = None

    def writing(self, texts: int, context: int) -> Figure | None:
        """At which so many texts are written at once: a run's, else one measured with about as many."""
        return self.write.get(RUN) or self.write.get(width(texts, context))

    @classmethod
    def of(cls, entry: Any) -> Self:
        """From an entry of the file; what does not have the form of a figure is not known."""
        if not isinstance(entry, dict):
            return cls()
        share, write = entry.get("share"), entry.get("write")
        figures = {str(k): _figure(v) for k, v in write.items()} if isinstance(write, dict) else {}
        return cls(
            _figure(entry.get("read")),
            {k: figure for k, figure in figures.items() if figure is not None},
            float(share) if isinstance(share, int | float) and share > 0 else None,
        )


def width(texts: int, context: int) -> str:
    """Measurements of about as many texts (within a fifth) below prompts of about the same length (within
    two fifths) stand for one another."""
    return f"{round(2 * math.log2(max(texts, 1)))} {round(math.log2(max(context, 1)))}"


def age(seconds: float) -> str:
    """ "3 days ago"; "just now" within a minute."""
    for size, noun in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {noun}{'s' if count > 1 else ''} ago"
    return "just now"


class RateBook:
    """The file of a cache folder. Reading never fails: a file that says nothing is as none."""

    def __init__(self, cache: Path) -> None:
        self.path = cache / RATES

    def read(self, key: str) -> Kept:
        """What is known under the key."""
        return Kept.of(self._entries().get(key))

    def keep(self, key: str, kept: Kept) -> None:
        """Replaces what is known under the key. Raises OSError."""
        write_atomically(self.path, json.dumps({**self._entries(), key: asdict(kept)}, indent=2))

    def _entries(self) -> dict[str, Any]:
        try:
            loaded = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}


def key_of(experiment: Experiment, fingerprint: str) -> str:
    """experiment: of one model. fingerprint: that model's. Workers have rates of their own."""
    choice = experiment.choice
    name = choice.label if choice.is_backend else choice.name
    parts = [name, fingerprint, experiment.engine, f"icl {versions().get('icl', '?')}", _machine(experiment)]
    if experiment.executor is not None:
        parts.append(f"in {experiment.executor.label}")
    return "; ".join(parts)


def _machine(experiment: Experiment) -> str:
    """What computes, and with how many threads; those of workers and of servers are not this process's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    choice = experiment.choice
    if choice.is_backend or choice.name == "fake" or experiment.executor is not None:
        return f"{processor()}, {cores} cores"
    import torch

    from icl.engine.native import library

    card = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    kernels = library.found().instructions or "none"
    return f"{processor()}{card}, {torch.get_num_threads()} threads, native kernels {kernels}"


def _figure(entry: Any) -> Figure | None:
    try:
        found = Figure(**entry)
        good = found.rate > 0 and found.source in (RUN, LAYERS) and found.at >= 0 and found.others >= 0
    except TypeError:
        return None
    return found if good else None


def now() -> float:
    """Seconds since 1970."""
    return time.time()
