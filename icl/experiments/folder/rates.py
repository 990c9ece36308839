"""How fast a model runs on this machine: remembered from earlier runs, else measured on its shapes.

Reading (scoring, and the prompts of generations) and writing run at very different rates, and most
texts end before their limit: three figures a model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from icl.errors import IclError
from icl.experiments.asking.timed import Work
from icl.experiments.file.config import Experiment
from icl.experiments.folder.manifest import processor

RATES = "rates.json"
LEAST_SECONDS = 2.0
"""Shorter runs say little about a rate."""
READS_FASTER = 8.0
"""Tokens read in the time of one written, where a run only generated and reading was not timed apart."""
LEAST_WRITING_SHARE = 0.2
"""Of the time of generating calls that is writing, however slow reading was elsewhere."""
SHORTEST, ASSUMED = 0.1, 0.55
"""Share of their limits that texts take at least, and the guess between that and all of it, where nothing is
known of the model's."""

BUSY = 0.1
"""Share of the processor that other programs take from which a measurement is said to be of little worth."""


class Span(NamedTuple):
    """Seconds: at least, most likely, at most."""

    least: float
    likely: float
    most: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens a second, read and written; the share of their limits that texts took. None: not known."""

    read: float | None = None
    write: float | None = None
    share: float | None = None

    def seconds(self, read: int, limit: int) -> Span | None:
        """Expected seconds for `read` tokens and texts of at most `limit` tokens in all.

        None where a rate that matters is not known.
        """
        if (read and not self.read) or (limit and not self.write):
            return None
        reading = read / self.read if self.read else 0.0
        writing = limit / self.write if self.write else 0.0
        shares = (SHORTEST, ASSUMED, 1.0) if self.share is None else (self.share,) * 3
        return Span(*(reading + share * writing for share in shares))


@dataclass(frozen=True, slots=True)
class Expected:
    """Rates and where they come from, in words."""

    rates: Rates
    origin: str


def _key(experiment: Experiment) -> str:
    """experiment: of one model, as in all that follows. Workers have rates of their own."""
    choice = experiment.choice
    name = choice.label if choice.is_backend else choice.name
    where = [f"in {experiment.executor.label}"] if experiment.executor is not None else []
    return " ".join([name, experiment.dtype or "default", experiment.engine, processor(), *where])


def remember(cache: Path, experiment: Experiment, work: Work) -> None:
    """Keeps what a session showed, of whatever it did long enough."""
    known = _read(cache)
    before = _rates(known.get(_key(experiment)))
    now = learned(before, work)
    if now == before:
        return
    known[_key(experiment)] = asdict(now)
    cache.mkdir(parents=True, exist_ok=True)
    draft = cache / f"{RATES}.{os.getpid()}"
    draft.write_text(json.dumps(known, indent=2), encoding="utf-8")
    os.replace(draft, cache / RATES)


def learned(before: Rates, work: Work) -> Rates:
    """Rates after a session. The time of a generating call is that of reading its prompts, at the rate
    of scoring where that is known, and of writing."""
    rates = before
    if work.scoring_seconds >= LEAST_SECONDS and work.scored:
        rates = replace(rates, read=work.scored / work.scoring_seconds)
    if work.generating_seconds >= LEAST_SECONDS and work.generated:
        share = min(work.generated / max(work.limit, 1), 1.0)
        if rates.read is None:
            write = (work.generated + work.prefilled / READS_FASTER) / work.generating_seconds
            return Rates(READS_FASTER * write, write, share)
        least = LEAST_WRITING_SHARE * work.generating_seconds
        writing = max(work.generating_seconds - work.prefilled / rates.read, least)
        rates = replace(rates, write=work.generated / writing, share=share)
    return rates


def expected_rates(
    cache: Path,
    experiment: Experiment,
    *,
    texts: int,
    context: int = 0,
    times: int = 1,
    note: Callable[[str], None] = lambda _: None,
) -> Expected | None:
    """The rates of earlier runs here with this model, else rates measured now. None for a model whose
    shape is not at hand.

    texts: how many the experiment writes at once, on average; context: tokens of the prompts above them.
    times: machines as fast as this one, where nothing is known of the executor that the experiment names.
    """
    known = _rates(_read(cache).get(_key(experiment)))
    if known.read and (known.write or not texts):
        return Expected(known, "as in earlier runs with this model here")
    if experiment.executor is not None:
        alone = experiment.model_copy(update={"executor": None})
        one = expected_rates(cache, alone, texts=texts, context=context, note=note)
        if one is None or times == 1:
            return one
        read, write = (rate and rate * times for rate in (one.rates.read, one.rates.write))
        return Expected(
            Rates(read, write, one.rates.share), f"{one.origin}, times {times} workers as fast as it"
        )
    name = experiment.choice.name
    if experiment.choice.is_backend or name == "fake":
        return None
    note("measuring how fast the model runs here")
    from icl.engine.measuring.pace import measure_pace

    try:
        pace = measure_pace(name, experiment.dtype, experiment.engine, texts or 1, context)
    except IclError:
        return None
    measured = Rates(known.read or pace.read, known.write or pace.write, known.share)
    origin = "measured on two random layers of its shape"
    if pace.others > BUSY:
        origin += f" while other programs took {pace.others:.0%} of the processor, so of little worth"
    return Expected(measured, origin)


def _rates(entry: Any) -> Rates:
    """An entry of the file. Earlier versions kept one number, the rate of everything."""
    if isinstance(entry, int | float):
        return Rates(read=float(entry))
    if not isinstance(entry, dict):
        return Rates()
    figures = {k: float(v) for k, v in entry.items() if isinstance(v, int | float) and v > 0}
    return Rates(figures.get("read"), figures.get("write"), figures.get("share"))


def _read(cache: Path) -> dict[str, Any]:
    try:
        loaded = json.loads((cache / RATES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
