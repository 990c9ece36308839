"""Components tried on the data as far as they come without a model or an encoder.

A validation split larger than the pool, ids that are not in it, a template without a rationale: found now and
not after the model is loaded, or after hours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

from icl.engine.fake import ByteTokenizer
from icl.errors import Collector, ContextOverflow, IclError
from icl.experiments.asking.models import context_without_weights
from icl.experiments.contracts import is_own
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment, Source
from icl.prompts import PromptRenderer
from icl.protocols import Method, Orderer, Resources, Selector, methods, orderers, selectors
from icl.tasks import Split
from icl.types import Demonstration, Prompt, Task


class _Asked(Exception):
    """The trial ends: what is asked now would take time."""


class _Nobody:
    """`LanguageModel` and `TokenEncoder` that end a trial when they are asked."""

    name = fingerprint = "nobody"
    tokenizer = ByteTokenizer()
    context_length = 1 << 20

    def score(self, *_: Any) -> NoReturn:
        raise _Asked

    generate = encode = encode_tokens = score


class _FewPrompts(PromptRenderer):
    """Ends a trial that has written so many prompts without asking: more would only take time."""

    left = 300

    def prompt(self, *arguments: Any, **keywords: Any) -> Prompt:
        self.left -= 1
        if self.left < 0:
            raise _Asked
        return super().prompt(*arguments, **keywords)


@contextmanager
def _warnings(shown_here: bool) -> Iterator[None]:
    """A run says again what a component warns of: once is enough."""
    before = logging.root.manager.disable
    logging.disable(before if shown_here else max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


def try_components(
    experiment: Experiment,
    source: Source,
    task: Task,
    split: Split,
    built: Mapping[str, Sequence[Any]],
    problems: Collector,
) -> None:
    """Fits every component of the grid and has it handle the first test item; what is refused is added to
    `problems` with its place in the file. `built` has None for those that could not be made, which has been
    said."""
    nobody = _Nobody()
    nobody.name = experiment.encoder  # what kind of encoder it will be can be told from its name
    length = context_without_weights(experiment) or nobody.context_length
    tools: dict[str, Any] = {"tokenizer": nobody.tokenizer, "context_length": length}
    resources = Resources(
        task, experiment.seeds[0], nobody, nobody, None, experiment.duplicate_threshold, split.pool, True
    )
    shots = max(experiment.grid.shots)
    shown = [Demonstration(example) for example in split.pool[:shots]]

    def select(selector: Selector, resources: Resources) -> None:
        selector.fit(split.pool, resources).select([split.test[0].query], shots)

    def order(orderer: Orderer, resources: Resources) -> None:
        orderer.order([shown], [split.test[0].query], resources)

    def ask(method: Method, resources: Resources) -> None:
        solve = method.fit(split.pool, resources).solve(split.test[0].query, shown[:1], resources)
        next(solve, None)
        solve.close()

    trials: Sequence[tuple[str, Any, Callable[[Any, Resources], None]]] = (
        ("selector", selectors, select),
        ("orderer", orderers, order),
        ("method", methods, ask),
    )
    for axis, registry, use in trials:
        if axis != "method" and not shots:
            continue
        items: Iterable[Component] = getattr(experiment.grid, axis)
        for index, item in enumerate(items):
            if built[axis][index] is None:
                continue
            with problems.one():
                try:
                    # built anew: a fitted one has seen this task's pool
                    part = registry.create(item.name, item.parameters)
                    if not is_own(part):
                        continue  # see `rehearsal`
                    with _warnings(shown_here=problems.wants_all):
                        use(part, replace(resources, renderer=_FewPrompts(task=task, **tools)))
                except _Asked:
                    continue
                except ContextOverflow as error:
                    key = "model" if experiment.context_length is None else "context_length"
                    raise source.error((key,), str(error)) from error
                except IclError as error:
                    raise source.error(("grid", axis, index), str(error)) from error
