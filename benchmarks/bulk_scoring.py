"""What choosing demonstrations costs: EPR's scoring of pairs and GlobalE's of orders, icl against one by one.

    ICL_DATA=DIR python benchmarks/bulk_scoring.py --json benchmarks/results/bulk_scoring.json

epr: the selector's own training requests, `queries` items x `candidates` one-shot prompts, the target
scored. global_entropy: the orderer's own, 24 orders of 4 demonstrations x `probes`, every label scored;
texts of the test set stand where the model would write probes. Both are taken from the components by a
model that answers nothing, then put to icl's engine and, one request after another, one label after another,
to plain transformers over the same weights in the same process. The plain one runs a strided part, scaled
by its flat tokens; all of that part is compared. Tokenising is timed in both.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from icl.bench.run import Bench, largest_gap, machine
from icl.bench.settings import Settings
from icl.bench.workloads import strided
from icl.encoders.hashed import HashEncoder
from icl.encoders.words import words
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.orderers.global_entropy import GlobalEntropy
from icl.orderers.shared.probes import QueryShape
from icl.prompts import PromptRenderer
from icl.protocols import LanguageModel, OnGeneration, OnScores, Resources
from icl.selectors.epr import EPR
from icl.selectors.random import Random
from icl.tasks import Split, load_task
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, Task

SHOTS, ORDERS = 4, 24


class Taken(Exception):
    """Raised with the requests in the place of an answer: nothing after them is wanted."""

    def __init__(self, requests: Sequence[ScoreRequest]) -> None:
        super().__init__(f"{len(requests)} requests")
        self.requests = tuple(requests)


class Recorder:
    """A model's name, tokenizer and window; `probes` are what it writes, `Taken` is what it scores."""

    def __init__(self, model: NaiveModel, probes: Sequence[str] = ()) -> None:
        self.name, self.fingerprint = model.name, model.fingerprint
        self.tokenizer, self.context_length = model.tokenizer, model.context_length
        self._probes = cycle(probes)

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel.score; never answers."""
        raise Taken(requests)

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel.generate."""
        return [Generation((Sample(text, (), (), "stop"),)) for text in islice(self._probes, len(requests))]


def taken(run: Callable[[], object]) -> tuple[ScoreRequest, ...]:
    """The score requests that `run` would have put to its model."""
    try:
        run()
    except Taken as caught:
        return caught.requests
    raise RuntimeError("the component asked for no score")


def resources_for(task: Task, split: Split, model: LanguageModel) -> Resources:
    """What a component sees in a run; the encoder plays no part in these requests."""
    renderer = PromptRenderer(task=task, tokenizer=model.tokenizer, context_length=model.context_length)
    return Resources(task, model=model, encoder=HashEncoder(), renderer=renderer, pool=split.pool)


def epr_requests(name: str, plain: NaiveModel, given: argparse.Namespace) -> tuple[ScoreRequest, ...]:
    """The pairs that EPR scores when it is fitted."""
    data = load_task(name)
    split = data.split(given.pool, 1, 0)
    selector = EPR(items=given.queries, candidates=given.candidates)
    return taken(lambda: selector.fit(split.pool, resources_for(data.task, split, Recorder(plain))))


def order_requests(name: str, plain: NaiveModel, given: argparse.Namespace) -> tuple[ScoreRequest, ...]:
    """The orders x probes that GlobalE scores for one set of demonstrations."""
    data = load_task(name)
    split = data.split(given.pool, 4 * given.probes, 0)
    texts = [e.text for e in split.test if len(words(e.text)) >= 5 and "\n" not in e.text]
    # Each of the 2 x 24 written texts holds as many probes as are needed to have them all.
    each = -(-given.probes // (2 * ORDERS))
    head = QueryShape.of(data.task).head
    written = [f"\n{head} ".join(texts[at : at + each]) for at in range(0, len(texts), each)]
    resources = resources_for(data.task, split, Recorder(plain, written))
    (four,) = Random(per_query=False).fit(split.pool, resources).select([split.test[0].query], SHOTS)
    orderer = GlobalEntropy(permutations=ORDERS, max_probes=given.probes)
    return taken(lambda: orderer.order([four], [split.test[0].query], resources))


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: icl whole, plain transformers over a part of it."""

    workload: str
    task: str
    requests: int
    tokens_flat: int
    tokens_unique: int
    seconds_icl: float
    seconds_naive: float
    """Of the part, divided by `fraction`."""
    fraction: float
    """The part's share of the flat tokens."""
    max_abs_diff: float
    """Of a token's log-probability, over every request of the part."""

    @property
    def ratio(self) -> float:
        """Seconds of plain transformers / seconds of icl."""
        return self.seconds_naive / self.seconds_icl

    @property
    def figures(self) -> dict[str, Any]:
        """As JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__} | {"ratio": self.ratio}
        return {key: round(v, 6) if isinstance(v, float) else v for key, v in fields.items()}


def timed(model: LanguageModel, requests: Sequence[ScoreRequest]) -> tuple[list[Scores], float]:
    """Scores and seconds, after one request to warm up."""
    model.score(requests[:1])
    started = time.perf_counter()
    scores = model.score(requests)
    return scores, time.perf_counter() - started


def measure(name: str, task: str, requests: Sequence[ScoreRequest], bench: Bench, fraction: float) -> Row:
    """Both engines over the same requests, one after the other."""
    plain = bench.plain
    assert plain is not None
    engine = choose_engine(
        plain.model,
        plain.tokenizer,
        name=plain.name,
        context_length=plain.context_length,
        fingerprint=plain.fingerprint,
    )
    scores, seconds = timed(engine, requests)
    part = strided(range(len(requests)), fraction, 2)
    expected, seconds_naive = timed(plain, [requests[at] for at in part])
    flat = sum(s.usage.tokens_flat for s in scores)
    share = sum(s.usage.tokens_flat for s in expected) / flat
    gaps = [
        largest_gap(scores[at].token_logprobs, s.token_logprobs) for at, s in zip(part, expected, strict=True)
    ]
    unique = sum(s.usage.tokens_unique for s in scores)
    return Row(
        name, task, len(requests), flat, unique, seconds, seconds_naive / share, share, max(gaps)
    )  # fmt: skip


def print_table(rows: Sequence[Row]) -> None:
    """For people; `~` marks seconds scaled from a part."""
    print(f"{'workload':<16}{'task':<11}{'requests':>9}{'flat':>11}{'unique':>9}", end="")
    print(f"{'icl, s':>9}{'naive, s':>11}{'x icl':>8}{'max diff':>10}")
    for r in rows:
        naive = f"{'~' if r.fraction < 1 else ''}{r.seconds_naive:.1f}"
        print(
            f"{r.workload:<16}{r.task:<11}{r.requests:>9,}{r.tokens_flat:>11,}{r.tokens_unique:>9,}", end=""
        )
        print(f"{r.seconds_icl:>9.1f}{naive:>11}{r.ratio:>8.1f}{r.max_abs_diff:>10.1e}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default=Settings().model)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--epr-task", default="smcalflow", help="a task of open answers, as the paper's")
    parser.add_argument("--order-task", default="sst2", help="a task of labels with one input")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--probes", type=int, default=24)
    parser.add_argument("--pool", type=int, default=1000)
    parser.add_argument("--fraction", type=float, default=0.02, help="of the requests, one by one")
    parser.add_argument("--json", type=Path, default=None)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    bench = Bench(Settings(given.model, given.dtype, ("icl", "naive"), given.fraction))
    about, plain = machine(bench), bench.plain
    assert plain is not None
    asked = {
        "epr": (given.epr_task, epr_requests(given.epr_task, plain, given)),
        "global_entropy": (given.order_task, order_requests(given.order_task, plain, given)),
    }
    rows = [measure(name, task, requests, bench, given.fraction) for name, (task, requests) in asked.items()]
    figures = {
        "machine": about,
        "load_after": round(os.getloadavg()[0], 2),
        "rows": [r.figures for r in rows],
    }
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(rows)


if __name__ == "__main__":
    main()
