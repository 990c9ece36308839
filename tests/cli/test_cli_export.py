"""icl export from the command line."""

from __future__ import annotations

import pandas as pd
import pytest


@pytest.fixture
def run(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    return "runs/small"


def test_export_of_a_run(icl, run, folder):
    said = icl("export", run)
    assert (said.code, said.err) == (0, "")
    assert said.out == "48 predictions: small.predictions.parquet\n"
    frame = pd.read_parquet(folder / "small.predictions.parquet")
    assert frame["complete"].all()
    assert set(frame["selector"]) == {"majority_class", "zero_shot", "random", "knn"}
    assert frame.groupby(["selector", "seed"]).size().eq(6).all()
    said = icl("export", run)
    assert (said.code, "--overwrite" in said.err) == (2, True)


def test_export_says_what_it_leaves_out(icl, run, folder):
    cell = next(folder.glob("runs/small/cells/*knn*s0*.jsonl"))
    cell.write_bytes(cell.read_bytes()[:-5])
    said = icl("export", run, "--to", "csv", "-o", "out.csv")
    assert (said.code, said.out) == (0, "47 predictions: out.csv\n")
    assert "half-written" in said.err
    assert "1 of 8 cells are not complete" in said.err


def test_export_of_what_is_no_run(icl, folder):
    said = icl("export", "runs/nothing")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "no such run folder" in said.err


def test_a_file_is_written_as_it_is_named(icl, run, folder):
    assert icl("export", run, "-o", "out.csv").code == 0
    assert pd.read_csv(folder / "out.csv").shape[0] == 48
    said = icl("export", run, "--to", "csv", "-o", "out.parquet")
    assert (said.code, said.err) == (
        2,
        "icl: error: --output: out.parquet is named as parquet, and --to is csv; change one\n",
    )
    assert not (folder / "out.parquet").exists()
