"""One leaderboard in notations for people: terminal, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from icl.leaderboard.board import Board
from icl.leaderboard.columns import Column
from icl.leaderboard.footer import footer
from icl.leaderboard.rows import Row
from icl.printable import visible

LEAST = 8
"""Columns of a terminal that words keep where numbers stay whole."""
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
    "‡": r"\ddag{}",
    "–": "--",
    "·": r"\textperiodcentered{}",
}


def latex_escape(text: str) -> str:
    """Every character that LaTeX would read as a command, made a letter."""
    return "".join(LATEX.get(character, character) for character in visible(text))


def latex_line(cells: Sequence[str]) -> str:
    """A line of a table. Behind the end of the one before it a bracket or a star would be an argument."""
    line = " & ".join(cells) + r" \\"
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def markdown_escape(text: str) -> str:
    """Text that stays one cell and shows its characters as they are."""
    flat = visible(" ".join(text.split()))
    return "".join("\\" + c if c in "\\`*_|<>[]" else c for c in flat)


def _style(row: Row) -> str:
    if row.value is None:
        return "red"
    return "dim" if row.is_reference else "cyan" if row.is_baseline else ""


def to_rich(board: Board, width: int) -> Table:
    """Too wide: columns move together and heads take two lines, then names are shortened, then columns of
    the highest rank go. What was shortened or left out stands below."""
    columns, hidden, gap, legend = board.columns, list[Column](), 1, list[str]()
    table = _bare(board, columns, gap)
    while _width(table) > width:
        worst = max(columns, key=lambda c: c.rank)
        if gap:
            gap = 0
        elif not legend and (legend := board.names.legend):
            columns = board.columns_with(board.names)
        elif worst.rank:
            columns = [c for c in columns if c is not worst]
            hidden.append(worst)
        else:
            words = [c for c in columns if not c.is_number]
            numbers = _width(_bare(board, [c for c in columns if c.is_number], gap))
            table = _bare(board, columns, gap, folded=numbers + LEAST * len(words) <= width)
            break
        table = _bare(board, columns, gap)
    table.title = Text(visible(board.title), style="bold")
    lines = list(footer(board))
    if legend:
        lines.append(f"Names in full: {'; '.join(legend)}.")
    if hidden:
        names = ", ".join(_named(c, board.columns) for c in hidden)
        lines.append(f"Not shown in {width} columns (the CSV has all): {names}.")
    table.caption = Text(visible("\n".join(lines)), style="dim", justify="left")
    return table


def _width(table: Table) -> int:
    console = Console(width=10_000)
    return Measurement.get(console, console.options, table).maximum


def _named(column: Column, columns: Sequence[Column]) -> str:
    """Its head; where another column has the same one, with what stands left of it."""
    head = column.header.strip()
    if sum(c.header.strip() == head for c in columns) < 2:
        return head
    return f"{head} of {columns[[c.key for c in columns].index(column.key) - 1].header.strip()}"


def _bare(board: Board, columns: Sequence[Column], gap: int, *, folded: bool | None = None) -> Table:
    """folded: words are broken, behind a bracket first, and numbers stay whole; False: there is no room for
    that, and numbers are broken too."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), show_edge=False, pad_edge=False)
    for column in columns:
        words = column.header.strip()
        header = Text(visible(words if gap or "%" in words else words.replace(" ", "\n")))
        side: JustifyMethod = "right" if column.is_number else "left"
        whole = column.is_number and bool(folded)
        table.add_column(header, justify=side, overflow="fold", no_wrap=whole, vertical="bottom")
    section = None
    for row in board.rows:
        if section not in (None, board.section(row)):
            table.add_section()
        section = board.section(row)
        cells = [visible(column.show(row)) for column in columns]
        table.add_row(
            *(
                Text(cell.replace("(", "(\n") if folded and not column.is_number else cell)
                for column, cell in zip(columns, cells, strict=True)
            ),
            style=_style(row),
        )
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
        latex_line([latex_escape(c.header.strip()) for c in columns]),
        r"\midrule",
    ]
    section = None
    for row in board.rows:
        if section not in (None, board.section(row)):
            lines.append(r"\midrule")
        section = board.section(row)
        cells = [latex_escape(c.show(row)) for c in columns]
        if row.leads:
            cells = [
                rf"\textbf{{{cell}}}" if c.key == "value" else cell
                for c, cell in zip(columns, cells, strict=True)
            ]
        lines.append(latex_line(cells))
    lines += [r"\bottomrule", r"\end{tabular}", r"\\[1ex] \footnotesize"]
    bold = ["Bold: the best of its section, and what is not distinguishable from it."]
    lines += [
        latex_escape(line) + r"\par" for line in bold * any(r.leads for r in board.rows) + footer(board)
    ]
    return "\n".join([line for line in lines if line] + [r"\end{table}"]) + "\n"
