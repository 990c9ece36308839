"""A table of texts with a title and sentences below it, in notations for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from icl.leaderboard.formats import LEAST, latex_escape, latex_line, markdown_escape
from icl.printable import visible

LEADS = "°"
"""Ends the value of what is in the first rank group."""


@dataclass(frozen=True, slots=True)
class Grid:
    """`words`: so many columns from the left hold words, the others numbers. Cells with LEADS are bold."""

    title: str
    heads: Sequence[str]
    words: int
    lines: Sequence[Sequence[str]]
    notes: Sequence[str]

    @property
    def width(self) -> int:
        """Columns that the table takes on a terminal."""
        return _width(self._table(range(len(self.heads))))

    def to_rich(self, width: int) -> Group:
        """For the terminal; a table that is too wide goes on below, beside the same words."""
        tables = [self._table(block, self.width > width) for block in self._blocks(width)]
        notes = Text(visible("\n".join(self.notes)), style="dim")
        return Group(Text(visible(self.title), style="bold"), *tables, notes)

    def _blocks(self, width: int) -> list[list[int]]:
        """Columns of each table: all of them, where words may be folded to make room, or as many numbers as
        fit beside the words, one at least."""
        words, whole = list(range(self.words)), list(range(len(self.heads)))
        numbers = _width(self._table(whole[self.words :], True))
        if self.width <= width or numbers + LEAST * self.words <= width:
            return [whole]
        blocks: list[list[int]] = []
        for at in whole[self.words :]:
            if blocks and _width(self._table([*blocks[-1], at], True)) <= width:
                blocks[-1].append(at)
            else:
                blocks.append([*words, at])
        return blocks or [whole]

    def _table(self, columns: Sequence[int], stacked: bool = False) -> Table:
        """stacked: a word a line in heads."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False)
        for at in columns:
            head = visible(self.heads[at])
            table.add_column(
                Text(head.replace(" ", "\n") if stacked and "%" not in head else head),
                justify="left" if at < self.words else "right",
                overflow="fold",
                no_wrap=stacked and at >= self.words,
                vertical="bottom",
            )
        for line in self.lines:
            cells = [line[at] for at in columns]
            table.add_row(*(Text(visible(cell), style="bold" if LEADS in cell else "") for cell in cells))
        return table

    def to_markdown(self) -> str:
        """A pipe table."""
        lines = [f"**{markdown_escape(self.title)}**", ""] if self.title else []
        lines.append("| " + " | ".join(map(markdown_escape, self.heads)) + " |")
        sides = (" :--- " if at < self.words else " ---: " for at in range(len(self.heads)))
        lines.append("|" + "|".join(sides) + "|")
        for line in self.lines:
            cells = [f"**{markdown_escape(c)}**" if LEADS in c else markdown_escape(c) for c in line]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *(f"{markdown_escape(one)}  " for one in self.notes)]) + "\n"

    def to_latex(self) -> str:
        """A booktabs tabular; bold stands for LEADS."""
        sides = "l" * self.words + "r" * (len(self.heads) - self.words)
        lines = [r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering"]
        lines += [rf"\caption{{{latex_escape(self.title)}}}"] if self.title else []
        lines += [rf"\begin{{tabular}}{{{sides}}}", r"\toprule"]
        lines += [latex_line([*map(latex_escape, self.heads)]), r"\midrule"]
        lines += [latex_line([*map(_latex_cell, line)]) for line in self.lines]
        lines += [r"\bottomrule", r"\end{tabular}", r"\\[1ex] \footnotesize"]
        lines += [latex_escape(one.replace(f"{LEADS} ", "Bold: ", 1)) + r"\par" for one in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"


class OfGrid(ABC):
    """What is written down for people as a grid."""

    __slots__ = ()

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """As texts."""

    @property
    @abstractmethod
    def short_grid(self) -> Grid:
        """The same with short names, which it says in full below."""

    def to_rich(self, width: int = 100) -> Group:
        """For the terminal; where it is too wide, names are short, and what is still wider goes on below."""
        whole = self.grid
        return (whole if whole.width <= width else self.short_grid).to_rich(width)

    def to_markdown(self) -> str:
        """A pipe table, what leads in bold."""
        return self.grid.to_markdown()

    def to_latex(self) -> str:
        """A booktabs tabular, what leads in bold."""
        return self.grid.to_latex()


def _width(table: Table) -> int:
    console = Console(width=10_000)
    return Measurement.get(console, console.options, table).maximum


def _latex_cell(cell: str) -> str:
    if LEADS not in cell:
        return latex_escape(cell)
    value, _, mark = cell.partition(LEADS)
    return rf"\textbf{{{latex_escape(value)}}}{latex_escape(mark)}"
