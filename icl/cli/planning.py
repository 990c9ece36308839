"""icl plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from icl.cli import options
from icl.cli.options import DEFAULT_OUTPUT, AllowCode, File, Limit, Model, Output, Seeds, Set
from icl.printable import visible

if TYPE_CHECKING:
    from rich.table import Table

    from icl.engine.measuring.footprint import Footprint
    from icl.experiments.grid.check import Checked
    from icl.experiments.plan import Plan

COLUMNS = ("task", "cells", "predictions", "requests", "tokens flat", "unique", "sharing", "selection")


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("plan", epilog="Examples: icl plan experiments/sst2.yaml | icl plan e.yaml --limit 500")(plan)


def plan(
    file: File,
    output: Output = DEFAULT_OUTPUT,
    settings: Set = None,
    limit: Limit = None,
    seeds: Seeds = None,
    model: Model = None,
    allow_code: AllowCode = False,
) -> None:
    """Show what an experiment would ask: cells, requests, tokens, time, memory. Nothing is run.

    Only the tokenizer of the model is read. Tokens: flat as a plain engine would count them,
    unique with each shared prefix once.
    """
    from rich.console import Console

    from icl.experiments.file.config import read_experiment
    from icl.experiments.grid.check import check

    # before what imports torch: a wrong key is answered at once
    checked = check(*read_experiment(file, options.overrides(settings, limit, seeds, model)))

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
        found = rehearse(checked, encoder, note=note)
        footprint = _footprint(checked, found)
        slots = found.largest.texts if footprint is None else footprint.texts
        time = _time(checked, found, slots, output / CACHE, note)
    console = Console()
    console.print(_table(checked, found))
    if found.total.tokens_generated:
        console.print(
            f"Of these, {found.total.tokens_generated:,} are generated at most: texts that end before "
            "their limit take fewer.",
            highlight=False,
            soft_wrap=True,
        )
    for line in (time, _memory(footprint), *_training(found)):
        console.print(line, highlight=False, soft_wrap=True)


def _table(checked: Checked, found: Plan) -> Table:
    from rich.table import Table
    from rich.text import Text

    experiment = checked.experiment
    table = Table(
        title=Text(visible(f"{experiment.name}: {experiment.model_label}")), box=None, padding=(0, 2, 0, 0)
    )
    for header in COLUMNS:
        table.add_column(header, justify="left" if header == "task" else "right")
    for entry in found.tasks:
        total = entry.inference + entry.selection
        share = entry.selection.tokens_unique / max(total.tokens_unique, 1)
        counts = (entry.cells, entry.predictions, total.requests, total.tokens_flat, total.tokens_unique)
        ratio = f"{total.tokens_flat / max(total.tokens_unique, 1):.1f}x"
        table.add_row(Text(entry.task), *(f"{count:,}" for count in counts), ratio, f"{share:.0%}")
    return table


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


def _time(checked: Checked, found: Plan, slots: int, cache: Path, note: Callable[[str], None]) -> str:
    """One line: how long, at which rates, and where these come from. slots: for texts written at once."""
    from icl.cli.display import duration
    from icl.experiments.folder.rates import ASSUMED, expected_rates

    total = found.total
    limit = total.tokens_generated
    texts, context = found.writing.side_by_side(slots, ASSUMED), found.writing.context
    expected = expected_rates(cache, checked.experiment, texts=texts, context=context, note=note)
    seconds = expected.rates.seconds(total.tokens_unique - limit, limit) if expected else None
    if expected is None or seconds is None:
        return "Expected time: unknown for this model until it has run once."
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
    return f"Expected time: {span} ({', '.join(parts)}; {expected.origin}), without loading the model."


def _footprint(checked: Checked, found: Plan) -> Footprint | None:
    """None for a model whose shape is not at hand."""
    from icl.engine.measuring.footprint import expected_memory

    experiment = checked.experiment
    if not isinstance(experiment.model, str) or experiment.model == "fake":
        return None
    return expected_memory(experiment.model, experiment.dtype, found.largest, encoder=checked.needs_encoder)


def _memory(part: Footprint | None) -> str:
    """One line: how much at the peak, and what takes it."""
    if part is None:
        return "Expected memory: unknown for this model."
    shown = [
        f"{size / 2**30:.1f}" for size in (part.total, part.process, part.weights, part.chunk, part.cache)
    ]
    return (
        f"Expected memory: {shown[0]} GiB (process {shown[1]}, weights {shown[2]}, activations {shown[3]}, "
        f"keys and values {shown[4]}); selectors that train an encoder take more."
    )
