"""Which heads are induction heads, and what is lost without them?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from icl.components import check_choice, check_number, check_numbers
from icl.conversation import converse
from icl.errors import ConfigError
from icl.mechanism.contract import Decoder, Found, Report, Step, Work, studies
from icl.mechanism.shared.heads import Head, HeadReader
from icl.mechanism.shared.induction.choice import random_heads, top_heads
from icl.mechanism.shared.induction.circuits import read_circuits
from icl.mechanism.shared.induction.positions import icl_scores, position_losses, running_texts
from icl.mechanism.shared.induction.repeats import batches, first_token, middle_tokens, repeated
from icl.mechanism.shared.induction.report import read
from icl.mechanism.shared.induction.scores import ROWS, Patterns, read_scores
from icl.mechanism.shared.labelled import Material, balanced, check_labelled, check_task_name, demonstrations
from icl.protocols import methods
from icl.tasks import TaskData

ABLATIONS = ("zero", "mean")
PACED = 4
"""Texts or queries that are timed."""


@studies.register("induction", paper="Olsson et al. 2022, In-context Learning and Induction Heads")
class Induction:
    """Which heads are induction heads, and what is lost without them?

    Scores of every head on repeated random tokens. Then the heads with the highest prefix-matching scores are
    taken away, and beside them as many random heads of the same layers, several times: the loss on repeated
    tokens, the in-context-learning score on running text, and the accuracy of a task by demonstrations.

    sequences: of repeated tokens; tokens: different ones, repeats: how often they stand. heads: how many are
    taken away. draws: sets of random heads. ablation: "zero", or "mean": what a head hands on becomes its
    mean over the running texts. ablated: sequences of which the loss is measured. task: by name or file, with
    labels; shots, sets of demonstrations, queries of each, pool. texts: the task whose rows, joined, are the
    running text; count: how many texts. early, late, window: the in-context-learning score is the loss of the
    `window` tokens up to `late` less that up to `early`.
    """

    needs_model: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"sequences": 64, "ablated": 12, "draws": 3, "sets": 3, "queries": 40, "count": 4}
        | {"window": 20},
        "paper": {"sequences": 256, "ablated": 256, "draws": 20, "sets": 20, "queries": 256, "count": 500}
        | {"window": 1},
    }

    def __init__(
        self,
        *,
        sequences: int = 64,
        tokens: int = 25,
        repeats: int = 4,
        heads: int = 15,
        draws: int = 3,
        ablation: str = "zero",
        ablated: int = 12,
        task: str = "sst2",
        shots: int = 6,
        sets: int = 3,
        queries: int = 40,
        pool: int = 512,
        texts: str = "agnews",
        count: int = 4,
        early: int = 50,
        late: int = 500,
        window: int = 20,
    ) -> None:
        check_numbers(low=2, whole=True, sequences=sequences, tokens=tokens, repeats=repeats, draws=draws)
        check_numbers(low=2, whole=True, ablated=ablated, shots=shots, sets=sets, queries=queries, pool=pool)
        check_numbers(low=2, whole=True, count=count, early=early)
        check_numbers(low=1, whole=True, heads=heads, window=window)
        check_number("late", late, low=early + 1, whole=True)
        check_number("window", window, high=early - 1, whole=True)
        check_choice("ablation", ablation, ABLATIONS)
        check_task_name(task)
        if not isinstance(texts, str) or not texts.strip():
            raise ValueError(f"texts is {texts!r}; allowed: the name or file of a task")
        self.sequences, self.tokens, self.repeats = sequences, tokens, repeats
        self.heads, self.draws, self.ablation, self.ablated = heads, draws, ablation, ablated
        self.task, self.shots, self.sets, self.queries, self.pool = task, shots, sets, queries, pool
        self.texts, self.count = texts, count
        self.early, self.late, self.window = early, late, window

    def tasks(self) -> tuple[str, ...]:
        """The task with labels, and the one whose rows are running text."""
        return tuple(dict.fromkeys((self.task, self.texts)))

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        """ConfigError for a task that does not fit, for texts longer than the context, for more heads than
        can be set against others; ModelError for a model whose heads cannot be read."""
        check_labelled("induction", self.task, tasks, shots=self.shots, queries=self.queries, pool=self.pool)
        if model is None:
            return
        reader = HeadReader(model.network)
        for key, length in (("tokens x repeats", self.tokens * self.repeats + 1), ("late", self.late)):
            if model.context_length is not None and length > model.context_length:
                raise ConfigError(
                    f"study 'induction': {key} makes texts of {length} tokens, and the context of "
                    f"{model.name} "
                    f"has {model.context_length}"
                )
            reader.check_length(length)
        if 2 * self.heads > len(reader.all):
            raise ConfigError(
                f"study 'induction': heads is {self.heads}, and {model.name} has {len(reader.all)} heads; "
                "allowed: "
                f"heads <= {len(reader.all) // 2}, so that as many others are left"
            )

    def steps(self) -> tuple[Step, ...]:
        """Scores of all heads, then what is lost without some, measured in three ways."""
        made = ("sequences", "tokens", "repeats")
        taken = ("heads", "draws", "ablation", "texts", "count", "late")
        conditions, after = len(self._conditions), ("scores",)
        return (
            Step("scores", self.sequences, "sequences", made, ()),
            Step("repeated", conditions * self.ablated, "sequences", (*taken, *made[1:], "ablated"), after),
            Step("running", conditions * self.count, "texts", (*taken, "early", "window"), after),
            Step(
                "accuracy", conditions * self.sets, "sets of queries",
                (*taken, "task", "shots", "sets", "queries", "pool"), after,
            ),
        )  # fmt: skip

    @property
    def _conditions(self) -> tuple[str, ...]:
        return ("none", "top", *(f"random {at + 1}" for at in range(self.draws)))

    def pace(self, step: Step, work: Work) -> float:
        """See Study. Without heads taken away, which takes no longer."""
        began = time.perf_counter()
        if step.name == "accuracy":
            self._asked(work, Material.of(work, self.task, pool=self.pool, queries=self.queries), 0)
            return time.perf_counter() - began
        reader = HeadReader(_decoder(work).network)
        if step.name == "running":
            position_losses(reader, self._running(work)[0][:PACED], ROWS)
        elif step.name == "repeated":
            position_losses(reader, self._repeated(work, reader, PACED)[0], ROWS)
        else:
            self._scores(work, reader, PACED)
        return (time.perf_counter() - began) / PACED

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """See Study. What is known of each set of heads is kept, so that a killed step goes on."""
        reader = HeadReader(_decoder(work).network)
        if step.name == "scores":
            return self._scores(work, reader, self.sequences)
        if step.name == "repeated":
            texts, lead = self._repeated(work, reader, self.ablated)
            return self._without(
                work, reader, self.ablated, lambda: _by_repeat(reader, texts, lead, self.tokens)
            )
        if step.name == "running":
            running, rows = self._running(work)
            found = self._without(work, reader, self.count, lambda: self._positions(reader, running))
            return {**found, "rows": rows}
        material = Material.of(work, self.task, pool=self.pool, queries=self.queries)
        asked: Callable[[], dict[str, Any]] = lambda: {  # noqa: E731
            "right": [self._asked(work, material, at) for at in range(self.sets)]
        }
        return {**self._without(work, reader, self.sets, asked), "labels": list(material.labels)}

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        return read(found, self.heads)

    def _repeated(self, work: Work, reader: HeadReader, count: int) -> tuple[Tensor, int]:
        """Repeated tokens, and how many tokens stand before them."""
        model = _decoder(work)
        vocabulary = int(reader.network.get_input_embeddings().weight.shape[0])
        of = middle_tokens(model.tokenizer, vocabulary)
        first = first_token(reader.network, model.tokenizer)
        texts = repeated(
            count, self.tokens, self.repeats, of, first, lambda at: work.generator("induction", str(at))
        )
        return texts, texts.shape[1] - self.tokens * self.repeats

    def _scores(self, work: Work, reader: HeadReader, count: int) -> dict[str, Any]:
        texts, lead = self._repeated(work, reader, count)
        patterns = Patterns(lead, self.tokens, self.repeats)
        circuits = read_circuits(reader)
        scores = read_scores(reader, texts, patterns, circuits, work.progress)
        prefix = scores["prefix"]
        return {
            **{name: rows.mean(axis=0).tolist() for name, rows in scores.items() if name != "direct"},
            "direct": _means_of_some(scores["direct"]),
            "error": (prefix.std(axis=0, ddof=1) / np.sqrt(len(prefix))).tolist(),
            "positivity": [circuits.positivity(layer) for layer in range(reader.layers)],
            "circuit": circuits.words,
            "uniform": patterns.uniform(patterns.prefix),
            "uniform_previous": patterns.uniform(patterns.previous),
            "sequences": count,
        }

    def _running(self, work: Work) -> tuple[Tensor, float]:
        data = work.tasks[self.texts]
        rows = (*data.train, *data.test)
        draw = work.generator("induction running text")
        return running_texts(rows, self.count, self.late, _decoder(work).tokenizer, draw)

    def _positions(self, reader: HeadReader, texts: Tensor) -> dict[str, Any]:
        found = position_losses(reader, texts, ROWS)
        scores = icl_scores(found, self.early, self.late, self.window)
        return {"icl": scores.tolist(), "by_position": found.mean(axis=0).tolist()}

    def _asked(self, work: Work, material: Material, at: int) -> list[bool]:
        """Which queries one set of demonstrations answers right."""
        draw = work.generator("induction demonstrations", str(at))
        shown = demonstrations(balanced(material.pool, material.labels, self.shots, draw))
        method = methods.create("direct")
        resources = material.resources
        assert resources.model is not None
        talks = [method.solve(query.query, shown, resources) for query in material.queries]
        outcomes = converse(talks, resources.model)
        return [o.answer in q.golds for o, q in zip(outcomes, material.queries, strict=True)]

    def _without(
        self, work: Work, reader: HeadReader, units: int, measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """What is measured with each set of heads taken away."""
        sets, moved = self._sets(work, reader)
        means = None
        if self.ablation == "mean":
            means = reader.means(list(batches(self._running(work)[0].to(reader.trunk.device), ROWS)))
        found = {}
        for at, name in enumerate(self._conditions):
            kept = work.folder / f"{name}.json"
            if kept.exists():
                found[name] = json.loads(kept.read_text())
            else:
                with reader.without(sets[name], means):
                    found[name] = measure()
                part = kept.with_suffix(".part")
                part.write_text(json.dumps(found[name]))
                part.replace(kept)
            work.progress((at + 1) * units)
        taken = {name: [str(head) for head in heads] for name, heads in sets.items()}
        return {"found": found, "taken": taken, "moved": moved, "ablation": self.ablation}

    def _sets(self, work: Work, reader: HeadReader) -> tuple[dict[str, list[Head]], int]:
        """The heads that are taken away under each name; and how many of a random set are of other layers."""
        top = top_heads(np.array(work.found["scores"]["prefix"]), self.heads)
        sets: dict[str, list[Head]] = {"none": [], "top": top}
        moved = 0
        for name in self._conditions[2:]:
            draw = work.generator("induction heads", name)
            sets[name], moved = random_heads(top, reader.layers, reader.heads, draw)
        return sets, moved


def _decoder(work: Work) -> Decoder:
    assert work.model is not None, "the study needs a model"
    return work.model


def _by_repeat(reader: HeadReader, texts: Tensor, lead: int, period: int) -> dict[str, Any]:
    """Mean loss of each text in the first repeat and after it, and of all texts by position."""
    found = position_losses(reader, texts, ROWS)
    after = lead - 1 + period  # found[:, 0] is of the second token
    return {
        "first": found[:, :after].mean(axis=1).tolist(),
        "later": found[:, after:].mean(axis=1).tolist(),
        "by_position": found.mean(axis=0).tolist(),
    }


def _means_of_some(rows: np.ndarray) -> list[list[float | None]]:
    """Means [L, H] over those texts that have a value; None where none has."""
    counts = np.isfinite(rows).sum(axis=0)
    sums = np.nansum(rows, axis=0)
    return [
        [float(s / c) if c else None for s, c in zip(*pair, strict=True)]
        for pair in zip(sums, counts, strict=True)
    ]
