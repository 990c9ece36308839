"""Rows of a task, written by several templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.components import check_choice, check_number
from icl.instructions.contract import Asking, Place, Work, row_generators
from icl.instructions.generators.shared.tasks import examples_of, templates_of
from icl.instructions.rows import InstructionRow
from icl.instructions.templates import LONGEST_FIELD, TaskTemplate, Written
from icl.types import Example

SPLITS = ("train", "validation")
TRIES = 8
"""Draws of a demonstration before the row goes without it: others were the row itself or empty."""


@row_generators.register(
    "format", paper="Bach et al. 2022, PromptSource; Longpre et al. 2023, The Flan Collection"
)
@dataclass(kw_only=True)
class Format:
    """Any task through several templates, with or without options and demonstrations.

    task: by name or file. split: whose rows. rows: examples at most, drawn by the seed (FLAN: 30,000 a task);
    0 is all. templates: "all" of the package that fit, names, or files. each: "one" template an example,
    drawn (FLAN), or "all" of them (T0). inverted: share of examples written by templates that ask for the
    input (FLAN: up to 3 of 10 templates). few_shot: share with demonstrations, options: share with options in
    the prompt (FLAN 2022: a quarter each way). shots: how many demonstrations, drawn. separator,
    answer_separator: between demonstrations, and between a prompt and its answer in them. longest:
    characters of an input (PromptSource: 2,048), 0 for no bound.
    """

    asks = False
    task: str
    split: str = "train"
    rows: int = 30_000
    templates: str | list[str] = "all"
    each: str = "one"
    inverted: float = 0.0
    few_shot: float = 0.5
    options: float = 0.5
    shots: Sequence[int] = (1, 2, 3, 4, 5)
    separator: str = "\n\n\n"
    answer_separator: str = "\n\n"
    longest: int = LONGEST_FIELD

    def __post_init__(self) -> None:
        check_choice("split", self.split, SPLITS)
        check_choice("each", self.each, ("one", "all"))
        check_number("rows", self.rows, low=0, whole=True)
        check_number("longest", self.longest, low=0, whole=True)
        for name in ("inverted", "few_shot", "options"):
            check_number(name, getattr(self, name), low=0, high=1)
        if not isinstance(self.shots, list | tuple) or not self.shots:
            raise ValueError(f"shots is {self.shots!r}; allowed: a list of numbers of demonstrations")
        for count in self.shots:
            check_number("shots", count, low=1, whole=True)

    def check(self, place: Place) -> None:
        """Whether there are rows and templates, and whether the first row can be written by each."""
        data = place.load(self.task)
        first = examples_of(data, self.split)[0]
        for template in self._templates(place):
            template.write(first, options=True, longest=self.longest or None)

    def _templates(self, place: Place) -> list[TaskTemplate]:
        data = place.load(self.task)
        found = templates_of(data, self.templates, place, inverted=False)
        return found + (templates_of(data, self.templates, place, inverted=True) if self.inverted else [])

    def reads(self, place: Place) -> str:
        """The task's rows, and the templates."""
        specs = ";".join(template.spec.model_dump_json() for template in self._templates(place))
        return f"{place.load(self.task).fingerprint};{specs}"

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        data = work.place.load(self.task)
        examples = examples_of(data, self.split)
        order = work.generator("examples").permutation(len(examples))
        chosen = [examples[int(at)] for at in (order[: self.rows] if self.rows else order)]
        templates = self._templates(work.place)
        plain = [t for t in templates if not t.spec.inverted]
        turned = [t for t in templates if t.spec.inverted]
        for example in chosen:
            rng = work.generator("row", example.id)
            group = turned if turned and rng.random() < self.inverted else plain
            picked = group if self.each == "all" else [group[int(rng.integers(len(group)))]]
            for template in picked:
                self._row(work, example, examples, template, rng)
        yield from ()

    def _row(
        self,
        work: Work,
        example: Example,
        others: Sequence[Example],
        template: TaskTemplate,
        rng: np.random.Generator,
    ) -> None:
        """Writes one example by one template."""
        options = bool(rng.random() < self.options)
        written = template.write(example, options=options, longest=self.longest or None)
        if written is None:
            work.reject("template gave nothing", f"{template.spec.name}: {example.id}")
            return
        shots = int(rng.choice(list(self.shots))) if rng.random() < self.few_shot else 0
        shown = self._demonstrations(example, others, template, options, shots, rng)
        prompt = self._prompt(written, [one for _, one in shown])
        made: dict[str, Any] = {"by": "format", "template": template.spec.name, "shots": len(shown)}
        if template.takes_options or template.spec.choices_in_prompt:
            made["options"] = options or template.spec.choices_in_prompt
        if template.spec.inverted:
            made["inverted"] = True
        name = template.task.name
        work.keep(
            InstructionRow(
                f"{name}/{example.id}/{template.spec.name}",
                written.instruction or prompt,
                prompt if written.instruction else "",
                written.target,
                source=name,
                made=made,
                ids=(f"{name}/{example.id}", *(f"{name}/{other.id}" for other, _ in shown)),
            )
        )

    def _demonstrations(
        self,
        example: Example,
        others: Sequence[Example],
        template: TaskTemplate,
        options: bool,
        shots: int,
        rng: np.random.Generator,
    ) -> list[tuple[Example, Written]]:
        """Other examples by the same template; never the example itself, or one with its inputs."""
        shown: list[tuple[Example, Written]] = []
        taken = {example.text}
        for _ in range(shots * TRIES):
            if len(shown) == shots:
                break
            other = others[int(rng.integers(len(others)))]
            if other.text in taken:
                continue
            written = template.write(other, options=options, longest=self.longest or None)
            if written is not None:
                taken.add(other.text)
                shown.append((other, written))
        return shown

    def _prompt(self, written: Written, shown: Sequence[Written]) -> str:
        before = [f"{one.prompt}{self.answer_separator}{one.target}" for one in shown]
        return self.separator.join([*before, written.prompt])
