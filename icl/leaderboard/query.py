"""SQL over run folders: every prediction of every cell as one row of a duckdb table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from icl.errors import ConfigError
from icl.experiments.folder.store import RunFolder
from icl.leaderboard.predictions import table


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query with the names of their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def query(runs: Sequence[Path | str], sql: str) -> Answer:
    """Runs `sql` on the table `predictions` of these run folders, whose columns are those of
    `icl.leaderboard.predictions`, e.g.
    "select selector, shots, avg(correct::int) from predictions where complete group by all".

    Only these predictions can be read: duckdb's access to files and network is switched off.
    Raises DataError (no run folder), ConfigError (the SQL cannot be run; duckdb's own words).
    """
    rows = table([RunFolder.open(path) for path in runs])
    connection = duckdb.connect(":memory:")
    try:
        connection.register("arrow", rows)
        connection.execute("create table predictions as select * from arrow")
        connection.unregister("arrow")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        found = connection.execute(sql)
        names = tuple(column[0] for column in found.description or ())
        return Answer(names, tuple(found.fetchall()))
    except duckdb.Error as error:
        raise ConfigError(f"query: {error}") from error
    finally:
        connection.close()
