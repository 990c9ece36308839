"""icl preview."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from icl.cli import options
from icl.cli.options import AllowCode, AnyFile, Limit, Model, Seeds, Set
from icl.errors import IclError, ModelError, retold
from icl.printable import visible

if TYPE_CHECKING:
    from rich.text import Text

    from icl.experiments.file.overrides import Override
    from icl.experiments.grid.cells import PlannedCell
    from icl.experiments.grid.check import Checked
    from icl.experiments.preview import Preview

SPECIAL = "reverse"
OPEN, CLOSE, END = "⟦", "⟧", "▏"
ANSWERS_SHOWN = 12


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(
        "preview",
        epilog="Examples: icl preview questions | icl preview e.yaml --n 3 --selector knn | "
        "icl preview tickets.yaml --method generate --set prompt.chat=turns --model fake",
    )(preview)


def preview(
    file: AnyFile,
    n: Annotated[int, typer.Option("--n", "-n", min=1, metavar="N", help="Prompts of each task.")] = 1,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="A method, of the grid or not.", show_default=False)
    ] = None,
    selector: Annotated[
        str | None, typer.Option(metavar="NAME", help="A selector, of the grid or not.", show_default=False)
    ] = None,
    settings: Set = None,
    limit: Limit = None,
    seeds: Seeds = None,
    model: Model = None,
    allow_code: AllowCode = False,
) -> None:
    """Show the first prompts as the model will read them. The tokenizer is loaded, no weights are.

    Special tokens stand in double brackets, where the prompt ends a bar. Without --selector and --method
    those that stand first in the grid are shown; of several models each in turn, or one with --model.
    """
    checked = _checked(file, options.overrides(settings, limit, seeds, model), selector, method)

    from rich.console import Console

    from icl.experiments.preview import preview as look

    console, failed = Console(), list[IclError]()
    labels = [choice.label for choice in checked.experiment.models]
    for label in labels:
        try:
            for task in checked.tasks:
                for shown in look(checked, _cell(checked, task, selector, method, label), n):
                    for line in _lines(shown, several=len(labels) > 1):
                        console.print(line, soft_wrap=True)
        except ModelError as error:
            if len(labels) == 1:
                raise
            named = "" if label in str(error) else f"{label}: "
            failed.append(retold(error, f"{named}{error}"))  # the others can be looked at all the same
    if failed:
        raise failed[0]


def _checked(file: str, changed: list[Override], selector: str | None, method: str | None) -> Checked:
    """The file, checked; a component that its grid does not have takes the grid's place."""
    from icl.experiments.file.around import read_any
    from icl.experiments.file.config import LeaderboardSettings
    from icl.experiments.file.overrides import Override
    from icl.experiments.grid.check import check
    from icl.tasks.strict_yaml import read_value

    experiment, _, _ = read_any(file, changed)
    for axis, name in (("selector", selector), ("method", method)):
        items = getattr(experiment.grid, axis)
        if name is not None and name not in {part for item in items for part in (item.name, item.label)}:
            option = f"--{axis}"
            changed = [*changed, Override(("grid", axis), [read_value(name, option)], option)]
    experiment, source, _ = read_any(file, changed)
    # a baseline that is not in the grid any more is no matter here
    return check(experiment.model_copy(update={"leaderboard": LeaderboardSettings()}), source)


def _cell(checked: Checked, task: str, selector: str | None, method: str | None, model: str) -> PlannedCell:
    from icl.experiments.preview import choose_cell

    grid = checked.experiment.grid
    labels = [
        next((item.label for item in items if name in (item.name, item.label)), items[0].label)
        if name is not None
        else None
        for name, items in ((selector, grid.selector), (method, grid.method))
    ]
    return choose_cell(checked, task, labels[0], labels[1], model)


def _lines(shown: Preview, several: bool) -> Iterator[Text]:
    """several: the model is named."""
    from rich.text import Text

    cell, prompt = shown.cell, shown.prompt
    what = f"{cell.model} · " * several + f"{cell.task} · {cell.setting}"
    yield Text(visible(f"{what} · seed {cell.seed} · query {shown.query.id}"), style="bold")
    if not shown.asked:
        yield Text("This method asks the model nothing for it.\n")
        return
    text, tokens = _marked(shown)
    yield text
    yield Text(f"{tokens:,} tokens of {shown.model.context_length:,}; {_asked(shown)}", style="cyan")
    if prompt.demonstrations:
        yield Text(f"demonstrations: {', '.join(prompt.demonstrations)}", style="cyan")
    for dropped in prompt.dropped:
        yield Text(visible(f"dropped {dropped.id}: {dropped.reason}"), style="yellow")
    for note in shown.notes:
        yield Text(visible(note), style="yellow")
    if shown.guessed:
        yield Text(
            "choosing the demonstrations asks the model: its answers are made up here, and the run may "
            "choose others",
            style="yellow",
        )
    yield Text("")


def _marked(shown: Preview) -> tuple[Text, int]:
    """The prompt with its special tokens in brackets, those that the tokenizer adds with a plus."""
    from rich.text import Text

    parts, tokens = shown.pieces()
    text = Text()
    for part in parts:
        if part.special:
            text.append(f"{OPEN}{'+' if part.added else ''}{visible(part.text)}{CLOSE}", style=SPECIAL)
        else:
            text.append(visible(part.text))
    return text.append(END, style="dim"), tokens


def _asked(shown: Preview) -> str:
    """What follows the prompt: answers to score, or a text to write."""
    from icl.types import GenerateRequest

    first = shown.asked[0]
    if isinstance(first, GenerateRequest):
        stops = f", until {' or '.join(map(repr, first.stop))}" if first.stop else ""
        said = f"then {'a text is' if first.n == 1 else f'{first.n} texts are'} written, at most "
        blocks = ", ".join(f"{opens} {closes}" for opens, closes in first.think)
        said += f"{first.max_tokens} tokens{stops}" + (f", not inside {blocks}" if blocks else "")
    else:
        answers = shown.answers()
        some = ", ".join(f"{text!r} ({tokens})" for text, tokens in answers[:ANSWERS_SHOWN])
        more = f" and {len(answers) - ANSWERS_SHOWN} more" if len(answers) > ANSWERS_SHOWN else ""
        said = f"then scored, with their tokens: {some}{more}"
    others = len(shown.asked) - 1
    return said + (f"; {others} more requests for this query" if others else "")
