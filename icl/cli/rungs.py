"""icl models MODEL: which engine a model takes here, and why none above it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import typer

from icl.cli.tables import Row, show
from icl.printable import visible

if TYPE_CHECKING:
    from icl.engine.rungs.ladder import Tried


def show_rung(name: str, dtype: str | None, as_json: bool) -> None:
    """Loads a model and has it climb the ladder. Raises ConfigError and ModelError as `load_model` does."""
    from icl.engine.loading.sources import resolve

    if resolve(name).kind == "fake":
        typer.echo(
            json.dumps({"model": name, "engine": None}) if as_json else f"{name}: no weights, no engine"
        )
        return
    typer.echo(visible(f"loading {name}"), err=True)
    from icl.engine.loading.load import open_network
    from icl.engine.rungs.ladder import choose_engine

    opened = open_network(name, dtype=dtype)
    typer.echo("comparing engines with plain forwards", err=True)
    tried: list[Tried] = []
    quiet, log = logging.CRITICAL, logging.getLogger("icl")
    before = log.level
    log.setLevel(quiet)  # the table says all that the log would
    try:
        model: Any = choose_engine(
            opened.network, opened.tokenizer,
            name=opened.name, context_length=opened.context_length, fingerprint=opened.fingerprint,
            tried=tried.append,
        )  # fmt: skip
    finally:
        log.setLevel(before)
    family = opened.network.config.get_text_config().model_type
    if as_json:
        typer.echo(json.dumps(_as_json(name, family, model.engine, tried), indent=2))
        return
    precision = str(opened.network.dtype).removeprefix("torch.")
    show(
        visible(f"{opened.name}, family {family}, {precision}: {model.engine}"),
        ("engine", "here", "why"),
        [_row(one, family) for one in tried],
        note="From the fastest down to the one that is taken, which was compared with plain forwards.",
    )


def _row(one: Tried, family: str) -> Row:
    if one.reason:
        return (one.name, "refused", visible(one.reason))
    return (
        one.name,
        "taken",
        visible("; ".join(filter(None, (one.means, _read(one, family), _agrees(one))))),
    )


def _read(one: Tried, family: str) -> str:
    from icl.engine.trunks import fused

    return f"its layers read as {family}" if one.name == fused.NAME else ""


def _agrees(one: Tried) -> str:
    if one.report is None:
        return "it is what the others are compared with"
    off, allowed = one.report.difference, one.report.tolerance
    return f"log-probabilities within {off:.1e} of plain forwards (allowed: {allowed:.1e})"


def _as_json(name: str, family: str, engine: str, tried: list[Tried]) -> dict[str, Any]:
    rows = [
        {
            "engine": one.name,
            "taken": not one.reason,
            "why": one.reason or one.means,
            "difference": None if one.report is None else one.report.difference,
        }
        for one in tried
    ]
    return {"model": name, "family": family, "engine": engine, "tried": rows}
