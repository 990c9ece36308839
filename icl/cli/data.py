"""icl data: instruction data made by a recipe, and their cards."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icl.cli import options
from icl.cli.options import AllowCode
from icl.cli.tables import show
from icl.printable import visible, visible_json

if TYPE_CHECKING:
    from icl.experiments.corpus.check import CheckedRecipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe (YAML).", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    data = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Instruction data: made by a recipe from tasks, files and models, mixed, described by a card.",
    )
    data.command(
        "build",
        epilog="Examples: icl data build experiments/recipes/tasks.yaml | icl data build recipe.yaml -o out",
    )(build)
    data.command("check", epilog="Example: icl data check recipe.yaml")(check)
    data.command("plan", epilog="Example: icl data plan recipe.yaml")(plan)
    data.command(
        "card", epilog="Examples: icl data card corpora/mine/rows.jsonl | icl data card rows.jsonl --json"
    )(card)
    app.add_typer(data, name="data")


def build(
    recipe: RecipeFile,
    output: Annotated[
        Path,
        typer.Option("--output", "--out", "-o", metavar="DIR", help="The corpus goes to DIR/<name>."),
    ] = Path("corpora"),
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the engine may use beside the weights: 8GiB.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; the old folder is kept under a new name.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Make a corpus of instruction rows: parts, mixture, card. Killed, it goes on with the same command."""
    if quiet:
        options.silence_bars()

    from icl import api
    from icl.cli.display import Output as Console
    from icl.cli.display import meter_for

    memory = options.memory_size(max_memory)
    meter = meter_for(Console(stderr=True), quiet)
    try:
        made = api.build_corpus(recipe, output=output, max_memory=memory, meter=meter, restart=restart)
    except KeyboardInterrupt:
        print(
            "icl: interrupted. Finished parts and answers are kept; the same command goes on.",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    _said(made.card)
    typer.echo(f"Rows: {visible(str(made.rows))}\nCard: {visible(str(made.card_file))}")


def _said(found: dict[str, Any]) -> None:
    """The mixture, what was left out, and overlaps with test sets."""
    headers = ("part", "rows of its own", "rate", "drawn", "times each")
    rows = [
        (
            one["name"],
            f"{one['unique']:,}",
            f"{one['rate']:.4f}",
            f"{one['drawn']:,}",
            f"{one['repeats']:.2f}",
        )
        for one in found["mixture"]["parts"]
    ]
    show("corpus", headers, [tuple(map(visible, row)) for row in rows])
    lines = [f"{found['rows']:,} rows."]
    lines += [f"Left out: {one['count']:,} ({rule})." for rule, one in found["rejects"].items()]
    for task, one in found["leaks"].items():
        total = one["exact"] + one["normalised"] + one["n-gram"]
        kinds = f"{one['exact']} exact, {one['normalised']} normalised, {one['n-gram']} by n-gram"
        more = f" ({kinds}); left out" if total else ""
        lines.append(f"Test set of {task}, {one['test_items']:,} items: {total} rows overlap{more}.")
    for part, notes in found["notes"].items():
        lines += [f"{part}: {key.replace('_', ' ')}: {value}." for key, value in notes.items()]
    for line in lines:
        typer.echo(visible(line))


def check(recipe: RecipeFile, allow_code: AllowCode = False) -> None:
    """Look for everything that can be wrong with a recipe; no model loads, nothing is written.

    Lists every problem that can be found beside the others. Exit code: 0 if there is none, 1 if there is.
    """
    from icl.errors import IclError, Problems

    try:
        checked = _checked(recipe, wants_all=True)
    except IclError as error:
        for problem in error.found if isinstance(error, Problems) else (error,):
            print(f"icl: error: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
    typer.echo(
        visible(
            f"{recipe}: {len(checked.parts)} parts, models {', '.join(checked.models) or 'none'}; no row may "
            f"hold an item of {', '.join(checked.tests) or 'any test set: none is named'}."
        )
    )


def plan(recipe: RecipeFile, allow_code: AllowCode = False) -> None:
    """What a recipe would ask: rows, requests and tokens of each part. No weights are read."""
    checked = _checked(recipe)

    from icl.cli.display import Output as Console
    from icl.cli.display import waiting
    from icl.experiments.corpus.plan import plan_recipe

    with waiting(Console(stderr=True), "planning"):
        parts = plan_recipe(checked)
    headers = (
        "part",
        "by",
        "model",
        "rows",
        "left out",
        "requests",
        "tokens",
        "forwarded",
        "written at most",
    )
    rows = [
        (
            visible(one.label),
            one.by,
            visible(one.model) or "-",
            f"{one.rows:,}",
            f"{one.rejected:,}",
            f"{one.total.requests:,}",
            f"{one.total.tokens_flat:,}",
            f"{one.total.tokens_unique:,}",
            f"{one.total.tokens_generated:,}",
        )
        for one in parts
    ]
    show("plan", headers, rows)
    if checked.models:
        typer.echo(
            "Answers were taken for as many usable rows as they are asked for: at least so much is asked."
        )


def card(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Rows: JSONL, JSON, CSV, Parquet.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """The card of any file of instruction rows: counts, lengths, duplicates, what is asked for, sources."""
    from icl.instructions.card import card_of
    from icl.instructions.card_text import to_markdown
    from icl.instructions.rows import from_values
    from icl.tasks.readers.files import read_file

    found = card_of(from_values(row, file.name) for row in read_file(file).rows)
    if as_json:
        typer.echo(visible_json(json.dumps(found, ensure_ascii=False, indent=1)))
    else:
        typer.echo(to_markdown(found, file.name))


def _checked(recipe: Path, *, wants_all: bool = False) -> CheckedRecipe:
    from icl.experiments.corpus.check import check_recipe
    from icl.experiments.corpus.recipe import read_recipe

    return check_recipe(*read_recipe(recipe), wants_all=wants_all)
