"""The rows of a benchmark: as a table on the terminal, as JSON, as markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from icl.atomic import write_atomically
from icl.printable import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(slots=True)
class Row:
    """One workload with one engine. Quantities that were not measured are None."""

    workload: str
    engine: str
    dtype: str
    seconds: float
    """Of the whole workload; where `fraction` < 1, measured on a part and scaled by its flat tokens."""
    tokens_flat: int
    tokens_unique: int
    eta: float
    """Lower bound / seconds, the bound from the rate of torch.mm."""
    eta_packed: float
    """The same from the best product measured, packed or not."""
    ratio_to_icl: float | None = None
    """Seconds / seconds of icl; of several rounds, in which both ran in turn, the median."""
    ratio_spread: tuple[float, float] | None = None
    """The least and the largest of these rounds."""
    ratio_then: float | None = None
    """Seconds of an earlier file / seconds: how many times faster than then."""
    max_abs_diff: float | None = None
    """Largest difference of a token's log-probability to plain fp32 forwards, on a strided subset."""
    peak_memory: int | None = None
    """Bytes: resident on CPU, allocated on GPU, while the engine ran."""
    fraction: float = 1.0
    planning: float | None = None
    """Share of the time that icl spends on building trie and plan."""
    overhead: float | None = None
    """Share of the time that icl spends outside the network's forward and head (CPU only)."""
    setting: str = ""
    """The engine's best setting."""
    round_seconds: list[float] = field(default_factory=list)
    """Of each round in which the engines took turns."""


HEADERS = (
    "workload", "engine", "dtype", "seconds", "x icl", "x then", "eta", "eta packed", "flat", "unique",
    "max diff", "GiB", "planning", "overhead", "setting",
)  # fmt: skip


def compare(rows: Sequence[Row]) -> None:
    """Fills `ratio_to_icl` of every row whose workload icl has run at the same precision, and its spread
    where both ran in rounds."""
    own = {(r.workload, r.dtype): r for r in rows if r.engine == "icl"}
    for row in rows:
        base = own.get((row.workload, row.dtype))
        if base is None:
            row.ratio_to_icl = row.ratio_spread = None
            continue
        ratios = [mine / its for mine, its in zip(row.round_seconds, base.round_seconds, strict=False)]
        row.ratio_to_icl = float(np.median(ratios)) if ratios else row.seconds / base.seconds
        row.ratio_spread = (min(ratios), max(ratios)) if len(ratios) > 1 else None


def cells(row: Row) -> tuple[str, ...]:
    """A row as text; "~" marks seconds that are scaled from a part."""

    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    scaled = "~" if row.fraction < 1 else ""
    memory = None if row.peak_memory is None else row.peak_memory / 2**30
    setting = [row.setting] if row.setting else []
    setting += [f"{row.fraction:.0%} run"] if row.fraction < 1 else []
    ratio = shown(row.ratio_to_icl, ".2f")
    if row.ratio_spread is not None and row.ratio_spread != (1, 1):
        ratio += f" ({row.ratio_spread[0]:.2f} to {row.ratio_spread[1]:.2f})"
    return (
        row.workload, row.engine, row.dtype, f"{scaled}{row.seconds:.2f}", ratio,
        shown(row.ratio_then, ".2f"), f"{row.eta:.3f}", f"{row.eta_packed:.3f}", f"{row.tokens_flat:,}",
        f"{row.tokens_unique:,}",
        shown(row.max_abs_diff, ".1e"), shown(memory, ".2f"), shown(row.planning, ".1%"),
        shown(row.overhead, ".1%"), ", ".join(setting),
    )  # fmt: skip


def columns(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Headers and rows; without the column of an earlier file where there is none."""
    lines = [HEADERS, *(cells(row) for row in rows)]
    if any(row.ratio_then is not None for row in rows):
        return lines
    out = HEADERS.index("x then")
    return [line[:out] + line[out + 1 :] for line in lines]


def to_rich(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    headers, *lines = columns(rows)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for header in headers:
        left = header in ("workload", "engine", "dtype", "setting")
        table.add_column(header, justify="left" if left else "right", no_wrap=True)
    for line in lines:
        table.add_row(*(Text(visible(cell)) for cell in line))
    return table


def show(rows: Sequence[Row], console: Console) -> None:
    """Prints the table as wide as it is: a narrow terminal wraps lines, but no cell is cut."""
    from rich.measure import Measurement

    table = to_rich(rows)
    wide = console.options.update(max_width=1000)
    console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)


def to_markdown(rows: Sequence[Row]) -> str:
    """The table for a README."""
    headers, *found = columns(rows)
    lines = [headers, tuple("---" for _ in headers), *found]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_json(path: Path, machine: dict[str, Any], rows: Sequence[Row]) -> None:
    """{"machine": ..., "rows": [...]}; replaced whole, so that a killed run leaves what it had."""
    text = json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)
    write_atomically(path, text + "\n")
