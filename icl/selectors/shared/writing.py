"""Examples that the model writes: prompts that ask for one input, and reading what came back.

The model writes one input of the task; the others (a premise, a passage) are taken from the example
or query that it starts from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from icl.components import check_number
from icl.errors import ConfigError, unknown_name
from icl.protocols import selectors
from icl.tasks.duplicates import DuplicateIndex
from icl.types import Example, Generation, Query, Sample, Task, TaskKind

WITH_LABELS: frozenset[TaskKind] = frozenset({"classification", "boolean"})
"""Kinds whose labels can be asked for: the letters of multiple choice say nothing of an item."""


def written_field(selector: str, task: Task, field: str | None) -> str:
    """The input that the model writes: `field`, or the task's last. ConfigError for an unknown one."""
    if field is None:
        return task.inputs[-1]
    if field not in task.inputs:
        raise ConfigError(f"selector {selector!r}: {unknown_name('input field', field, task.inputs)}")
    return field


def check_field(field: object) -> None:
    """Raises ValueError unless `field` is None or a text."""
    if field is not None and not isinstance(field, str):
        raise ValueError(f"field is {field!r}; allowed: the name of an input")


def check_sampling(max_tokens: object, temperature: object, top_p: object) -> None:
    """Raises ValueError unless these are settings one can sample with."""
    check_number("max_tokens", max_tokens, low=1, whole=True)
    check_number("temperature", temperature, low=0)
    check_number("top_p", top_p, low=0.01, high=1)


def check_inner(name: object) -> None:
    """ValueError unless `name` is a text, ConfigError unless it names a selector."""
    if not isinstance(name, str):
        raise ValueError(f"selector is {name!r}; allowed: the name of a selector")
    selectors.entry(name)


def lines_before(inputs: Mapping[str, str], field: str) -> str:
    """The inputs other than `field`, one "name: value" a line."""
    return "".join(f"{name}: {value}\n" for name, value in inputs.items() if name != field)


def read(sample: Sample) -> str:
    """The first line, without the quotation marks that models like to add; empty where there is none."""
    lines = sample.text.strip().splitlines()
    return lines[0].strip().strip("\"'“”").strip() if lines else ""


def logprob_per_token(sample: Sample) -> float:
    """Mean log-probability of a drawn token; 0 for an empty sample."""
    return float(sum(sample.logprobs)) / max(len(sample.logprobs), 1)


def different(
    drafts: Iterable[tuple[Example, Sample]],
    known: Sequence[Example | Query],
    threshold: float,
    enough: int | None = None,
) -> list[tuple[Example, Sample]]:
    """The drafts, in order, that are not empty and duplicate neither `known` nor an earlier draft.

    `enough`: stops after so many.
    """
    barred = DuplicateIndex([_example(item) for item in known], threshold)
    kept: list[tuple[Example, Sample]] = []
    for draft, sample in drafts:
        if len(kept) == enough:
            break
        if not draft.text.strip() or barred.matches(draft):
            continue
        if kept and DuplicateIndex([e for e, _ in kept], threshold).matches(draft):
            continue
        kept.append((draft, sample))
    return kept


def _example(item: Example | Query) -> Example:
    return item if isinstance(item, Example) else Example(item.id, item.inputs, "", item.choices)


def drafts_of(
    start: Example | Query, field: str, label: str, name: str, generation: Generation, by: str
) -> list[tuple[Example, Sample]]:
    """One example a sample: `start` with `field` as written, labelled `label`, called name-0, name-1, ..."""
    base = replace(_example(start), target=label, rationale=None, meta={"written_by": by})
    return [
        (replace(base, id=f"{name}-{number}", inputs={**start.inputs, field: read(sample)}), sample)
        for number, sample in enumerate(generation.samples)
    ]
