"""icl plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli import options
from icl.cli.options import (
    DEFAULT_OUTPUT,
    Address,
    AllowCode,
    Executor,
    File,
    Gpus,
    Limit,
    Model,
    Output,
    Seeds,
    Set,
    Workers,
)
from icl.printable import visible
from icl.types import NO_USAGE, Usage

if TYPE_CHECKING:
    from rich.table import Table

    from icl.engine.measuring.footprint import Footprint
    from icl.experiments.folder.rates import Span
    from icl.experiments.grid.check import Checked
    from icl.experiments.plan import Plan

COLUMNS = ("task", "cells", "predictions", "requests", "tokens flat", "unique", "sharing", "selection")


@dataclass(frozen=True, slots=True)
class OneModel:
    """What one of the models is asked, how long and in how much memory."""

    checked: Checked
    plan: Plan
    span: Span | None
    time: str
    memory: Footprint | None

    @property
    def label(self) -> str:
        """The model's name, as rows have it."""
        return self.checked.experiment.model_label


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "plan",
        epilog="Examples: icl plan experiments/sst2.yaml | icl plan e.yaml --limit 500 | "
        "icl plan e.yaml --measure",
    )(plan)


def plan(
    file: File,
    output: Output = DEFAULT_OUTPUT,
    settings: Set = None,
    limit: Limit = None,
    seeds: Seeds = None,
    model: Model = None,
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    gpus_per_worker: Gpus = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Measure the model's rates anew, whatever earlier runs and plans kept."
        ),
    ] = False,
    allow_code: AllowCode = False,
) -> None:
    """Show what an experiment would ask: cells, requests, tokens, time, memory. Nothing is run.

    Several models are planned one by one and summed up: one is gone from memory before the next is loaded.
    Only the tokenizer of the model is read. Tokens: flat as a plain engine would count them,
    unique with each shared prefix once. Time and memory are estimates; the rates behind the time are kept in
    DIR/.cache and said with their age.
    """
    from rich.console import Console

    from icl.experiments.file.config import read_experiment
    from icl.experiments.grid.check import check

    # before what imports torch: a wrong key is answered at once
    changed = options.overrides(settings, limit, seeds, model)
    changed += options.executor(executor, workers, address, gpus_per_worker)
    checked = check(*read_experiment(file, changed))

    from icl.cli.display import waiting
    from icl.encoders import load_encoder
    from icl.experiments.plan import plan as rehearse
    from icl.experiments.running.runner import CACHE

    with waiting(Console(stderr=True), "planning") as note:
        encoder = None
        if checked.needs_encoder:
            name = checked.experiment.encoder
            note(f"loading encoder {name}")
            encoder = load_encoder(name, cache=output / CACHE / "embeddings")
        models = []
        for one in checked.each:
            found = rehearse(one, encoder, note=note)
            footprint = _footprint(one, found)
            slots = found.largest.texts if footprint is None else footprint.texts
            span, time = _time(one, found, slots, output / CACHE, measure, note)
            models.append(OneModel(one, found, span, time, footprint))
    console = Console()
    console.print(_table(checked.experiment.name, models))
    for line in [*(line for one in models for line in _lines(one, len(models) > 1)), *_sum(models)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(one: OneModel, named: bool) -> list[str]:
    """Beside the table: what is generated, time, memory, training."""
    made = one.plan.total.tokens_generated
    limit = f"Of these, {made:,} are generated at most: texts that end before their limit take fewer."
    more = f"Forwarded besides: {one.plan.recomputed:,} tokens; {one.plan.recomputes}."
    again = one.plan.recomputed > 0
    own = [*([limit] if made else ()), *([more] if again else ()), *_workers(one), one.time, *_price(one)]
    lines = [*own, _memory(one), *_training(one.plan), *_judging(one)]
    return [visible(f"{one.label}: {line}") for line in lines] if named else lines


def _price(one: OneModel) -> list[str]:
    """What a server with a budget is asked for at most, beside that budget."""
    given = one.checked.experiment.choice.options.get("budget")
    if not one.checked.experiment.choice.is_backend or given is None:
        return []
    from icl.backends.openai.budget import Budget

    budget, total = Budget.of(given), one.plan.total
    written = total.tokens_generated
    read = total.tokens_flat - written
    price = "" if budget.money is None else f", {budget.cost(read, written):.3g} by the prices of the budget"
    holds = "holds it" if budget.fits(read, written) else "may end before: the same command then goes on"
    return [
        f"Asked of the server at most: {read:,} tokens read, {written:,} written{price}; a session {holds}."
    ]


def _workers(one: OneModel) -> list[str]:
    """What workers would repeat, and how their time relates to that of one process."""
    from icl.experiments.asking.pooled import executor_of

    executor = executor_of(one.checked.experiment, one.checked.source)
    if executor is None:
        return []
    name, cut = one.checked.experiment.executor.name, one.plan.cut  # type: ignore[union-attr]
    if executor.workers is None:
        return [f"Executor {name}: how many workers there are, and what they repeat, the cluster says."]
    again = f"{cut.tokens_repeated:,} tokens ({cut.repeated:.1%}) are forwarded more than once"
    return [f"Executor {name}, {executor.workers} workers: {cut.tasks:,} tasks; {again}."]


def _sum(models: Sequence[OneModel]) -> list[str]:
    """All models one after another; nothing where there is one."""
    from icl.cli.display import duration

    if len(models) == 1:
        return []
    total = sum((one.plan.total for one in models), start=NO_USAGE)
    spans, sizes = [one.span for one in models], [one.memory for one in models]
    likely = sum(span.likely for span in spans if span)
    time = f"about {duration(likely)}" if all(spans) else "unknown for one of them"
    peak = max((size.total for size in sizes if size), default=0)
    memory = f"{peak / 2**30:.1f} GiB" if all(sizes) else "unknown for one of them"
    return [
        f"All {len(models)} models, one after another: {total.requests:,} requests, {total.tokens_unique:,} "
        f"tokens forwarded; expected time {time}; memory of the largest {memory}."
    ]


def _table(name: str, models: Sequence[OneModel]) -> Table:
    """A row a task, with the model where there are several, then their sum."""
    from rich.table import Table
    from rich.text import Text

    several = len(models) > 1
    title = f"{name}: {len(models)} models" if several else f"{name}: {models[0].label}"
    table = Table(title=Text(visible(title)), box=None, padding=(0, 2, 0, 0))
    for header in (*(["model"] if several else ()), *COLUMNS):
        table.add_column(header, justify="left" if header in ("model", "task") else "right")

    def add(names: Sequence[str], cells: int, predictions: int, total: Usage, selection: Usage) -> None:
        share = selection.tokens_unique / max(total.tokens_unique, 1)
        counts = (cells, predictions, total.requests, total.tokens_flat, total.tokens_unique)
        ratio = f"{total.tokens_flat / max(total.tokens_unique, 1):.1f}x"
        named = (Text(visible(text)) for text in (names if several else names[1:]))
        table.add_row(*named, *(f"{count:,}" for count in counts), ratio, f"{share:.0%}")

    for one in models:
        for entry in one.plan.tasks:
            total = entry.inference + entry.selection
            add((one.label, entry.task), entry.cells, entry.predictions, total, entry.selection)
    if several:
        plans = [one.plan for one in models]
        add(
            ("all", ""),
            sum(found.cells for found in plans),
            sum(found.predictions for found in plans),
            sum((found.total for found in plans), start=NO_USAGE),
            sum((entry.selection for found in plans for entry in found.tasks), start=NO_USAGE),
        )
    return table


def _judging(one: OneModel) -> list[str]:
    """What the judge is asked about these answers, which is in no figure above."""
    from icl.experiments.file.judges import judge_of

    choice, asked = judge_of(one.checked.experiment, one.checked.source), one.plan.judging
    if choice is None:
        return []
    ratio = asked.tokens_flat / max(asked.tokens_unique, 1)
    return [
        f"Judging by {choice.label} is not in these figures: {asked.requests:,} requests, "
        f"{asked.tokens_flat:,} tokens flat, {asked.tokens_unique:,} forwarded ({ratio:.1f}x), for answers "
        "as long as they may be; its model is opened when the others are gone."
    ]


def _training(found: Plan) -> list[str]:
    """What is trained besides, which is in no figure above."""
    if not found.training:
        return []
    parts = []
    for tuning, cost in found.training.items():
        if cost is None:
            parts.append(f"{tuning}: unknown")
            continue
        looks = f" and {cost.tokens_validation:,} for validation" if cost.tokens_validation else ""
        parts.append(f"{tuning}: {cost.steps:,} steps, {cost.tokens:,} tokens forwards and back{looks}")
    return [
        "Training is not in these figures. Over all tasks and seeds: "
        + visible("; ".join(parts))
        + ". A token forwards and back takes about as long as three that are read; memory comes on top."
    ]


def _time(
    checked: Checked, found: Plan, slots: int, cache: Path, anew: bool, note: Callable[[str], None]
) -> tuple[Span | None, str]:
    """How long, and in one line at which rates, and where these come from. slots: for texts written at
    once."""
    from icl.cli.display import duration
    from icl.experiments.folder.rates import ASSUMED, expected_rates

    total = found.total
    limit = total.tokens_generated
    texts, context = found.writing.side_by_side(slots, ASSUMED), found.writing.context
    elsewhere = _machines(checked)
    if elsewhere is None:
        return None, "Expected time: unknown before the cluster says how many workers there are."
    expected = expected_rates(
        cache, checked.experiment, found.fingerprint,
        texts=texts, context=context, times=elsewhere, anew=anew, note=note,
    )  # fmt: skip
    read = total.tokens_unique + found.cut.tokens_repeated - limit
    seconds = expected.rates.seconds(read, limit) if expected else None
    if expected is None or seconds is None:
        return None, "Expected time: unknown for this model until it has run once."
    rates, (least, likely, most) = expected.rates, seconds
    span = f"about {duration(likely)}"
    if least < most:
        span += f", {duration(least)} to {duration(most)}"
    parts = [f"{rates.read or 0:,.0f} tokens/s read"]
    if limit:
        parts.append(f"{rates.write or 0:,.0f} tokens/s written")
        parts.append(
            f"the texts' length is not known yet: {ASSUMED:.0%} of their limit is assumed"
            if rates.share is None
            else f"texts of {rates.share:.0%} of their limit"
        )
    line = f"Expected time: {span} ({', '.join(parts)}; {expected.origin}), without loading the model."
    return seconds, line


def _machines(checked: Checked) -> int | None:
    """By how many the rates of this machine are multiplied: the workers of a cluster, else 1, since workers
    of one machine divide its processors. None: not known."""
    from icl.experiments.asking.pooled import executor_of

    executor = executor_of(checked.experiment, checked.source)
    return 1 if executor is None or executor.one_machine else executor.workers


def _footprint(checked: Checked, found: Plan) -> Footprint | None:
    """None for a model whose shape is not at hand."""
    from icl.engine.measuring.footprint import expected_memory

    experiment, choice = checked.experiment, checked.experiment.choice
    if choice.is_backend or choice.name == "fake":
        return None
    return expected_memory(choice.name, experiment.dtype, found.largest, encoder=checked.needs_encoder)


def _memory(one: OneModel) -> str:
    """One line: how much at the peak, and what takes it."""
    part = one.memory
    if part is None:
        return "Expected memory: unknown for this model."
    shown = [
        f"{size / 2**30:.1f}" for size in (part.total, part.process, part.weights, part.chunk, part.cache)
    ]
    each = " a worker" if one.checked.experiment.executor is not None else ""
    return (
        f"Expected memory{each}: {shown[0]} GiB (process {shown[1]}, weights {shown[2]}, activations "
        f"{shown[3]}, keys and values {shown[4]}); selectors that train an encoder take more."
    )
