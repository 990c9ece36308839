"""Predictions as files, read again by the libraries that people read them with."""

from __future__ import annotations

import csv
import json

import pandas as pd
import pyarrow.parquet
import pytest

import icl
from icl.errors import ConfigError, DataError, StorageError
from icl.experiments.folder.store import RunFolder
from icl.labels import label_probabilities
from icl.leaderboard.export import FORMS, export
from icl.leaderboard.predictions import COLUMNS, SCHEMA
from tests.leaderboard.made_run import write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "made")


def exported(run, to, **options):
    path = run.parent / f"out.{to}"
    assert export([RunFolder.open(run)], to, path, **options) == 16
    return path


def test_parquet_has_the_columns_and_dtypes_of_the_data_frame(run):
    path = exported(run, "parquet")
    assert pyarrow.parquet.read_schema(path).equals(SCHEMA)
    frame = icl.Run(run).predictions()
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
    assert list(frame.columns) == list(COLUMNS)
    kinds = {name: frame[name].dtype.kind for name in ("shots", "seed", "correct", "value", "seconds")}
    assert kinds == {"shots": "i", "seed": "i", "correct": "b", "value": "f", "seconds": "f"}


def test_a_row_says_what_the_prediction_does(run):
    frame = icl.Run(run).predictions().set_index(["selector", "seed", "query_id"])
    assert frame.groupby("selector")["correct"].mean().to_dict() == {"knn": 1.0, "random": 0.5}
    first = frame.loc["random", 0, "q0"]
    assert pd.isna(first["answer"])
    assert (first["value"], frame.loc["random", 0, "q1"]["value"]) == (0.0, 0.5)
    assert list(first["demonstrations"]) == ["e1", "e2"]
    assert first["demonstration_scores"][0] == 0.5
    assert pd.isna(first["demonstration_scores"][1])
    assert list(first["labels"]) == ["yes", "no"]
    assert first["label_probabilities"].sum() == pytest.approx(1)
    assert first["output"].endswith("\x1b[31m \ufffd")
    assert json.loads(first["details"])["votes"] == {"yes": 3}
    assert (first["metric"], first["prompt_tokens"], first["tokens_flat"], first["complete"]) == (
        "accuracy",
        9,
        10,
        True,
    )


def test_duckdb_reads_parquet_and_csv(run):
    import duckdb

    sql = "select selector, sum(correct::int), count(*) from '{}' group by 1 order by 1"
    for to in ("parquet", "csv"):
        assert duckdb.sql(sql.format(exported(run, to))).fetchall() == [("knn", 8, 8), ("random", 4, 8)]


def test_polars_reads_parquet_and_csv(run):
    polars = pytest.importorskip("polars", reason="polars is not installed: pip install polars")
    for to in ("parquet", "csv"):
        path = exported(run, to)
        frame = polars.read_parquet(path) if to == "parquet" else polars.read_csv(path)
        assert frame.columns == list(COLUMNS)
        assert (frame["correct"].sum(), frame["shots"].dtype, frame["value"].dtype) == (
            12,
            polars.Int64,
            polars.Float64,
        )


def test_pandas_reads_csv(run):
    frame = pd.read_csv(exported(run, "csv"))
    assert (frame["correct"].dtype, frame["correct"].sum(), len(frame)) == (bool, 12, 16)
    assert json.loads(frame["demonstrations"][0]) == ["e1", "e2"]
    assert frame["output"][8].startswith('=1+1 "said", \n<script>')


def test_csv_has_a_row_a_prediction(run):
    with open(exported(run, "csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(COLUMNS)
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert len(rows) == 17


def test_datasets_reads_its_folder(run):
    import datasets

    path = exported(run, "datasets")
    found = datasets.load_from_disk(str(path))
    assert found.column_names == list(COLUMNS)
    assert found[8]["demonstrations"] == ["e1", "e2"]
    assert sum(found["correct"]) == 12
    assert exported(run, "datasets", overwrite=True) == path


def test_a_half_written_last_line_is_said_and_left_out(run):
    (cell,) = run.glob("cells/t_knn*s0*.jsonl")
    cell.write_bytes(cell.read_bytes()[:-10])
    said = []
    assert export([RunFolder.open(run)], "csv", run.parent / "o.csv", note=said.append) == 15
    assert any("line 4, the last one, is half-written and left out" in line for line in said)
    assert said[-1].endswith("1 of 4 cells are not complete; column complete says which")


def test_a_line_in_the_middle_that_cannot_be_read_is_said(run):
    (cell,) = run.glob("cells/t_knn*s0*.jsonl")
    lines = cell.read_bytes().splitlines(keepends=True)
    cell.write_bytes(b"".join([lines[0], b"{broken\n", *lines[2:]]))
    said = []
    assert export([RunFolder.open(run)], "csv", run.parent / "o.csv", note=said.append) == 13
    assert any("line 2 cannot be read; it and all behind it are left out (3 in all)" in s for s in said)


def test_a_folder_of_a_newer_version_is_one_line(run):
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(DataError, match="was written by a newer icl"):
        RunFolder.open(run)


def test_what_is_there_is_replaced_only_when_asked_and_only_an_export(run, tmp_path):
    path = exported(run, "parquet")
    with pytest.raises(ConfigError, match="--overwrite replaces it"):
        exported(run, "parquet")
    assert exported(run, "parquet", overwrite=True) == path
    (tmp_path / "mine").mkdir()
    for to in FORMS:
        with pytest.raises(ConfigError, match="something else than an earlier export"):
            export([RunFolder.open(run)], to, tmp_path / "mine", overwrite=True)
    with pytest.raises(ConfigError, match="no such folder"):
        export([RunFolder.open(run)], "csv", tmp_path / "no" / "where.csv")
    with pytest.raises(ConfigError, match="Did you mean 'parquet'"):
        export([RunFolder.open(run)], "parqet", tmp_path / "o")


def test_several_runs_stand_in_one_file_unless_they_have_one_name(run, tmp_path):
    other = write_run(tmp_path / "other")
    path = tmp_path / "both.parquet"
    assert export([RunFolder.open(run), RunFolder.open(other)], "parquet", path) == 32
    assert pd.read_parquet(path)["run"].value_counts().to_dict() == {"made": 16, "other": 16}
    with pytest.raises(ConfigError, match="two runs are called 'made'"):
        export([RunFolder.open(run)] * 2, "csv", tmp_path / "twice.csv")


def test_nothing_is_left_where_writing_fails(run, tmp_path, monkeypatch):
    def full(rows, path):
        path.write_text("a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(FORMS, "csv", full)
    with pytest.raises(StorageError, match="No space left on device"):
        export([RunFolder.open(run)], "csv", tmp_path / "o.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_label_probabilities():
    assert label_probabilities({"a": 0.25, "b": 0.75}) == {"a": 0.25, "b": 0.75}
    found = label_probabilities({"a": -1.0, "b": -1.0, "c": float("-inf")})
    assert found == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert label_probabilities({}) == {}
    assert label_probabilities({"a": float("nan"), "b": 0.0}) == {}
