"""One set of demonstrations, shown to a decoder and trained on, and what either does to its attention and
answers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from icl.conversation import converse
from icl.errors import ModelError
from icl.labels import label_probabilities
from icl.mechanism.contract import Decoder
from icl.mechanism.shared.gradient_descent.draw import Drawn
from icl.mechanism.shared.gradient_descent.looking import LastToken, last_token
from icl.mechanism.shared.gradient_descent.tuning import finetuned, key_value_parts
from icl.mechanism.shared.gradient_descent.updates import Floats, sim_am, sim_aou, sim_random
from icl.mechanism.shared.heads import HeadReader
from icl.mechanism.shared.labelled import Material, demonstrations
from icl.methods.direct import Direct
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import TokenRow, seam, tokenised
from icl.types import Example, Outcome, TokenIds

TUNED = ("same", "shuffled", "others")
"""What fine-tuning is on: the demonstrations, them with shuffled labels, other examples."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a decoder in one state, query by query."""

    ids: tuple[TokenIds, ...]
    """Of the prompts."""
    seen: tuple[LastToken, ...]
    right: tuple[bool, ...]


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
        """Seconds a prompt takes, the trainings shared out among them; measured on one query and one
        example."""
        drawn, queries = self._drawn, self._material.queries
        few = replace(drawn, validation=drawn.validation[:1])
        one = Comparison(self._decoder, replace(self._material, queries=queries[:1]), few, lambda done: None)
        plain, shown = (_seconds(partial(one._look, examples)) for examples in ((), drawn.shown))
        answered = _seconds(partial(one._validated, 0.0, 1)) * len(drawn.validation)
        trained = _seconds(partial(one._trained, drawn.shown[:1], min(rates))) * len(drawn.shown) * epochs
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
            "zero": self._look(()),
            "shown": self._look(self._drawn.shown),
            "demonstrations": self._look(self._drawn.others),
        }
        trained_on = (self._drawn.shown, self._drawn.shuffled, self._drawn.others)
        for name, examples in zip(TUNED, trained_on, strict=True):
            with self._tuned(examples, rate, epochs):
                looks[name] = self._look(())
        return {
            "rate": rate,
            "validation": {f"{r:g}": value if value > -math.inf else None for r, value in gains.items()},
            "untuned": self._validated(0.0, epochs),
            "queries": [example.id for example in self._material.queries],
            "right": {name: list(look.right) for name, look in looks.items()},
            "sim_aou": _sim_aou(looks, draw),
            "sim_am": _sim_am(looks),
        }

    def _answered(self, examples: Sequence[Example], shown: Sequence[Example]) -> list[Outcome]:
        """The label whose text is most probable, by the network as it is now."""
        resources, direct = self._material.resources, Direct()
        assert resources.model is not None
        talks = [direct.solve(e.query, demonstrations(shown), resources) for e in examples]
        return list(converse(talks, resources.model))

    def _look(self, shown: Sequence[Example]) -> Look:
        queries, encode = self._material.queries, self._decoder.tokenizer.encode
        outcomes = self._answered(queries, shown)
        ids = [encode(outcome.prompt.text) for outcome in outcomes]
        seen = []
        for prompt in ids:
            seen.append(last_token(self._reader, prompt))
            self._looked += 1
            self._told(self._looked)
        right = [outcome.answer in query.golds for outcome, query in zip(outcomes, queries, strict=True)]
        return Look(tuple(ids), tuple(seen), tuple(right))

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
        assert resources.model is not None
        assert resources.renderer is not None
        rows = task_rows(examples, resources.task, resources.renderer)
        return tokenised(rows, self._decoder.tokenizer, resources.model.context_length).rows

    def _validated(self, rate: float, epochs: int) -> float:
        """The mean log-probability, among the labels, of the right one after fine-tuning; -inf where it
        diverged."""
        held = self._drawn.validation
        try:
            with self._tuned(self._drawn.shown if rate else (), rate, epochs):
                outcomes = self._answered(held, ())
        except ModelError:
            return -math.inf
        chances = [label_probabilities(o.label_scores)[e.target] for o, e in zip(outcomes, held, strict=True)]
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
    own = [max(seam(z[::-1], s[::-1]), 1) for z, s in zip(zero.ids, shown.ids, strict=True)]
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
