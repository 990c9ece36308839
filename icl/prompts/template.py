"""Templates of one item: jinja2 in a sandbox, checked before a model loads.

The template strings of a task come from files that people share, so they run in jinja2's immutable
sandbox: no attribute of Python's machinery can be reached and nothing can be changed. An undefined
name is an error, never an empty string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Literal

import jinja2
from jinja2 import meta

from icl.errors import ConfigError, unknown_name
from icl.prompts.sandbox import Refused, Sandbox
from icl.types import Example, Query, Task, Template

Side = Literal["query", "answer", "rationale", "closing", "channel_answer", "channel_query"]
SIDES: tuple[Side, ...] = ("query", "answer", "rationale", "closing", "channel_answer", "channel_query")
PROMPT_ENDS: tuple[Side, ...] = ("query", "channel_answer")
"""The sides after which the model goes on; they must not end in a space."""

EXTRA_NAMES: Mapping[Side, tuple[str, ...]] = {
    "query": ("choices",),
    "answer": ("choices", "answer"),
    "rationale": ("choices", "answer", "rationale"),
    "closing": ("choices", "answer"),
    "channel_answer": ("choices", "answer"),
    "channel_query": ("choices",),
}
"""What a side may name beside the task's inputs. The query's side cannot name the answer."""

INSTRUCTION_NAMES = ("labels",)
"""An instruction may list the task's verbalised labels."""


_ENVIRONMENT = Sandbox()


@lru_cache(maxsize=4096)
def compiled(source: str) -> jinja2.Template:
    """The compiled template; jinja2.TemplateSyntaxError if it is not one."""
    return _ENVIRONMENT.from_string(_ENVIRONMENT.guarded(source))


def check_template(source: str, allowed_names: Collection[str], where: str) -> None:
    """Refuses a template that cannot be rendered from `allowed_names`.

    `where` says where it stands, e.g. "tasks/sst2.yaml: template.query". Raises ConfigError for a
    syntax error (with its line) and for an unknown variable (with the nearest allowed name).
    """
    try:
        compiled(source)
        undeclared = meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
    except jinja2.TemplateSyntaxError as error:
        problem = f"not a valid jinja2 template, line {error.lineno}: {error.message}"
        raise ConfigError(f"{where}: {problem}") from error
    except (RecursionError, SyntaxError, ValueError, OverflowError, MemoryError) as error:
        raise ConfigError(f"{where}: not a template that can be compiled: {error}") from error
    except Refused as error:  # constants are worked out while it is compiled
        raise ConfigError(f"{where}: the template is refused: {error}") from error
    for name in sorted(undeclared - set(allowed_names) - set(_ENVIRONMENT.globals)):
        raise ConfigError(f"{where}: {unknown_name('template variable', name, allowed_names)}")
    _refuse_greedy(source, allowed_names, where)


def variables(source: str) -> set[str]:
    """Names of what a template that was checked takes from outside."""
    return set(meta.find_undeclared_variables(_ENVIRONMENT.parse(source)))


def _refuse_greedy(source: str, names: Collection[str], where: str) -> None:
    """Renders once with short texts: what is too much whatever the item is found before any is read."""
    values: dict[str, Any] = dict.fromkeys(names, "x")
    values |= {"choices": {"A": "x", "B": "y"}, "labels": ["x", "y"]}
    try:
        _ENVIRONMENT.rendered(compiled(source), values)
    except Refused as error:
        raise ConfigError(f"{where}: the template is refused: {error}") from error
    except Exception:  # an item may be what the template needs, and these texts are not
        return


def check_templates(
    template: Template, inputs: Collection[str], instruction: str, where: str | Callable[[str], str]
) -> None:
    """Checks every side of a task's template and its instruction; raises ConfigError.

    Beside what `check_template` refuses: an empty query, and a query or channel answer that ends
    in a space (a tokenizer puts the space before the word that follows, so it belongs to the
    answer's side; with it the model is asked something it has never seen).
    `where`: what stands in front of "template.query", or what gives it the place of such a key.
    """

    def at(key: str) -> str:
        return where(key) if callable(where) else f"{where}: {key}"

    for side in SIDES:
        check_template(getattr(template, side), (*inputs, *EXTRA_NAMES[side]), at(f"template.{side}"))
    check_template(instruction, INSTRUCTION_NAMES, at("instruction"))
    if not template.query.strip():
        raise ConfigError(f"{at('template.query')} is empty")
    if not template.answer.strip():
        raise ConfigError(f"{at('template.answer')} is empty")
    if bool(template.channel_answer.strip()) != bool(template.channel_query.strip()):
        missing = "template.channel_query" if template.channel_answer.strip() else "template.channel_answer"
        other = "channel_answer" if missing.endswith("query") else "channel_query"
        raise ConfigError(f"{at(missing)} is missing: it and {other} go together")
    for side in PROMPT_ENDS:
        source: str = getattr(template, side)
        if source.endswith((" ", "\t")):
            follower = "channel_query" if side == "channel_answer" else "answer and template.rationale"
            raise ConfigError(
                f"{at(f'template.{side}')} ends in a space ({source[-20:]!r}); "
                f"put the space at the start of template.{follower}"
            )


def query_head(template: Template) -> str:
    """The fixed words with which every query begins, e.g. "Q:"; empty if it begins with an input."""
    return re.split(r"\{\{|\{%|\{#", template.query, maxsplit=1)[0].strip()


def answer_cue(template: Template) -> str:
    """The words that ask for the answer, e.g. "A:"; empty if a query does not end in a cue.

    Models repeat it, chat models above all; there it is no answer ("A:" is not the choice A).
    """
    tail = re.split(r"\}\}|%\}|#\}", template.query)[-1].strip()
    line = tail.rsplit("\n", maxsplit=1)[-1].strip()
    return line if line.endswith((":", "：")) else ""


def render(source: str, values: Mapping[str, Any], where: str) -> str:
    """The text of one template. Raises ConfigError that begins with `where` if it cannot be made."""
    try:
        return _ENVIRONMENT.rendered(compiled(source), values)
    except jinja2.UndefinedError as error:
        raise ConfigError(f"{where}: {error.message}; given: {', '.join(values)}") from error
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{where}, line {error.lineno} of the template: {error.message}") from error
    except Refused as error:
        raise ConfigError(f"{where}: the template is refused: {error}") from error
    except Exception as error:  # a template may divide by zero, call what it should not, ...
        raise ConfigError(f"{where}: the template failed: {type(error).__name__}: {error}") from error


def render_side(task: Task, side: Side, item: Query | Example, answer: str = "") -> str:
    """One side of the template for a query or an example.

    An example's own target and rationale stand in for `answer` and `rationale`; a query has
    neither, so channel scoring passes the label to be tried as `answer`. The result of a side
    that the model continues never ends in a space or tab.
    """
    values: dict[str, Any] = {**item.inputs, "choices": dict(item.choices)}
    where = f"task {task.name!r}, template.{side}, item {item.id!r}"
    if isinstance(item, Example):
        answer = answer or item.target
        if side == "rationale":
            if item.rationale is None or not item.rationale.strip():
                raise ConfigError(
                    f"task {task.name!r}: example {item.id!r} has no rationale, "
                    "which a chain-of-thought demonstration needs"
                )
            values["rationale"] = item.rationale.strip()
    if "answer" in EXTRA_NAMES[side]:
        values["answer"] = task.verbalise(answer)
    text = render(getattr(task.template, side), values, where)
    return text.rstrip(" \t") if side in PROMPT_ENDS else text


def render_instruction(task: Task) -> str:
    """The instruction, in which `labels` is the list of verbalised labels."""
    labels = [task.verbalise(label) for label in task.labels]
    return render(task.instruction, {"labels": labels}, f"task {task.name!r}, instruction")
