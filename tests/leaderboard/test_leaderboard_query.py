"""SQL over a run folder written by the store itself."""

import pytest

from icl.errors import ConfigError, DataError
from icl.experiments.folder.store import Contents, RunFolder
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.predictions import COLUMNS
from icl.leaderboard.query import query
from icl.types import Dropped, Prediction, Usage


@pytest.fixture
def run(tmp_path):
    cells = [Cell("m", "t", selector, 4, "o", "d", seed) for selector in ("knn", "random") for seed in (0, 1)]
    folder = RunFolder(tmp_path / "first")
    folder.begin(Contents({"name": "first"}, cells, {}, {}))
    for cell in cells:
        predictions = tuple(
            Prediction(
                f"q{i}",
                (("e1", 0.5), ("e2", None)),
                "yes",
                "yes" if i or cell.selector == "knn" else "no",
                bool(i) or cell.selector == "knn",
                label_scores={"yes": -0.1, "no": -2.0},
                flags=("near_tie",),
                dropped=(Dropped("e3", "long"),),
                details={"votes": {"yes": 3}},
                usage=Usage(10, 5, 0, 0.1),
            )
            for i in range(4)
        )
        folder.writer(cell, 4).finish(CellResult(cell, predictions))
    folder.close()
    return tmp_path / "first"


def test_accuracy_by_row_in_sql(run):
    found = query(
        [run], "select selector, avg(correct::int) a, count(*) n from predictions group by 1 order by 1"
    )
    assert found.columns == ("selector", "a", "n")
    assert found.rows == (("knn", 1.0, 8), ("random", 0.75, 8))


def test_nested_columns(run):
    sql = "select demonstrations[1], demonstration_scores[2], flags, dropped[1], "
    sql += "label_scores[list_position(labels, 'no')], "
    found = query([run], sql + "details->>'$.votes.yes', run from predictions limit 1")
    assert found.rows == (("e1", None, ["near_tie"], "e3", -2.0, "3", "first"),)


def test_all_columns_are_there_and_runs_are_put_together(run):
    found = query([run, run], "select * from predictions")
    assert found.columns == tuple(COLUMNS)
    assert len(found.rows) == 32
    assert list(COLUMNS)[:9] == [
        "run",
        "cell",
        "model",
        "task",
        "selector",
        "shots",
        "orderer",
        "method",
        "tuning",
    ]


def test_bad_sql_and_foreign_files_are_refused_in_one_message(run, tmp_path):
    with pytest.raises(ConfigError, match=r"query: .*selecter"):
        query([run], "selecter nothing")
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(ConfigError, match="query: Permission"):
        query([run], f"select * from read_csv('{secret}')")
    with pytest.raises(ConfigError, match="query: "):
        query([run], "set enable_external_access = true")
    with pytest.raises(ConfigError, match="query: Permission"):
        query([run], f"copy predictions to '{tmp_path / 'out.csv'}'")
    assert not (tmp_path / "out.csv").exists()


def test_no_run_folder(tmp_path):
    with pytest.raises(DataError, match="no such run folder"):
        query([tmp_path / "none"], "select 1")
