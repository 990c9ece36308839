"""A tiny network, a tokenizer of characters, and a task whose rule is learned within seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from icl.engine.loading.load import engine_on
from icl.prompts import PromptRenderer
from icl.protocols import LanguageModel, TuningResources
from icl.training import Network, Root, TrainingStep
from icl.types import Example, ScoreRequest, Task, Template, TokenIds
from tests.engine.tiny import tiny_network

CONTEXT = 256
EOS, BOS, FIRST = 1, 2, 3
LETTERS = "abcdef"


class CharTokenizer:
    """A token a character: the line end and printable ASCII; any other is a question mark."""

    eos_ids = frozenset({EOS})
    fingerprint = "characters"

    def encode(self, text: str) -> TokenIds:
        return (BOS, *(FIRST + self._place(c) for c in text))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self._character(i) for i in ids if i >= FIRST)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        return "".join(f"<{m['role']}>{m['content']}</>" for m in messages) + "<assistant>"

    def _place(self, character: str) -> int:
        return 0 if character == "\n" else ord(character) - 31 if " " <= character <= "~" else 32

    def _character(self, i: int) -> str:
        return "\n" if i == FIRST else chr(i - FIRST + 31)


TOKENIZER = CharTokenizer()
RULE = Task(
    "rule",
    "classification",
    Template("{{ text }}:", answer="{{ answer }}", separator="\n", channel_answer="{{ answer }}:",
             channel_query="{{ text }}"),
    ("text",),
    labels=("A", "B"),
)  # fmt: skip
"""A where the first letter is one of a, b, c; else B."""


def fresh() -> Network:
    """The same random weights every time."""
    return tiny_network("llama", max_position_embeddings=CONTEXT)


def planted(count: int, seed: int = 0, length: int = 3, prefix: str = "p") -> list[Example]:
    """Examples of RULE, the labels in turn."""
    draw = random.Random(seed)
    rows = []
    for at in range(count):
        first = draw.choice(LETTERS[:3] if at % 2 == 0 else LETTERS[3:])
        text = first + "".join(draw.choice(LETTERS) for _ in range(length - 1))
        rows.append(Example(f"{prefix}{at}", {"text": text}, "A" if at % 2 == 0 else "B"))
    return rows


def renderer_for(task: Task, **options: Any) -> PromptRenderer:
    return PromptRenderer(task=task, tokenizer=TOKENIZER, context_length=CONTEXT, **options)


def ask(network: Network, root: Root | None = None) -> LanguageModel:
    """The engine that a run would have, on a network that may be trained under it."""
    return engine_on(network, TOKENIZER, name="tiny", context_length=CONTEXT, fingerprint="tiny", root=root)


def resources(
    task: Task = RULE, *, folder: Path | None = None, seed: int = 0, **more: Any
) -> TuningResources:
    """What a tuner is given in these tests; `more` replaces fields."""
    given: dict[str, Any] = {
        "task": task, "network": fresh(), "tokenizer": TOKENIZER, "renderer": renderer_for(task),
        "context_length": CONTEXT, "seed": seed, "fresh": fresh, "ask": ask, "folder": folder,
    }  # fmt: skip
    return TuningResources(**{**given, **more})


class Killed(Exception):
    """Stands for a process that ends."""


def stop_at(step: int) -> Callable[[TrainingStep], None]:
    """Reports to it kill the run once `step` is done."""

    def report(found: TrainingStep) -> None:
        if found.step == step:
            raise Killed

    return report


def accuracy(network: Network, test: Sequence[Example], task: Task = RULE, root: Root | None = None) -> float:
    """Share of the examples whose label the engine finds most probable, asked as `direct` asks."""
    renderer, model = renderer_for(task), ask(network, root)
    asked = [
        ScoreRequest(renderer.prompt(e.query, ()).text, tuple(renderer.answer(n) for n in task.labels))
        for e in test
    ]
    said = [task.labels[s.logprobs.index(max(s.logprobs))] for s in model.score(asked)]
    return sum(a == e.target for a, e in zip(said, test, strict=True)) / len(test)
