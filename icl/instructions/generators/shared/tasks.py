"""Rows of a task as instruction rows are made from them."""

from __future__ import annotations

from icl.errors import ConfigError
from icl.instructions.contract import Place
from icl.instructions.templates import TaskTemplate, for_task, named, read_templates, shipped
from icl.tasks import TaskData
from icl.types import Example

ALL = "all"


def examples_of(data: TaskData, split: str) -> tuple[Example, ...]:
    """The rows of a split. ConfigError where there are none."""
    rows: tuple[Example, ...] = getattr(data, split)
    if not rows:
        raise ConfigError(f"task {data.task.name!r} has no {split} rows to make instructions of")
    return rows


def templates_of(
    data: TaskData, wanted: str | list[str], place: Place, *, inverted: bool
) -> list[TaskTemplate]:
    """Templates for a task: "all" of the package, names of them, or files of one's own.

    inverted: whether those that ask for the input are wanted or the others. ConfigError where none is left.
    """
    given = [wanted] if isinstance(wanted, str) else list(wanted)
    specs, names = [], []
    for name in given:
        if name.endswith((".yaml", ".yml")):
            specs += read_templates(place.there(name, "templates"))
        elif name != ALL:
            names.append(name)
    if ALL in given or names:
        specs += shipped()
    fitting = for_task(specs, data.task)
    if names and ALL not in given:
        own = [t for t in fitting if not t.where.startswith("template ")]
        fitting = [*own, *named(fitting, names, f"task {data.task.name!r}")]
    found = [template for template in fitting if template.spec.inverted == inverted]
    if not found:
        side = "that ask for the input" if inverted else "that ask for the answer"
        raise ConfigError(
            f"task {data.task.name!r} ({data.task.kind}, language {data.task.language}): no templates {side} "
            f"among {', '.join(given)}"
        )
    return found
