"""Components of one's own that break their contracts: one line, early, naming component and contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.protocols import methods, metrics, orderers, selectors
from icl.types import Demonstration, GenerateRequest, Outcome, Prompt, ScoreRequest

REGISTRIES = {"selector": selectors, "orderer": orderers, "method": methods, "metric": metrics}


class Selector:
    """A right one, to be bent."""

    needs = frozenset()

    def fit(self, pool, resources):
        self.pool = pool
        return self

    def select(self, queries, k):
        return [tuple(Demonstration(e) for e in self.pool[:k]) for _ in queries]


class Orderer:
    """A right one, to be bent."""

    needs = frozenset()

    def order(self, demonstrations, queries, resources):
        return [tuple(range(len(some))) for some in demonstrations]


class Method:
    """A right one, to be bent."""

    kinds = frozenset({"classification"})
    needs = frozenset({"renderer", "model"})

    def fit(self, pool, resources):
        return self

    def solve(self, query, demonstrations, resources):
        prompt = resources.renderer.prompt(query, demonstrations)
        yield [ScoreRequest(prompt.text, (" good", " bad"))]
        return Outcome("good", prompt)

    def finish(self, outcomes):
        return outcomes


class Metric:
    """A right one, to be bent."""

    def score(self, answer, gold, task):
        return float(answer == gold)

    def aggregate(self, answers, golds, task):
        return sum(map(self.score, answers, golds, [task] * len(golds))) / len(golds)


RIGHT = {"selector": Selector, "orderer": Orderer, "method": Method, "metric": Metric}


@pytest.fixture
def bent(write):
    """bent(kind, member=function): an experiment with a component whose members are these instead."""
    added = []

    def make(kind, **members):
        added.append(kind)
        REGISTRIES[kind].register("bent")(type("Bent", (RIGHT[kind],), members))
        if kind == "metric":
            return write(grid={"selector": ["random"]}, leaderboard={"metric": "bent"})
        return write(grid={kind: ["bent"]}, leaderboard=None)

    yield make
    for kind in added:
        del REGISTRIES[kind]._entries["bent"]


def asking(*requests, told=None, after=None):
    """A `solve` that yields these and returns that."""

    def solve(self, query, demonstrations, resources):
        prompt = resources.renderer.prompt(query, demonstrations)
        yield from requests
        if after is not None:
            after(query)
        return told if told is not None else Outcome("good", prompt)

    return solve


def outcome(**changes):
    def solve(self, query, demonstrations, resources):
        prompt = resources.renderer.prompt(query, demonstrations)
        yield [ScoreRequest(prompt.text, (" good",))]
        return replace(Outcome("good", prompt), **changes)

    return solve


CASES = [
    (
        "selector",
        {"fit": lambda self, pool, resources: None},
        "fitted selector (`return self`), not None",
    ),
    ("selector", {"fit": lambda self, pool, resources: 3}, "not 3"),
    (
        "selector",
        {"select": lambda self, queries, k: [self.pool[:k] for _ in queries]},
        "it returned Example(",
    ),
    ("selector", {"select": lambda self, queries, k: None}, "it returned None"),
    ("selector", {"select": lambda self, queries, k: []}, "it returned 0 entries for 2 queries"),
    ("selector", {"select": lambda self, queries, k: [self.pool] * 2}, "it returned 20 demonstrations"),
    ("selector", {"select": lambda self, queries, k: {q.id: () for q in queries}}, "it returned dict {"),
    ("selector", {"select": lambda self, queries, k: [None for _ in queries]}, "query 'test-"),
    ("selector", {"select": lambda self, queries, k: self.nothing}, "select() failed: AttributeError:"),
    (
        "selector",
        {"select": lambda self, queries, k: [[Demonstration(self.pool[0], "near")] for _ in queries]},
        "they are 'near' and dict {}",
    ),
    ("orderer", {"order": lambda self, d, q, r: [(0, 0)] * len(q)}, "it returned [0, 0]"),
    ("orderer", {"order": lambda self, d, q, r: [(0,)] * len(q)}, "for the 2 of query"),
    ("orderer", {"order": lambda self, d, q, r: d}, "order() must return for each query an order"),
    ("orderer", {"order": lambda self, d, q, r: None}, "it returned None"),
    ("orderer", {"order": lambda self, d, q, r: [(0, 1)]}, "it returned 1 for 2 queries"),
    ("orderer", {"reasons": ["because"] * 2}, "reasons must be one mapping a query"),
    ("method", {"fit": lambda self, pool, resources: None}, "fit() must return the fitted method"),
    ("method", {"solve": lambda self, q, d, r: Outcome("good", Prompt(""))}, "solve() must be a generator"),
    ("method", {"solve": asking("a prompt")}, "must yield lists of requests, not 'a prompt' (query 'test-"),
    ("method", {"solve": asking(["a prompt"])}, "lists of ScoreRequest and GenerateRequest, not 'a prompt'"),
    ("method", {"solve": asking([ScoreRequest("p", [" a"])])}, "are a tuple of texts"),
    ("method", {"solve": asking([ScoreRequest("p", ())])}, "(or of tuples of token ids), not tuple ()"),
    ("method", {"solve": asking([ScoreRequest(None, (" a",))])}, "the prompt of a request is a text"),
    ("method", {"solve": asking([GenerateRequest("p", n=0)])}, "n and max_tokens of a GenerateRequest"),
    ("method", {"solve": asking(told="good")}, "solve() must return an Outcome, not 'good'"),
    ("method", {"solve": outcome(answer=3)}, "answer of an Outcome is a text or None, not 3"),
    ("method", {"solve": outcome(prompt="text")}, "prompt of an Outcome is a Prompt, not 'text'"),
    ("method", {"solve": outcome(label_scores={"good": "high"})}, "label_scores of an Outcome"),
    ("method", {"solve": outcome(flags=["near_tie"])}, "flags of an Outcome is a tuple of texts"),
    ("method", {"solve": asking(after=lambda query: query.gold)}, "solve() failed, query 'test-"),
    (
        "method",
        {"finish": lambda self, outcomes: None},
        "the outcomes, all and in order, not None",
    ),
    ("method", {"finish": lambda self, outcomes: outcomes[1:]}, "not 0 of 1"),
    (
        "metric",
        {"score": lambda self, answer, gold, task: "right"},
        "a number from 0 to 1, not 'right'",
    ),
    ("metric", {"score": lambda self, answer, gold, task: 100.0}, "not 100.0"),
    ("metric", {"score": lambda self, answer, gold, task: float("nan")}, "not nan"),
    (
        "metric",
        {"score": lambda self, answer, gold, task: float(answer.strip() == gold)},
        "score() failed, answer None",
    ),
    ("metric", {"aggregate": lambda self, answers, golds, task: None}, "aggregate() must return a number"),
]


@pytest.mark.parametrize(("kind", "members", "said"), CASES)
def test_found_before_a_model_loads_and_with_the_place_in_the_file(bent, kind, members, said):
    path = bent(kind, **members)
    with pytest.raises(ConfigError) as error:
        check(*read_experiment(path))
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}:")
    assert f"{kind} 'bent'" in text
    assert said in text


@pytest.mark.parametrize("kind", REGISTRIES)
def test_right_components_pass(bent, tmp_path, kind):
    run = icl.run(bent(kind), output=tmp_path / "out")
    assert all(result.complete for result in run.results)


def at_the_third(right, wrong):
    """What is right when it is tried, and wrong in the run."""

    def member(self, *arguments):
        calls[0] += 1
        return (right if calls[0] < 3 else wrong)(self, *arguments)

    calls = [0]
    return member


@pytest.mark.parametrize(
    ("kind", "members", "said"),
    [
        ("selector", {"fit": at_the_third(Selector.fit, lambda s, p, r: None)}, "fit() must return"),
        (
            "orderer",
            {"order": lambda s, d, q, r: [(0, 1)] * 2 if len(q) == 2 else [(1, 1)] * len(q)},
            "[1, 1]",
        ),
        ("method", {"solve": at_the_third(Method.solve, asking(["junk"]))}, "not 'junk' (random 2-shot"),
        (
            "method",
            {"solve": at_the_third(Method.solve, outcome(details={"a": object()}))},
            "details of an Outcome are plain data for JSON; query 'test-",
        ),
        (
            "method",
            {"finish": at_the_third(Method.finish, lambda s, o: 1 / 0)},
            "finish() failed: ZeroDivisionError: division by zero (",
        ),
    ],
)
def test_what_shows_in_the_run_only_is_one_line_too_and_what_is_there_stays(
    bent, tmp_path, kind, members, said
):
    path = bent(kind, **members)
    with pytest.raises(ConfigError) as error:
        icl.run(path, output=tmp_path / "out")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    session = icl.Run(tmp_path / "out" / "small").folder.manifest()["sessions"][0]
    assert session["ended_by"].startswith(("ConfigError", "ComponentFailed"))


def test_an_error_that_a_real_model_might_not_cause_waits_for_it(bent, tmp_path):
    """A component tried out with the fake model is not refused for what it makes of its answers."""
    tried = []

    def after(query):
        tried.append(query)
        if len(tried) == 1:
            raise ValueError("no sense in these answers")

    run = icl.run(bent("method", solve=asking(after=after)), output=tmp_path / "out", model=FakeModel())
    assert all(result.complete for result in run.results)
