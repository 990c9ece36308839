"""icl list, icl models, icl tasks, icl version."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from icl.registry import Parameter, Registry


class Kind(StrEnum):
    """Kinds of component."""

    SELECTORS = "selectors"
    ORDERERS = "orderers"
    METHODS = "methods"
    METRICS = "metrics"


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command("list", epilog="Examples: icl list | icl list selectors")(components)
    app.command("models")(models)
    app.command("tasks")(tasks)
    app.command("version")(version)


def components(
    kind: Annotated[Kind | None, typer.Argument(help="Only these.", show_default=False)] = None,
) -> None:
    """List selectors, orderers, methods and metrics with their parameters and papers."""
    from rich.console import Console

    from icl import protocols

    console = Console()
    for one in Kind if kind is None else (kind,):
        console.print(_component_table(one, getattr(protocols, one.value)))
        console.print()


def _component_table(kind: Kind, registry: Registry[Any]) -> Table:
    table = _table(kind.value, "name", "parameters", "what it does")
    for name in registry:
        entry = registry.entry(name)
        parameters = "\n".join(_shown(p) for p in entry.parameters)
        table.add_row(*_texts(name, parameters, entry.summary + (f"\n{entry.paper}" if entry.paper else "")))
    return table


def _shown(parameter: Parameter) -> str:
    name = parameter.name.rstrip("_")
    if parameter.default is inspect.Parameter.empty:
        return f"{name} (required)"
    default = parameter.default
    return f"{name}: {default if isinstance(default, str) else repr(default)}"


def models() -> None:
    """List the model and encoder aliases and where each would be loaded from here."""
    from rich.console import Console

    from icl.encoders.load import ALIASES as ENCODERS
    from icl.encoders.load import HASHED, encoder_source
    from icl.engine import ALIASES, resolve

    table = _table("models", "alias", "loaded from", "what it is")
    for name, alias in ALIASES.items():
        table.add_row(*_texts(name, resolve(name).origin, f"{alias.description} ({alias.licence})"))
    table.add_row(*_texts("fake", resolve("fake").origin, "for trying things out and for tests"))
    encoders = _table("encoders", "alias", "loaded from", "")
    for name in (*ENCODERS, HASHED):
        encoders.add_row(*_texts(name, encoder_source(name).note, ""))
    console = Console()
    console.print(table)
    console.print("Any hub id (owner/name), folder with config.json, or .gguf file can stand in its place.\n")
    console.print(encoders)


def tasks() -> None:
    """List the built-in tasks and what it takes to load each."""
    from rich.console import Console

    from icl.tasks import list_tasks

    table = _table("tasks", "name", "kind", "labels", "language", "available", "what it is")
    for info in list_tasks():
        labels = str(info.labels) if info.labels else ""
        table.add_row(*_texts(info.name, info.kind, labels, info.language, info.available, info.description))
    console = Console()
    console.print(table)
    console.print("A task of your own is a YAML beside its data: task: path/to/task.yaml")


def version() -> None:
    """Print the versions of icl and of what it stands on."""
    from icl.experiments.folder.manifest import versions

    for package, number in versions().items():
        typer.echo(f"{package} {number}")


def _table(title: str, *headers: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _texts(*cells: str) -> list[Any]:
    """Never markup: square brackets stay what they are."""
    from rich.text import Text

    return [Text(cell) for cell in cells]
