"""One set of demonstrations, shown to a decoder and trained on, and what either does to its attention and
answers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from icl.errors import ModelError
from icl.labels import choose, label_probabilities, label_texts
from icl.mechanism.contract import Decoder
from icl.mechanism.shared.gradient_descent.draw import Drawn
from icl.mechanism.shared.gradient_descent.looking import TOGETHER, LastToken, last_tokens
from icl.mechanism.shared.gradient_descent.tuning import finetuned, key_value_parts
from icl.mechanism.shared.gradient_descent.updates import Floats, sim_am, sim_aou, sim_random
from icl.mechanism.shared.heads import HeadReader
from icl.mechanism.shared.labelled import Material
from icl.training import TrainingRow
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import TokenRow, seam, tokenised
from icl.types import Example, TokenIds

TUNED = ("same", "shuffled", "others")
"""What fine-tuning is on: the demonstrations, them with shuffled labels, other examples."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a decoder in one state, query by query."""

    prompts: tuple[TokenIds, ...]
    seen: tuple[LastToken, ...]
    scores: tuple[Mapping[str, float], ...]
    """Of each query, of each label the log-probability."""

    def right(self, queries: Sequence[Example]) -> list[bool]:
        """Whether the most probable label is right."""
        return [choose(s)[0] in query.golds for s, query in zip(self.scores, queries, strict=True)]


class Comparison:
    """The measures of one set of demonstrations, query by query.

    told: called with the number of prompts that have been looked at. Raises ModelError for a decoder whose
    heads, or whose key and value projections, cannot be read.
    """

    def __init__(
        self, decoder: Decoder, material: Material, drawn: Drawn, told: Callable[[int], None]
    ) -> None:
        self._decoder, self._material, self._drawn, self._told = decoder, material, drawn, told
        self._reader = HeadReader(decoder.network)
        self._parts = key_value_parts(decoder.network)
        self._looked = 0

    @staticmethod
    def prompts(queries: int) -> int:
        """How many prompts are looked at in all."""
        return queries * (3 + len(TUNED))

    def check(self) -> None:
        """ContextOverflow where a prompt is longer than the context."""
        for query in self._material.queries:
            for shown in (self._drawn.shown, self._drawn.others):
                self._material.prompt(query.query, shown)

    def pace(self, rates: Sequence[float], epochs: int) -> float:
        """Seconds a prompt takes, the trainings shared out among them; measured on a few queries and one
        example."""
        drawn, queries = self._drawn, self._material.queries
        few = queries[:TOGETHER]
        plain, shown = (_seconds(partial(self._look, few, e)) / len(few) for e in ((), drawn.shown))
        answered = plain * len(drawn.validation)
        trained = _seconds(partial(self._trained, drawn.shown[:1], min(rates))) * len(drawn.shown) * epochs
        total = len(queries) * ((1 + len(TUNED)) * plain + 2 * shown)
        total += (len(rates) + 1) * answered + (len(rates) + len(TUNED)) * trained
        return total / self.prompts(len(queries))

    def measure(self, rates: Sequence[float], epochs: int, draw: np.random.Generator) -> dict[str, Any]:
        """All measures, as plain data: lists of queries, and of layers within them. draw: of random
        updates."""
        self.check()
        gains = {rate: self._validated(rate, epochs) for rate in rates}
        rate = max(gains, key=lambda r: gains[r])
        if gains[rate] == -math.inf:
            raise ModelError(
                f"fine-tuning of keys and values diverged with every rate ({', '.join(map(str, rates))}); "
                "try smaller tuning_rates"
            )
        looks = {
            "zero": self._asked(()),
            "shown": self._asked(self._drawn.shown),
            "demonstrations": self._asked(self._drawn.others),
        }
        trained_on = (self._drawn.shown, self._drawn.shuffled, self._drawn.others)
        for name, examples in zip(TUNED, trained_on, strict=True):
            with self._tuned(examples, rate, epochs):
                looks[name] = self._asked(())
        queries = self._material.queries
        return {
            "rate": rate,
            "validation": {f"{r:g}": value if value > -math.inf else None for r, value in gains.items()},
            "untuned": self._validated(0.0, epochs),
            "queries": [example.id for example in queries],
            "right": {name: look.right(queries) for name, look in looks.items()},
            "sim_aou": _sim_aou(looks, draw),
            "sim_am": _sim_am(looks),
        }

    def _asked(self, shown: Sequence[Example]) -> Look:
        look = self._look(self._material.queries, shown)
        self._looked += len(look.seen)
        self._told(self._looked)
        return look

    def _look(self, examples: Sequence[Example], shown: Sequence[Example]) -> Look:
        """At the network as it is now."""
        resources, prompts, named = self._material.resources, [], []
        for example in examples:
            labels, texts = label_texts(example.query, resources)
            prompt = self._material.prompt(example.query, shown)
            rows = [TrainingRow(example.id, prompt, text, resources.task.name) for text in texts]
            prompts.append(tokenised(rows, self._decoder.tokenizer, self._limit).rows)
            named.append(labels)
        seen = last_tokens(self._reader, prompts)
        ids = tuple(rows[0].ids[: rows[0].start] for rows in prompts)
        scores = [dict(zip(n, s.labels, strict=True)) for n, s in zip(named, seen, strict=True)]
        return Look(ids, tuple(seen), tuple(scores))

    @contextlib.contextmanager
    def _tuned(self, examples: Sequence[Example], rate: float, epochs: int) -> Iterator[None]:
        with finetuned(self._decoder.network, self._parts, self._rows(examples), rate, epochs):
            yield

    def _trained(self, examples: Sequence[Example], rate: float) -> None:
        with self._tuned(examples, rate, 1):
            pass

    def _rows(self, examples: Sequence[Example]) -> tuple[TokenRow, ...]:
        """Prompts without demonstrations, to be answered with the labels."""
        resources = self._material.resources
        assert resources.renderer is not None
        rows = task_rows(examples, resources.task, resources.renderer)
        return tokenised(rows, self._decoder.tokenizer, self._limit).rows

    @property
    def _limit(self) -> int:
        """Tokens of the longest text."""
        assert self._material.resources.model is not None
        return self._material.resources.model.context_length

    def _validated(self, rate: float, epochs: int) -> float:
        """The mean log-probability, among the labels, of the right one after fine-tuning; -inf where it
        diverged."""
        held = self._drawn.validation
        try:
            with self._tuned(self._drawn.shown if rate else (), rate, epochs):
                look = self._look(held, ())
        except ModelError:
            return -math.inf
        chances = [label_probabilities(s).get(e.target, 0.0) for s, e in zip(look.scores, held, strict=True)]
        return float(np.log(np.maximum(chances, 1e-12)).mean())


def _sim_aou(looks: Mapping[str, Look], draw: np.random.Generator) -> dict[str, Any]:
    zero, shown = ([seen.outputs for seen in looks[name].seen] for name in ("zero", "shown"))
    found = {
        name: [sim_aou(z, s, t.outputs) for z, s, t in zip(zero, shown, looks[name].seen, strict=True)]
        for name in (*TUNED, "demonstrations")
    }
    lots = [sim_random(z, s, draw) for z, s in zip(zero, shown, strict=True)]
    found |= {"normal": [one for one, _ in lots], "uniform": [other for _, other in lots]}
    return {name: _plain(rows) for name, rows in found.items()}


def _sim_am(looks: Mapping[str, Look]) -> dict[str, Any]:
    """Over the query's own tokens: those with which the prompts end with and without demonstrations."""
    zero, shown = looks["zero"], looks["shown"]
    own = [max(seam(z[::-1], s[::-1]), 1) for z, s in zip(zero.prompts, shown.prompts, strict=True)]
    return {
        name: _plain(
            sim_am(s.scores[..., -n:], t.scores[..., -n:])
            for s, t, n in zip(shown.seen, looks[name].seen, own, strict=True)
        )
        for name in ("zero", *TUNED)
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _plain(rows: Iterable[Floats]) -> list[list[float]]:
    return [[round(float(value), 6) for value in row] for row in rows]
