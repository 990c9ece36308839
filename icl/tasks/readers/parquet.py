"""Parquet: typed values, and the names of integer classes that `datasets` keeps in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from icl.errors import DataError
from icl.tasks.rows import Row, Table
from icl.tasks.values import first_line, names, shown


def parquet(content: bytes, name: str) -> Table:
    """The rows of one file. DataError where it is no Parquet file or has two columns of one name."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)) as file:
            schema = file.schema_arrow
            twice = sorted({column for column in schema.names if schema.names.count(column) > 1})
            if twice:
                raise DataError(
                    f"{name}: has two columns {shown(twice[0])}; its columns: {names(schema.names)}"
                )
            values = file.read().to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, ArithmeticError) as error:
        # A damaged file ends in any of these, a timestamp between microseconds in ValueError.
        raise DataError(
            f"data file {name} is not a Parquet file that can be read: {first_line(str(error))}"
        ) from error
    rows = [_row(value, f"{name} row {index}", index) for index, value in enumerate(values)]
    return Table(tuple(rows), _class_names(schema.metadata))


def _row(values: Mapping[str, Any], where: str, index: int) -> Row:
    if any(isinstance(value, str) and "\x00" in value for value in values.values()):
        return Row({}, where, index, "holds the character NUL")
    return Row(values, where, index)


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, Sequence[str]]:
    """What `datasets` writes: {"info": {"features": {column: {"names": [...], "_type": "ClassLabel"}}}}."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
