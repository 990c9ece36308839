"""A prediction of a run by its query and words of its cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from icl.errors import DataError, unknown_name
from icl.experiments.folder.store import RunFolder
from icl.experiments.records import Cell
from icl.types import Prediction


def find_prediction(folder: RunFolder, query: str, cell: str | None = None) -> tuple[Cell, Prediction]:
    """The prediction of one query: in the cell whose id begins with or contains `cell`, or, without
    one, in the first cell that shows demonstrations, else the first that has the query.

    Raises DataError naming the nearest id, or the cells to choose from.
    """
    cells = folder.cells()
    if cell is not None:
        cells = _matching([c for c in cells if folder.has_lines(c)], cell)
    having = [(c, p) for c in cells if (p := folder.prediction(c, query)) is not None]
    if not having:
        ids = dict.fromkeys(p.query_id for c in cells for p in folder.result(c).predictions)
        if not ids:
            raise DataError(f"{folder.path}: holds no prediction yet")
        some = ", ".join(list(ids)[:5])
        known = unknown_name("query", query, ids).split(" Allowed:")[0]
        raise DataError(f"{folder.path}: {known} Queries: {some}, ... ({len(ids)} in all)")
    return next((pair for pair in having if pair[0].shots), having[-1])


def _matching(cells: Sequence[Cell], cell: str) -> list[Cell]:
    several = len({c.model for c in cells}) > 1
    names = {c.id: f"{c.model} {c.id}" if several else c.id for c in cells}
    exact = [c for c in cells if c.id == cell]
    found = exact or [c for c in cells if _bare(cell) in _bare(names[c.id])]
    if len(found) == 1:
        return found
    some = ", ".join(names[c.id] for c in (found or cells)[:8])
    many = f"fits {len(found)} cells" if found else "fits no cell"
    raise DataError(
        f"--cell {cell!r} {many}; name one of: {some}{', ...' if len(found or cells) > 8 else ''}"
    )


def _bare(name: str) -> str:
    """ "knn-4" finds "..._knn_4_...": what is not a letter, a digit or a dot is all the same."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower())
