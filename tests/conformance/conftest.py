"""Every registered component, and a small world for each kind of task to try it in.

A test that takes `selector_case`, `orderer_case`, `method_case`, `tuner_case`, `metric_case`, `study_case` or
`component_case` runs once for every registered component of that kind (of any kind), and for
each setting in `conformance_parameters`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from icl.encoders.hashed import HashEncoder
from icl.engine.fake import FakeModel
from icl.judging import judges
from icl.mechanism.contract import studies
from icl.prompts import PromptRenderer
from icl.protocols import Resources, methods, metrics, orderers, selectors, tuners
from icl.registry import Registry
from icl.seeding import generator
from icl.types import Example, Query, Task, TaskKind, Template

REGISTRIES: dict[str, Registry[Any]] = {
    r.kind: r for r in (selectors, orderers, methods, tuners, metrics, judges, studies)
}

conformance_parameters: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("selector", "random"): [{}, {"per_query": False}, {"label_balanced": True}],
    ("selector", "fixed"): [{}, {"ids": [f"p{at}" for at in range(23, -1, -1)]}],
    ("selector", "bm25"): [{}, {"over": "targets"}],
    ("selector", "knn"): [{}, {"index": "hnsw"}, {"index": "ivf"}, {"label_balanced": True}],
    ("selector", "mmr"): [{}, {"lambda": 0.0, "prefetch": 23}, {"index": "ivf"}, {"similarity": "bertscore"}],
    ("selector", "dpp"): [{}, {"inference": "sample"}, {"lambda": 0.5, "prefetch": 23, "index": "hnsw"}],
    ("selector", "vote_k"): [{}, {"variant": "full", "initial": 4, "neighbours": 5}],
    ("method", "knn_majority"): [{}, {"weights": "score"}],
    ("orderer", "similarity"): [{}, {"most_similar": "first"}],
    ("method", "direct"): [{}, {"normalise": "mean"}],
    ("method", "generate"): [{}, {"max_tokens": 3, "where": "last", "stop": []}],
    ("method", "pmi"): [{}, {"null_demonstrations": True}],
    ("judge", "rules"): [{}, {"order": "rules_first", "only": ["polite"], "chat": True}],
    ("judge", "pairwise"): [{}, {"criterion": "kinder.", "tie_margin": 0.1, "position_ties": False}],
    ("judge", "rubric"): [{}, {"file": "webgpt", "only": ["sound"], "overall": "min", "chat": True}],
    ("judge", "simpleqa"): [{}, {"read": "text", "as_published": True, "max_tokens": 4, "chat": True}],
    ("tuner", "lora"): [{}, {"layers": "attention", "stabilised": True, "dropout": 0.1}],
    ("tuner", "dylora"): [{"validation": 4}, {"updated": "frozen", "every_rank": False, "rank": 2}],
    ("tuner", "fourierft"): [{"n_frequency": 100}, {"n_frequency": 100, "init": "library", "layers": "mlp"}],
    ("tuner", "saved"): [{"folder": "tuned/of/before"}],
}
"""Settings to try. A component that is not here is tried with its class attribute
`example_parameters` (cheap settings, e.g. one training step), a study in its presets, others with their
defaults."""


@dataclass(frozen=True, slots=True)
class Case:
    """A component with the settings it is tried in."""

    kind: str
    name: str
    parameters: Mapping[str, Any]

    def build(self) -> Any:
        return REGISTRIES[self.kind].create(self.name, self.parameters)

    def __str__(self) -> str:
        inside = ",".join(f"{key}={str(value)[:20]}" for key, value in self.parameters.items())
        return f"{self.kind}-{self.name}({inside})"


def cases(kind: str) -> list[Case]:
    found = []
    for name in REGISTRIES[kind]:
        factory = REGISTRIES[kind].entry(name).factory
        presets = getattr(factory, "presets", {"": getattr(factory, "example_parameters", {})})
        settings = conformance_parameters.get((kind, name), [dict(given) for given in presets.values()])
        found += [Case(kind, name, parameters) for parameters in settings]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for kind in REGISTRIES:
        if f"{kind}_case" in metafunc.fixturenames:
            metafunc.parametrize(f"{kind}_case", cases(kind), ids=str)
    if "component_case" in metafunc.fixturenames:
        metafunc.parametrize("component_case", [c for kind in REGISTRIES for c in cases(kind)], ids=str)


TASKS: dict[TaskKind, Task] = {
    "classification": Task(
        "colours",
        "classification",
        Template(
            "Text: {{ text }}\nColour:",
            channel_answer="Colour: {{ answer }}\nText:",
            channel_query=" {{ text }}",
        ),
        ("text",),
        labels=("red", "green", "blue"),
        verbalisers={"red": "crimson"},
        instruction="Name the colour.",
    ),
    "boolean": Task(
        "claims",
        "boolean",
        Template(
            "Claim: {{ text }}\nTrue or false?",
            channel_answer="{{ answer }} claim:",
            channel_query=" {{ text }}",
        ),
        ("text",),
        labels=("yes", "no"),
    ),
    "multiple_choice": Task(
        "quiz",
        "multiple_choice",
        Template(
            "Q: {{ text }}\n{% for letter, choice in choices.items() %}"
            "({{ letter }}) {{ choice }}\n{% endfor %}A:"
        ),
        ("text",),
    ),
    "numeric": Task("sums", "numeric", Template("Q: {{ text }}\nA:"), ("text",), metric="exact_match"),
    "string": Task("letters", "string", Template("Q: {{ text }}\nA:"), ("text",), metric="exact_match"),
}
TARGETS: dict[TaskKind, tuple[str, ...]] = {
    "classification": ("red", "green", "blue"),
    "boolean": ("yes", "no"),
    "multiple_choice": ("A", "B", "C"),
    "numeric": ("4", "17", "250"),
    "string": ("ab", "cd", "xyz"),
}
POOL_SIZE = 24
THRESHOLD = 0.6


@dataclass(frozen=True, slots=True)
class World:
    """A task with a pool and a test set.

    test[0] is pool[3] itself, test[1] is pool[5] in other letters, test[2] is pool[7] and a word.
    """

    task: Task
    pool: tuple[Example, ...]
    test: tuple[Example, ...]
    forbidden: Mapping[str, str]
    """Test id -> the id of the pool example that it must not be shown."""

    @property
    def queries(self) -> list[Query]:
        return [example.query for example in self.test]

    def resources(self, **changes: Any) -> Resources:
        """Fresh resources, with a model that has been asked nothing."""
        model = FakeModel()
        renderer = PromptRenderer(
            task=self.task, tokenizer=model.tokenizer, context_length=model.context_length
        )
        whole = Resources(
            self.task,
            seed=7,
            model=model,
            encoder=HashEncoder(),
            renderer=renderer,
            duplicate_threshold=THRESHOLD,
            pool=self.pool,
        )
        return replace(whole, **changes)


def example(kind: TaskKind, name: str, number: int) -> Example:
    """Nine words drawn from fifty, so that no two examples are near duplicates by chance."""
    draw = generator(5, f"tests.conformance.{kind}", str(number)).integers(0, 50, size=9)
    text = " ".join(f"{'abcdefghij'[n % 10]}o{'klmnp'[n // 10]}a" for n in draw)
    targets = TARGETS[kind]
    target = targets[number % len(targets)]
    choices = {"A": "one", "B": "two", "C": "three"} if kind == "multiple_choice" else {}
    return Example(name, {"text": text}, target, choices, f"The words say so. It is item {number}.")


def make_world(kind: TaskKind) -> World:
    pool = tuple(example(kind, f"p{at}", at) for at in range(POOL_SIZE))
    shouted = {"text": pool[5].inputs["text"].upper() + " !!"}
    longer = {"text": pool[7].inputs["text"] + " indeed"}
    planted = (pool[3], replace(pool[5], id="t1", inputs=shouted), replace(pool[7], id="t2", inputs=longer))
    fresh = tuple(example(kind, f"t{at}", 100 + at) for at in range(3, 8))
    return World(TASKS[kind], pool, (*planted, *fresh), {"p3": "p3", "t1": "p5", "t2": "p7"})


@pytest.fixture
def world() -> World:
    """The classification world."""
    return make_world("classification")


@pytest.fixture
def world_of() -> Callable[[TaskKind], World]:
    """The world of any kind of task."""
    return make_world


@pytest.fixture
def registries() -> dict[str, Registry[Any]]:
    return REGISTRIES
