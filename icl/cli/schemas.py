"""icl schema."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """Files that have a schema."""

    EXPERIMENT = "experiment"
    TASK = "task"
    RECIPE = "recipe"
    STUDY = "study"
    REDTEAM = "redteam"
    JUDGING = "judging"


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "schema", epilog="Examples: icl schema experiment > experiment.json | icl schema task > task.json"
    )(schema)


def schema(kind: Annotated[Kind, typer.Argument(help="Of which files.", show_default=False)]) -> None:
    """Print the JSON schema of experiment, task, recipe, study, red teaming or judging files, for editors.

    In the first line of a file: # yaml-language-server: $schema=experiment.json
    """
    from icl.experiments.schema import schema as made

    typer.echo(json.dumps(made(kind.value), indent=1, ensure_ascii=False))
