"""One leaderboard, four notations: terminal, Markdown, CSV, LaTeX; and the footer they share."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from icl.leaderboard.board import Board
from icl.leaderboard.break_even import break_evens, sentences
from icl.leaderboard.columns import Column
from icl.leaderboard.rows import Comparison, Extraction, Row, place
from icl.leaderboard.training import told
from icl.printable import visible

FEW_SEEDS = {
    1: "One seed: the intervals say nothing about other seeds.",
    2: "Two seeds hardly tell how much seeds differ: the intervals allow for it, a third would halve them.",
}
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "→": r"$\rightarrow$",
    "†": r"\dag{}",
    "–": "--",
    "·": r"\textperiodcentered{}",
}


def latex_escape(text: str) -> str:
    """Every character that LaTeX would read as a command, made a letter."""
    return "".join(LATEX.get(character, character) for character in visible(text))


def markdown_escape(text: str) -> str:
    """Text that stays one cell and shows its characters as they are."""
    flat = visible(" ".join(text.split()))
    return "".join("\\" + c if c in "\\`*_|<>[]" else c for c in flat)


def footer(board: Board) -> list[str]:
    """Sentences: how the numbers were made, then everything that must not pass in silence."""
    lines = [f"{board.metric} in %: mean over seeds; 95 % intervals for new seeds and new queries."]
    if any(row.usage.tokens_flat for row in board.rows):
        lines.append(
            "tokens: as a plain engine would count them → forwarded, shared prefixes once. s: seconds."
        )
    compared = [row for row in board.rows if row.comparison]
    if compared:
        tests = " / ".join(dict.fromkeys(row.comparison.test for row in compared if row.comparison))
        drawn = f" ({board.resamples:,} resamples)" if "permutation" in tests else ""
        lines.append(
            f"Baseline {board.compare_to}: paired by (seed, query); {tests}{drawn}, two-sided, Holm over "
            f"{_rows(len(compared))}. * p<0.05 ** p<0.01 *** p<0.001"
        )
        if any(row.comparison.mark.startswith("(") for row in compared if row.comparison):
            lines.append(
                "(*) holds for new queries with these seeds; all rows allowed for, nothing is shown for "
                "new seeds."
            )
        lines += _pairing(board.rows)
    if board.compare_to is not None:
        alone = sum(1 for r in board.rows if not r.comparison and not r.is_baseline and r.value)
        if alone:
            lines.append(f"{_rows(alone)} without a baseline of the same setting: not compared.")
    if any(row.is_reference for row in board.rows):
        lines.append("† reference row.")
    lines += board.notes
    fewest = min((row.seeds for row in board.rows if row.value and not row.is_reference), default=0)
    if fewest in FEW_SEEDS:
        lines.append(FEW_SEEDS[fewest])
    lines += _training(board.rows)
    if board.precision:
        lines.append(f"Precision: {board.precision}.")
    return [*lines, *_losses(board.rows)]


def _training(rows: Sequence[Row]) -> list[str]:
    """What training cost and what tuners wrote down, once a tuning and task; when it is paid for."""
    tuned = {(place(row, rows), row.tuning): row.training for row in rows if row.training is not None}
    if not tuned:
        return []
    lines = [
        "trained: parameters; train tok, train s: of one seed, search over learning rates and validation "
        "included; s: without them."
    ]
    return [*lines, *told(tuned), *sentences(break_evens(rows))]


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def _pairing(rows: Sequence[Row]) -> list[str]:
    """Rows compared on fewer pairs than there are, and references compared across settings."""
    lines = []
    for row in rows:
        comparison = row.comparison
        if comparison and comparison.unmatched:
            lines.append(
                f"{_with_model(row, rows)}{row.setting}: {comparison.matched} pairs matched with the "
                f"baseline, {comparison.unmatched} without a partner left out{_of_other_prompts(comparison)}."
            )
    across: dict[str, list[str]] = {}
    for row in rows:
        if row.comparison and row.comparison.nearest:
            across.setdefault(row.comparison.baseline, []).append(_with_model(row, rows) + row.name)
    for baseline, names in across.items():
        lines.append(f"{', '.join(dict.fromkeys(names))} compared with: {baseline}.")
    return lines


def _with_model(row: Row, rows: Sequence[Row]) -> str:
    """In front of a row's words, where there are several models."""
    return f"{row.model}: " if any(other.model != row.model for other in rows) else ""


def _of_other_prompts(comparison: Comparison) -> str:
    if not comparison.other_prompts:
        return ""
    return f" ({comparison.other_prompts} of them because the models were shown different demonstrations)"


def _losses(rows: Sequence[Row]) -> list[str]:
    lines = []
    found = sum((row.extraction for row in rows), start=Extraction())
    if found.read:
        said = f", abstained (says that it does not know) {found.abstained}" if found.abstained else ""
        lines.append(
            f"Answers read from text: {found.read}; unparsed {found.unparsed}{said}, cut by the token limit "
            f"{found.cut}, first, last and trigger reading differ {found.differ}, tied votes {found.tied}."
        )
    if found.thinking_tokens:
        lines.append(
            f"Tokens of thinking in the outputs that were read: {found.thinking_tokens}, in all token counts "
            "and within max_tokens."
        )
    flags: dict[str, int] = {}
    for row in rows:
        for name in sorted(row.flags):
            flags[name] = flags.get(name, 0) + row.flags[name]
    if flags:
        total = sum(row.predictions for row in rows)
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in flags.items())
        lines.append(f"Flagged of {total} predictions: {counts}.")
    dropped = sum(row.dropped for row in rows)
    if dropped:
        lines.append(f"Demonstrations dropped to fit the context window: {dropped}.")
    kept_out: dict[str, int] = {}
    for row in rows:
        kept_out[row.task] = max(row.kept_out, kept_out.get(row.task, 0))
    for task in kept_out:
        skipped = max(row.skipped_rows for row in rows if row.task == task)
        if skipped:
            lines.append(f"Bad rows of {task} left out (skip_bad_rows): {skipped}; the manifest names them.")
    for task, count in kept_out.items():
        if count:
            lines.append(f"Duplicates of test items kept out of the pools of {task} (all seeds): {count}.")
    for row in rows:
        if row.incomplete:
            lines.append(
                f"! INCOMPLETE, not averaged: {_with_model(row, rows)}{row.task} {row.setting}: "
                f"{'; '.join(row.incomplete)}."
            )
    return lines


def _style(row: Row) -> str:
    if row.value is None:
        return "red"
    return "dim" if row.is_reference else "cyan" if row.is_baseline else ""


def to_rich(board: Board, width: int) -> Table:
    """Too wide: columns move together and heads take two lines, then columns of the highest rank go."""
    console = Console(width=10_000)
    columns, hidden, gap = board.columns, list[Column](), 1
    table = _bare(board, columns, gap)
    while Measurement.get(console, console.options, table).maximum > width:
        worst = max(columns, key=lambda c: c.rank)
        if gap:
            gap = 0
        elif worst.rank:
            columns = [c for c in columns if c is not worst]
            hidden.append(worst)
        else:
            break  # what is left folds its text
        table = _bare(board, columns, gap)
    table.title = Text(visible(board.title), style="bold")
    lines = list(footer(board))
    if hidden:
        names = ", ".join(c.header.strip() for c in hidden)
        lines.append(f"Not shown in {width} columns (the CSV has all): {names}.")
    table.caption = Text(visible("\n".join(lines)), style="dim", justify="left")
    return table


def _bare(board: Board, columns: Sequence[Column], gap: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), show_edge=False, pad_edge=False)
    for column in columns:
        words = column.header.strip()
        header = Text(visible(words if gap or "%" in words else words.replace(" ", "\n")))
        side: JustifyMethod = "right" if column.is_number else "left"
        table.add_column(header, justify=side, overflow="fold", vertical="bottom")
    section = None
    for row in board.rows:
        if section not in (None, (row.model, row.task)):
            table.add_section()
        section = (row.model, row.task)
        table.add_row(*(Text(visible(column.show(row))) for column in columns), style=_style(row))
    return table


def to_markdown(board: Board) -> str:
    """A pipe table with its footer."""
    columns = board.columns
    lines = [f"**{markdown_escape(board.title)}**", ""] if board.title else []
    lines.append("| " + " | ".join(markdown_escape(c.header) for c in columns) + " |")
    lines.append("|" + "|".join(" ---: " if c.is_number else " :--- " for c in columns) + "|")
    for row in board.rows:
        lines.append("| " + " | ".join(markdown_escape(c.show(row)) for c in columns) + " |")
    return "\n".join([*lines, "", *(f"{markdown_escape(line)}  " for line in footer(board))]) + "\n"


def to_latex(board: Board) -> str:
    """A booktabs tabular with its footer."""
    columns = board.columns
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(board.title)}}}" if board.title else "",
        r"\begin{tabular}{" + "".join("r" if c.is_number else "l" for c in columns) + "}",
        r"\toprule",
        " & ".join(latex_escape(c.header.strip()) for c in columns) + r" \\",
        r"\midrule",
    ]
    section = None
    for row in board.rows:
        if section not in (None, (row.model, row.task)):
            lines.append(r"\midrule")
        section = (row.model, row.task)
        lines.append(" & ".join(latex_escape(c.show(row)) for c in columns) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\\[1ex] \footnotesize"]
    lines += [latex_escape(line) + r"\par" for line in footer(board)]
    return "\n".join([line for line in lines if line] + [r"\end{table}"]) + "\n"


CSV_FIELDS: dict[str, Callable[[Row], object]] = {
    "model": lambda r: r.model,
    "task": lambda r: r.task,
    "selector": lambda r: r.selector,
    "shots": lambda r: r.shots,
    "orderer": lambda r: r.orderer,
    "method": lambda r: r.method,
    "tuning": lambda r: r.tuning,
    "reference": lambda r: int(r.is_reference),
    "value": lambda r: r.value.value if r.value else "",
    "low": lambda r: r.value.low if r.value else "",
    "high": lambda r: r.value.high if r.value else "",
    "baseline": lambda r: r.comparison.baseline if r.comparison else "",
    "difference": lambda r: r.comparison.difference.value if r.comparison else "",
    "difference_low": lambda r: r.comparison.difference.low if r.comparison else "",
    "difference_high": lambda r: r.comparison.difference.high if r.comparison else "",
    "p": lambda r: r.comparison.p if r.comparison else "",
    "p_holm": lambda r: r.comparison.p_holm if r.comparison else "",
    "test": lambda r: r.comparison.test if r.comparison else "",
    "pairs": lambda r: r.comparison.matched if r.comparison else "",
    "seeds": lambda r: r.seeds,
    "queries": lambda r: r.queries,
    "predictions": lambda r: r.predictions,
    "tokens_flat": lambda r: r.usage.tokens_flat,
    "tokens_unique": lambda r: r.usage.tokens_unique,
    "tokens_generated": lambda r: r.usage.tokens_generated,
    "sharing": lambda r: r.sharing if r.sharing is not None else "",
    "tokens_per_query": lambda r: r.tokens_per_query if r.tokens_per_query is not None else "",
    "selection_requests": lambda r: r.selection.requests,
    "selection_tokens": lambda r: r.selection.tokens_flat,
    "selection_tokens_unique": lambda r: r.selection.tokens_unique,
    "selection_seconds": lambda r: r.selection_seconds,
    "seconds": lambda r: r.seconds,
    "trainable_parameters": lambda r: r.training.trainable if r.training else "",
    "training_steps": lambda r: r.training.steps if r.training else "",
    "training_tokens": lambda r: r.training.tokens if r.training else "",
    "training_tokens_forwarded": lambda r: r.training.tokens_forwarded if r.training else "",
    "training_tokens_validation": lambda r: r.training.tokens_validation if r.training else "",
    "training_seconds": lambda r: r.training.seconds if r.training else "",
    "training_peak_bytes": lambda r: r.training.peak_bytes if r.training else "",
    "read_from_text": lambda r: r.extraction.read,
    "unparsed": lambda r: r.extraction.unparsed,
    "abstained": lambda r: r.extraction.abstained,
    "cut": lambda r: r.extraction.cut,
    "readings_differ": lambda r: r.extraction.differ,
    "tied_votes": lambda r: r.extraction.tied,
    "thinking_tokens": lambda r: r.extraction.thinking_tokens,
    "dropped": lambda r: r.dropped,
    "kept_out": lambda r: r.kept_out,
    "skipped_rows": lambda r: r.skipped_rows,
    "incomplete": lambda r: "; ".join(r.incomplete),
}


def to_csv(board: Board) -> str:
    """Full precision, a line a row."""
    flags = list(dict.fromkeys(name for row in board.rows for name in sorted(row.flags)))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_FIELDS, "metric", *(f"flag_{name}" for name in flags)])
    for row in board.rows:
        fields = [get(row) for get in CSV_FIELDS.values()]
        fields = [visible(f) if isinstance(f, str) else f for f in fields]
        writer.writerow([*fields, board.metric, *(row.flags.get(name, 0) for name in flags)])
    return out.getvalue()
