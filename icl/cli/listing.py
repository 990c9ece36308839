"""icl list, icl models, icl tasks, icl version."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli.tables import Row, show
from icl.printable import visible

if TYPE_CHECKING:
    from icl.registry import Parameter, Registry


class Kind(StrEnum):
    """Kinds of component."""

    SELECTORS = "selectors"
    ORDERERS = "orderers"
    METHODS = "methods"
    TUNERS = "tuners"
    METRICS = "metrics"
    JUDGES = "judges"
    GENERATORS = "generators"
    STUDIES = "studies"


SLOW = (Kind.TUNERS, Kind.JUDGES, Kind.GENERATORS, Kind.STUDIES)
"""Kinds whose files bring more along than a list needs."""


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command("list", epilog="Examples: icl list | icl list selectors | icl list methods > methods.tsv")(
        components
    )
    app.command(
        "models",
        epilog="Examples: icl models | icl models smollm2-135m-instruct | icl models --backends x.yaml",
    )(models)
    app.command("tasks", epilog="Example: ICL_DATA=data icl tasks")(tasks)
    app.command("version", epilog="Example: icl version")(version)


def components(
    kind: Annotated[Kind | None, typer.Argument(help="Only these.", show_default=False)] = None,
) -> None:
    """List selectors, orderers, methods, tuners, metrics, judges, generators (of instruction rows) and
    studies with parameters and papers; those of the last three kinds, and tuners, by name alone unless they
    are asked for.

    Into a pipe or a file: a line each, with tabs between name, parameters, what it does and paper.
    """
    from icl.cli.listed import kept

    alone = "icl.registry" not in sys.modules  # else more may be registered than icl's files hold
    for one in Kind if kind is None else (kind,):
        names_alone = kind is None and one in SLOW
        find = functools.partial(_unopened if names_alone else _rows, one)
        rows = kept(f"{one.value}, names alone" if names_alone else one.value, find) if alone else find()
        show(one.value, (one.value, "parameters", "what it does", "paper"), rows, stacked=True)


def _registry(kind: Kind) -> Registry[Any]:
    from icl import judging, protocols
    from icl.instructions.contract import row_generators
    from icl.mechanism.contract import studies

    if kind in (Kind.GENERATORS, Kind.STUDIES):
        return row_generators if kind is Kind.GENERATORS else studies
    found: Registry[Any] = getattr(judging if kind is Kind.JUDGES else protocols, kind.value)
    return found


def _rows(kind: Kind) -> list[Row]:
    registry = _registry(kind)
    entries = [registry.entry(name) for name in registry]
    return [(e.name, "\n".join(map(_shown, e.parameters)), e.summary, e.paper) for e in entries]


def _unopened(kind: Kind) -> list[Row]:
    """Names and first lines of the files, none of which is imported."""
    rows: list[Row] = []
    for name, file in _registry(kind).files():
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        first = text.split("\n\n", 1)[0].replace("\n", " ")
        rows.append((name, f"see icl list {kind.value}", first, ""))
    return rows


def _shown(parameter: Parameter) -> str:
    name = parameter.name.rstrip("_")
    if parameter.default is inspect.Parameter.empty:
        return f"{name} (required)"
    default = parameter.default
    return f"{name}: {default if isinstance(default, str) else repr(default)}"


def _native() -> str:
    """Are compiled kernels there for the torch that is installed? By its name alone: it is not loaded."""
    import importlib.metadata
    import os

    from icl.engine.native.naming import locate

    _, reason = locate(os.environ.get("ICL_NATIVE", ""), importlib.metadata.version("torch"))
    return visible(f"none, the Python path runs: {reason}" if reason else "yes; icl doctor says which")


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model: which engine it takes here, and why. With --backends an experiment: its models.",
            show_default=False,
        ),
    ] = None,
    backends: Annotated[
        bool,
        typer.Option("--backends", help="Ask models some thirty short questions and say what they give."),
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A server that is asked besides; without it the one that OPENAI_BASE_URL names.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Precision that MODEL is loaded in.", metavar="NAME", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with the figures.")] = False,
) -> None:
    """List the model and encoder aliases and where each would be loaded from here.

    With MODEL: load it, try the engines from the fastest down, and say which one is taken and what refused
    those above it.

    With --backends: the backends, and what the models of FILE give, measured now; without FILE what is
    at hand: icl's own engine on the embedded model, the fake one, vLLM where it is installed, a server.
    """
    if backends:
        from icl.cli.abilities import show_measured

        if dtype is not None:
            raise typer.BadParameter("--dtype is read with MODEL only")
        show_measured(None if name is None else Path(name), base_url, as_json)
        return
    if base_url is not None:
        raise typer.BadParameter("--base-url is read with --backends only")
    if name is not None:
        if Path(name).suffix in (".yaml", ".yml"):
            raise typer.BadParameter(f"{visible(name)}: an experiment is read with --backends only")
        from icl.cli.rungs import show_rung

        show_rung(name, dtype, as_json)
        return
    for given, option in ((dtype, "--dtype"), (as_json, "--json")):
        if given:
            raise typer.BadParameter(f"{option} is read with MODEL or --backends only")
    _show_aliases()


def _show_aliases() -> None:
    """What models and encoders can be named by, and whether kernels are there."""
    from icl.encoders.load import ALIASES as ENCODERS
    from icl.encoders.load import HASHED, encoder_source
    from icl.engine import ALIASES, resolve
    from icl.engine.loading.files import known_notes

    rows = [
        (
            name,
            resolve(name).origin,
            "\n".join((f"{alias.description} ({alias.licence})", *known_notes(name))),
        )
        for name, alias in ALIASES.items()
    ]
    rows.append(("fake", resolve("fake").origin, "for trying things out and for tests"))
    note = "Any hub id (owner/name), folder with config.json, or .gguf file can stand in its place."
    show("models", ("model", "loaded from", "what it is"), rows, note=note)
    show("kernels", ("kernels", "compiled for this machine"), [("native", _native())])
    found = [(name, encoder_source(name).note) for name in (*ENCODERS, HASHED)]
    show("encoders", ("encoder", "loaded from"), found)


def tasks() -> None:
    """List the built-in tasks and what it takes to load each."""
    from icl.tasks import list_tasks

    rows = [
        (i.name, i.kind, str(i.labels or ""), i.language, i.available, i.description) for i in list_tasks()
    ]
    note = "A task of your own is a YAML beside its data: task: path/to/task.yaml"
    show("tasks", ("task", "kind", "labels", "language", "available", "what it is"), rows, note=note)


def version() -> None:
    """Print the versions of icl and of what it stands on."""
    from icl.experiments.folder.versions import versions

    for package, number in versions().items():
        typer.echo(f"{package} {number}")
