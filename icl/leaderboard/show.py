"""One prediction in full, for the terminal: what the model was given and what came back.

All texts are put into `rich.text.Text`, never into markup, and control characters are made
visible, so that nothing in a data set or a model's output can style or steer the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from icl.experiments.folder.verdicts import DETAIL
from icl.printable import visible
from icl.types import Example, Prediction, Prompt, Query, Task

INSTRUCTION, QUERY, DEMONSTRATIONS = "italic magenta", "bold yellow", ("cyan", "green")
BAR = 24


def prompt_parts(
    prompt: Prompt,
    examples: Mapping[str, Example],
    *,
    separator: str = "\n\n",
    instruction: str = "",
    query: Query | None = None,
) -> list[tuple[str, str]]:
    """The prompt's text cut into ("instruction" | "demonstration" | "query", piece), in order.

    Demonstrations are found by their inputs, one after the other; a piece begins behind the last
    separator before them. Where an example is unknown or cannot be found, its text stays with its
    neighbour: colours may be off, the text never is.
    """
    text, cut = prompt.text, separator or "\n"
    starts: list[int] = []
    cursor = len(instruction) if instruction and text.startswith(instruction) else 0
    for name in prompt.demonstrations:
        span = _find(text, examples[name].inputs.values(), cursor) if name in examples else None
        if span is None:
            continue
        before = text.rfind(cut, cursor, span[0])
        starts.append(before + len(cut) if before >= 0 else _line(text, span[0], cursor))
        cursor = _skip(text, examples[name].rationale, span[1])
    last = _find(text, query.inputs.values(), cursor, str.rfind) if query is not None else None
    if last is not None:
        before = text.rfind(cut, cursor, last[0])
        ask = before + len(cut) if before >= 0 else _line(text, last[0], cursor)
    else:
        before = text.find(cut, cursor) if starts or instruction else -1
        ask = before + len(cut) if before >= 0 else cursor
    parts = [("instruction", text[: (*starts, ask)[0]])]
    for start, end in pairwise([*starts, ask]):
        parts.append(("demonstration", text[start:end]))
    parts.append(("query", text[ask:]))
    return [(kind, piece) for kind, piece in parts if piece]


def _find(
    text: str, values: Iterable[str], start: int, find: Callable[[str, str, int], int] = str.find
) -> tuple[int, int] | None:
    """Where the inputs stand together behind `start`: from the first to the end of the last."""
    found = [(at, at + len(v)) for v in values if v and (at := find(text, v, start)) >= 0]
    return (min(at for at, _ in found), max(end for _, end in found)) if found else None


def _line(text: str, position: int, least: int) -> int:
    return max(text.rfind("\n", 0, position) + 1, least)


def _skip(text: str, rationale: str | None, position: int) -> int:
    at = text.find(rationale, position) if rationale else -1
    return at + len(rationale or "") if at >= 0 else position


def coloured(parts: Sequence[tuple[str, str]]) -> Text:
    """Parts in their colours, demonstrations in two by turns."""
    text, turn = Text(), 0
    for kind, piece in parts:
        if kind == "demonstration":
            text.append(visible(piece), style=DEMONSTRATIONS[turn % 2])
            turn += 1
        else:
            text.append(visible(piece), style=INSTRUCTION if kind == "instruction" else QUERY)
    return text


def render_prediction(
    prompt: Prompt,
    prediction: Prediction,
    examples: Sequence[Example],
    *,
    task: Task | None = None,
    query: Query | None = None,
) -> RenderableType:
    """Prompt, demonstrations and why, label scores, output, answer against gold, flags, cost.

    `examples` hold at least the demonstrations; `task` and `query` make the colours exact.
    """
    known = {example.id: example for example in examples}
    parts = prompt_parts(
        prompt,
        known,
        separator=task.template.separator if task else "\n\n",
        instruction=task.instruction if task else "",
        query=query,
    )
    title = f"prompt, {prompt.tokens} tokens" if prompt.tokens else "prompt"
    blocks: list[RenderableType] = [Panel(coloured(parts), title=Text(title), title_align="left")]
    if prediction.demonstrations:
        blocks.append(_demonstrations(prediction, known))
    if prediction.label_scores:
        blocks.append(_scores(prediction))
    if prediction.output:
        blocks.append(Panel(Text(visible(prediction.output)), title="output", title_align="left"))
    return Group(*blocks, _verdict(prediction))


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else visible(str(value))


def _demonstrations(prediction: Prediction, known: Mapping[str, Example]) -> Table:
    table = Table(title="demonstrations in prompt order", title_justify="left", box=None, pad_edge=False)
    for header in ("#", "id", "score", "target"):
        table.add_column(header, no_wrap=True)
    # the input is already in the prompt above: it takes what room the others leave
    table.add_column("input", ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column("why", ratio=1)
    table.expand = True
    for i, (name, score) in enumerate(prediction.demonstrations):
        example = known.get(name)
        why = prediction.why[i] if i < len(prediction.why) else {}
        reasons = ", ".join(f"{key} {_short(value)}" for key, value in why.items())
        cells = (
            str(i + 1),
            name,
            "" if score is None else f"{score:.4g}",
            example.target if example else "?",
            " ".join(example.text.split()) if example else "not in the pool given",
            reasons,
        )
        table.add_row(*(Text(visible(cell)) for cell in cells), style=DEMONSTRATIONS[i % 2])
    return table


def _scores(prediction: Prediction) -> Table:
    """The scores with bars from the least (empty) to the best (full)."""
    table = Table(title="label scores", title_justify="left", box=None, show_header=False, pad_edge=False)
    numbers = [s for s in prediction.label_scores.values() if s == s and abs(s) != float("inf")]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    for label, score in prediction.label_scores.items():
        share = (score - low) / (high - low) if high > low and score in numbers else float(score == high)
        marks = ("◀ answer" if label == prediction.answer else "") + (
            "  gold" if label == prediction.gold else ""
        )
        bar = Text("█" * round(share * BAR) or "▏", style="green" if label == prediction.gold else "blue")
        table.add_row(Text(visible(label)), Text(f"{score:.3f}"), bar, Text(marks))
    return table


def _of_judge(verdict: Mapping[str, Any]) -> str:
    """A judge's verdict in one line, with what it wrote where it wrote something."""
    score, margin = verdict.get("score"), verdict.get("margin")
    parts = [f"judge {verdict.get('by')}: {verdict.get('label') or 'not graded'}"]
    parts += [] if score is None else [f"score {score:.2f}"]
    parts += [] if margin is None else [f"margin {margin:.2f}"]
    parts += [f"P({name}) {p:.2f}" for name, p in verdict.get("probabilities", {}).items()]
    parts += [f"{name} {value:.2f}" for name, value in verdict.get("values", {}).items()]
    for key in ("reasons", "flags"):
        parts += [f"{key}: {', '.join(verdict[key])}"] if verdict.get(key) else []
    parts += [f"wrote {verdict['output']!r}"] if verdict.get("output") else []
    return visible(", ".join(parts))


def _verdict(prediction: Prediction) -> Text:
    text = Text()
    none = "abstained" if "abstained" in prediction.flags else "unparsed"
    answer = none if prediction.answer is None else visible(prediction.answer)
    text.append(f"answer {answer}", style="bold green" if prediction.correct else "bold red")
    text.append(f"   gold {visible(prediction.gold)}   ")
    text.append("right" if prediction.correct else "wrong")
    if prediction.flags:
        text.append(f"\nflags: {', '.join(map(visible, prediction.flags))}", style="yellow")
    for dropped in prediction.dropped:
        text.append(f"\ndropped {visible(dropped.id)}: {visible(dropped.reason)}", style="yellow")
    if DETAIL in prediction.details:
        text.append(f"\n{_of_judge(prediction.details[DETAIL])}", style="cyan")
    for key, value in prediction.details.items():
        if key == DETAIL:
            continue
        text.append(f"\n{visible(str(key))}: {visible(str(value))}", style="dim")
    usage = prediction.usage
    if usage.requests:
        text.append(
            f"\n{usage.requests} requests, {usage.tokens_flat} tokens flat, {usage.tokens_unique} forwarded, "
            f"{usage.tokens_generated} generated, {usage.seconds:.3f} s",
            style="dim",
        )
    return text
