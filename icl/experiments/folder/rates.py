"""How fast a model runs on this machine: remembered from earlier runs, else measured on its shapes.

Reading (scoring, and the prompts of generations) and writing run at very different rates, and most
texts end before their limit: three figures a model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from icl.errors import IclError
from icl.experiments.asking.timed import Work
from icl.experiments.file.config import Experiment
from icl.experiments.folder.ratebook import LAYERS, RUN, Figure, Kept, RateBook, key_of, now, width

LEAST_SECONDS = 2.0
"""Shorter runs say little about a rate."""
READS_FASTER = 8.0
"""Tokens read in the time of one written, where a run only generated and reading was not timed apart."""
LEAST_WRITING_SHARE = 0.2
"""Of the time of generating calls that is writing, however slow reading was elsewhere."""
SHORTEST, ASSUMED = 0.1, 0.55
"""Share of their limits that texts take at least, and the guess between that and all of it, where nothing is
known of the model's."""


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


def remember(cache: Path, experiment: Experiment, fingerprint: str, work: Work) -> None:
    """Keeps what a session showed, of whatever it did long enough. experiment: of one model, as in all that
    follows; fingerprint: that model's. Raises OSError."""
    book, key = RateBook(cache), key_of(experiment, fingerprint)
    kept = book.read(key)
    before = _rates(kept.read, kept.write.get(RUN), kept.share)
    rates = learned(before, work)
    if rates == before:
        return
    figures = [
        was if rate is None or rate == old else Figure(rate, RUN, now())
        for was, rate, old in (
            (kept.read, rates.read, before.read),
            (kept.write.get(RUN), rates.write, before.write),
        )
    ]
    write = kept.write if figures[1] is None else {**kept.write, RUN: figures[1]}
    book.keep(key, Kept(figures[0], write, rates.share))


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
    fingerprint: str,
    *,
    texts: int,
    context: int = 0,
    times: int = 1,
    anew: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> Expected | None:
    """The rates of earlier runs here with this model, else measured ones, which are kept. None for a model
    whose shape is not at hand.

    texts: how many the experiment writes at once, on average; context: tokens of the prompts above them.
    times: machines as fast as this one, where nothing is known of the executor that the experiment names.
    anew: what is kept of the model's rates is measured again.
    """
    book, key = RateBook(cache), key_of(experiment, fingerprint)
    kept = book.read(key)
    if anew:
        kept = Kept(share=kept.share)
    read, write = kept.read, kept.writing(texts, context) if texts else None
    if read is not None and (write is not None or not texts):
        return Expected(_rates(read, write, kept.share), _origin(read, write))
    if experiment.executor is not None:
        alone = experiment.model_copy(update={"executor": None})
        one = expected_rates(cache, alone, fingerprint, texts=texts, context=context, anew=anew, note=note)
        if one is None or times == 1:
            return one
        read_there, write_there = (rate and rate * times for rate in (one.rates.read, one.rates.write))
        origin = f"{one.origin}, times {times} workers as fast as it"
        return Expected(Rates(read_there, write_there, one.rates.share), origin)
    if experiment.choice.is_backend or experiment.choice.name == "fake":
        return None
    note("measuring how fast the model runs here")
    measured = _measured(experiment, texts, context, kept)
    if measured is None:
        return None
    with contextlib.suppress(OSError):  # rates only help to plan; the next plan measures again
        book.keep(key, measured)
    read, write = measured.read, measured.writing(texts, context)
    return Expected(_rates(read, write, kept.share), _origin(read, write if texts else None))


def _measured(experiment: Experiment, texts: int, context: int, kept: Kept) -> Kept | None:
    """What is kept, with what it lacks measured now. None for a model whose shape cannot be read."""
    from icl.engine.measuring.pace import measure_pace

    try:
        pace = measure_pace(experiment.choice.name, experiment.dtype, experiment.engine, texts or 1, context)
    except IclError:
        return None
    read, write = (Figure(rate, LAYERS, now(), pace.others) for rate in (pace.read, pace.write))
    return Kept(kept.read or read, {**kept.write, width(texts, context): write}, kept.share)


def _origin(read: Figure | None, write: Figure | None) -> str:
    """Of both in words: once where they come from one place."""
    said = [figure.said(now()) for figure in (read, write) if figure is not None]
    return said[0] if len(set(said)) == 1 else f"reading {said[0]}; writing {said[1]}"


def _rates(read: Figure | None, write: Figure | None, share: float | None) -> Rates:
    return Rates(read.rate if read else None, write.rate if write else None, share)
