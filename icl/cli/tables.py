"""Lists of names: a table on a terminal, a line an entry with tabs between its cells everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

Row = Sequence[str]


def show(title: str, headers: Row, rows: Sequence[Row], *, note: str = "", stacked: bool = False) -> None:
    """Prints a list. What is piped is never wrapped or cut, so that grep and cut find whole entries.

    note: a line below the table. stacked: on a terminal the last cell stands below the one before it.
    """
    if not sys.stdout.isatty():
        for row in (headers, *rows):
            typer.echo("\t".join(_line(cell) for cell in row))
        return
    if stacked:
        headers = headers[:-1]
        rows = [(*row[:-2], "\n".join(filter(None, row[-2:]))) for row in rows]
    _drawn(title, headers, rows, note)


def _line(cell: str) -> str:
    return "; ".join(" ".join(part.split()) for part in cell.splitlines())


def _drawn(title: str, headers: Row, rows: Sequence[Row], note: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for at, header in enumerate(headers):
        table.add_column(header, overflow="fold", no_wrap=at == 0)
    for row in rows:
        table.add_row(*map(Text, row))  # never markup: square brackets stay what they are
    console = Console()
    console.print(table)
    console.print(f"{note}\n" if note else "", markup=False)
