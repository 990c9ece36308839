"""The run folder: nothing lost, nothing twice, nothing mixed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from icl.errors import ConfigError, DataError, StorageError
from icl.experiments.file.config import read_experiment
from icl.experiments.folder.lines import from_line, to_line
from icl.experiments.folder.store import FORMAT, Contents, RunFolder
from icl.experiments.records import Cell, CellResult
from icl.types import Dropped, Prediction, Usage

CELL = Cell("fake", "mine", "random", 2, "as_selected", "direct", 0)
EXPERIMENT = read_experiment(
    {"name": "a", "model": "fake", "task": "mine", "pool": 3, "grid": {"selector": "random", "shots": [2]}}
)[0].resolved
FULL = Prediction(
    "q1",
    (("p1", 0.5), ("p2", None)),
    None,
    "good",
    False,
    output="line\nbreak ✓ \ud83d",
    label_scores={"good": -1.25, "bad": -0.1},
    dropped=(Dropped("p3", "context"),),
    flags=("near_tie",),
    why=({"similarity": 0.5}, {}),
    details={"margin": 1e-5},
    usage=Usage(4, 3, 0, 0.25, 1),
)
LINES = [Prediction(f"q{i}", (), "good", "bad", False) for i in range(6)]


def begun(path, experiment=EXPERIMENT, data=None, restart=False, **contents):
    folder = RunFolder(path)
    what = {"cells": [CELL], "data": data or {"mine": "d1"}, "queries": {"mine": 6}, **contents}
    folder.begin(Contents(experiment, manifest={"model": None}, **what), restart=restart)
    return folder


def test_a_prediction_reads_back_as_it_was():
    assert from_line(to_line(FULL)) == FULL
    assert "\n" not in to_line(FULL)


def test_predictions_come_back_in_order(tmp_path):
    folder = begun(tmp_path / "a")
    writer = folder.writer(CELL, 6)
    for i, prediction in enumerate(LINES):
        writer.append(i, prediction)
    writer.finish(CellResult(CELL, tuple(LINES), Usage(9, 8, 0, 0.0, 2), 1.5, {"accuracy": 0.0}))
    (result,) = RunFolder.open(tmp_path / "a").results()
    assert result.complete
    assert list(result.predictions) == LINES
    assert (result.selection_usage, result.selection_seconds) == (Usage(9, 8, 0, 0.0, 2), 1.5)
    assert result.metrics == {"accuracy": 0.0}


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_torn_last_line_is_cut_and_written_again(tmp_path, cut):
    folder = begun(tmp_path / "a")
    writer = folder.writer(CELL, 6)
    for i in range(3):
        writer.append(i, LINES[i])
    writer.sync()
    file = next((tmp_path / "a" / "cells").glob("*.jsonl"))
    file.write_bytes(file.read_bytes()[:-cut])
    folder.close()
    assert len(RunFolder.open(tmp_path / "a").results()[0].predictions) == 2
    writer = begun(tmp_path / "a").writer(CELL, 6)
    assert writer.written == 2
    for i, prediction in enumerate(LINES):
        writer.append(i, prediction)
    writer.finish(CellResult(CELL, tuple(LINES)))
    assert [json.loads(line)["query_id"] for line in file.read_text().splitlines()] == [
        p.query_id for p in LINES
    ]


def test_an_order_that_skips_is_refused(tmp_path):
    with pytest.raises(ValueError, match="comes before"):
        begun(tmp_path / "a").writer(CELL, 6).append(1, LINES[1])


def test_lines_that_turn_out_otherwise_are_replaced(tmp_path):
    writer = begun(tmp_path / "a").writer(CELL, 6)
    for i, prediction in enumerate(LINES):
        writer.append(i, prediction)
    final = tuple(Prediction(p.query_id, (), "bad", "bad", True) for p in LINES)
    writer.finish(CellResult(CELL, final))
    assert RunFolder.open(tmp_path / "a").results()[0].predictions == final


def appended(folder, lines=LINES):
    """The writer of the cell, with these lines."""
    writer = folder.writer(CELL, 6)
    for i, prediction in enumerate(lines):
        writer.append(i, prediction)
    return writer


def files(path):
    return {p.name: p.read_bytes() for p in (path / "cells").iterdir()}


def test_a_cell_whose_lines_are_let_go_is_the_one_that_holds_them(tmp_path):
    whole = CellResult(CELL, tuple(LINES), metrics={"accuracy": 0.5})
    folder = begun(tmp_path / "a")
    appended(folder).finish(whole)
    other = begun(tmp_path / "b")
    appended(other).finish_appended(replace(whole, predictions=()), whole.usage)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(files(tmp_path / "a")) == 2
    folder.close()
    before = files(tmp_path / "a")
    appended(begun(tmp_path / "a")).finish_appended(replace(whole, predictions=()), whole.usage)
    assert files(tmp_path / "a") == before


def test_lines_of_before_that_come_out_otherwise_are_replaced_too(tmp_path):
    folder = begun(tmp_path / "a")
    appended(folder, [replace(p, answer="bad") for p in LINES[:3]] + LINES[3:5]).sync()
    folder.close()
    appended(begun(tmp_path / "a")).finish_appended(CellResult(CELL, ()), Usage())
    (result,) = RunFolder.open(tmp_path / "a").results()
    assert result.complete
    assert list(result.predictions) == LINES


def test_a_file_that_another_program_changes_is_an_error_and_the_next_session_heals_it(tmp_path):
    folder = begun(tmp_path / "a")
    writer = appended(folder)
    writer.sync()
    (file,) = (tmp_path / "a" / "cells").glob("*.jsonl")
    right = file.read_bytes()
    file.write_bytes(right.replace(b'"correct":false', b'"correct":true ', 1))
    assert file.read_bytes() != right
    with pytest.raises(StorageError, match="another program has changed it while it was written"):
        writer.finish_appended(CellResult(CELL, ()), Usage())
    folder.close()
    appended(begun(tmp_path / "a")).finish_appended(CellResult(CELL, ()), Usage())
    assert file.read_bytes() == right


def test_a_cell_with_lines_missing_is_not_made_final(tmp_path):
    writer = appended(begun(tmp_path / "a"), LINES[:4])
    with pytest.raises(ValueError, match="4 of 6 predictions"):
        writer.finish_appended(CellResult(CELL, ()), Usage())


@pytest.mark.parametrize(
    ("experiment", "data", "expected"),
    [
        ({**EXPERIMENT, "pool": 4}, None, "pool: 3 -> 4"),
        ({**EXPERIMENT, "prompt": {"chat": True, "overflow": "drop"}}, None, "prompt.chat: false -> true"),
        ({**EXPERIMENT, "test": 255}, None, "test: 256 -> 255 (it may grow"),
        (EXPERIMENT, {"mine": "d2"}, "the data or definition of task 'mine'"),
    ],
)
def test_another_experiment_is_never_mixed_in(tmp_path, experiment, data, expected):
    begun(tmp_path / "a").close()
    with pytest.raises(ConfigError) as error:
        begun(tmp_path / "a", experiment, data)
    assert expected in str(error.value)
    assert "--restart" in str(error.value)


def test_another_model_is_never_mixed_in(tmp_path):
    folder = begun(tmp_path / "a")
    for part, check in (("model", partial(folder.check_model, "m")), ("encoder", folder.check_encoder)):
        check({"name": "m", "fingerprint": "f1"})
        check({"name": "m", "fingerprint": "f1"})
        with pytest.raises(ConfigError, match=f"the {part}'s fingerprint: f1 -> f2"):
            check({"name": "m", "fingerprint": "f2"})


def test_restart_keeps_the_old_folder(tmp_path):
    folder = begun(tmp_path / "a")
    folder.writer(CELL, 6).finish(CellResult(CELL, tuple(LINES)))
    folder.close()
    new = begun(tmp_path / "a", {**EXPERIMENT, "pool": 4}, restart=True)
    assert not new.result(CELL).complete
    (old,) = [p for p in tmp_path.iterdir() if p.name.startswith("a.")]
    assert RunFolder.open(old).result(CELL).complete


def test_one_writer_at_a_time_and_the_message_names_it(tmp_path):
    script = (
        "import sys; from icl.experiments.folder.store import Contents, RunFolder\n"
        f"f = RunFolder({str(tmp_path / 'a')!r}); f.begin(Contents({EXPERIMENT!r}, [], {{}}, {{}}))\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"pid {holder.pid}"):
            begun(tmp_path / "a")
    finally:
        holder.communicate()
    begun(tmp_path / "a").close()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="not a run folder"):
        begun(tmp_path / "a", restart=True)
    assert (tmp_path / "a" / "thesis.tex").read_text() == "precious"


def test_a_start_that_was_killed_halfway_is_no_hindrance(tmp_path):
    (tmp_path / "a" / "cells").mkdir(parents=True)
    (tmp_path / "a" / "experiment.yaml").write_text("name: ha")
    (tmp_path / "a" / "manifest.json.new").write_text("{")
    begun(tmp_path / "a")
    assert RunFolder.open(tmp_path / "a").experiment() == EXPERIMENT


def test_lost_lines_of_a_complete_cell_are_noticed(tmp_path):
    begun(tmp_path / "a").writer(CELL, 6).finish(CellResult(CELL, tuple(LINES)))
    file = next((tmp_path / "a" / "cells").glob("*.jsonl"))
    os.truncate(file, 30)
    (result,) = RunFolder.open(tmp_path / "a").results()
    assert not result.complete
    assert "its 0 lines are not those that were written" in result.damage


def test_what_is_no_run_folder_says_so(tmp_path):
    with pytest.raises(DataError, match="no such run folder"):
        RunFolder.open(tmp_path / "b")
    with pytest.raises(DataError, match="not a run folder"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [("study.yaml", "a study: icl report"), ("recipe.yaml", "a corpus"), ("redteam.yaml", "a red teaming")],
)
def test_a_folder_of_another_kind_is_called_what_it_is(tmp_path, name, said):
    (tmp_path / name).write_text("name: a", encoding="utf-8")
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=f"not a run folder, but the folder of {said}"):
        RunFolder.open(tmp_path)


def test_another_leaderboard_section_is_no_other_experiment(tmp_path):
    begun(tmp_path / "a", {**EXPERIMENT, "leaderboard": {"compare_to": "random"}}).close()
    other = {**EXPERIMENT, "leaderboard": {"compare_to": {"orderer": "as_selected"}}}
    begun(tmp_path / "a", other).close()
    assert RunFolder.open(tmp_path / "a").experiment() == other
    with pytest.raises(ConfigError, match="changed: pool: 3 -> 4"):
        begun(tmp_path / "a", {**other, "pool": 4})


def test_a_newer_format_is_refused_and_a_missing_number_is_the_first(tmp_path):
    begun(tmp_path / "a").close()
    path = tmp_path / "a" / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest.pop("format") == FORMAT
    path.write_text(json.dumps(manifest))
    assert RunFolder.open(tmp_path / "a").results()
    path.write_text(json.dumps({**manifest, "format": FORMAT + 1}))
    for use in (RunFolder.open, begun):
        with pytest.raises(DataError, match=f"written by a newer icl .folder format {FORMAT + 1}"):
            use(tmp_path / "a")


STRANGE = ["", "{", "[]", "7", "null", "[" * 100_000, '{"cells": 3}', '{"cells": [3], "data": {}}',
    '{"cells": [{"model": "m"}]}', '{"format": "x"}', '{"format": null}', '{"data": [], "cells": []}',
    '{"model": "m"}', '{"encoder": 1}', '{"tasks": null}', '{"tasks": {"t": 1}}', '{"queries": {"t": "9"}}',
    '{"overlap": {"t, seed 0": {}}}', '{"sessions": [0]}', '{"data": {"t": null}}']  # fmt: skip


@pytest.mark.parametrize("text", STRANGE)
def test_a_manifest_of_another_shape_is_said_in_one_line(tmp_path, text):
    begun(tmp_path / "a").close()
    (tmp_path / "a" / "manifest.json").write_text(text)
    with pytest.raises(DataError) as error:
        RunFolder.open(tmp_path / "a").results()
    assert "\n" not in str(error.value)
    assert str(tmp_path / "a") in str(error.value)


@pytest.mark.parametrize(
    "text",
    [*STRANGE, '{"cell": {}, "complete": true}', '{"complete": true, "predictions": 6}'],
)
def test_a_summary_of_another_shape_damages_its_cell_alone(tmp_path, text):
    folder = begun(tmp_path / "a")
    writer = folder.writer(CELL, 6)
    writer.finish(CellResult(CELL, tuple(LINES)))
    file = next((tmp_path / "a" / "cells").glob("*.json"))
    file.write_text(text)
    (result,) = folder.results()
    assert (result.complete, len(result.predictions)) == (False, 6)
    assert file.name in result.damage
    assert "\n" not in result.damage
    again = folder.writer(CELL, 6)
    assert again.started is None
    again.finish(CellResult(CELL, tuple(LINES)))
    assert folder.result(CELL).complete


def test_another_cells_lines_are_noticed_and_so_is_its_summary(tmp_path):
    folder = begun(tmp_path / "a")
    other = replace(CELL, selector="bm25")
    folder.writer(CELL, 6).finish(CellResult(CELL, tuple(LINES)))
    folder.writer(other, 6).finish(CellResult(other, tuple(replace(p, correct=True) for p in LINES)))
    assert folder.result(CELL).complete
    for suffix, words in (("jsonl", "are not those that were written"), ("json", "summary of another cell")):
        target = tmp_path / "a" / "cells" / f"{CELL.id}.{suffix}"
        target.write_bytes((tmp_path / "a" / "cells" / f"{other.id}.{suffix}").read_bytes())
        result = folder.result(CELL)
        assert not result.complete
        assert words in result.damage


@pytest.mark.parametrize("query", ["q1", 'with "quotes"', "ünï ✓", "half \ud83d", "line\nbreak"])
def test_one_line_is_found_by_its_query(tmp_path, query):
    folder = begun(tmp_path / "a")
    lines = (*LINES[:3], replace(FULL, query_id=query), *LINES[4:])
    lines = (replace(lines[0], output=f'"query_id":"{query}"'), *lines[1:])
    folder.writer(CELL, 6).finish(CellResult(CELL, lines))
    assert folder.prediction(CELL, query) in lines
    assert folder.prediction(CELL, query).query_id == query
    assert folder.prediction(CELL, query + "x") is None
