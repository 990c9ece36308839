"""icl status from the command line."""

from __future__ import annotations

import json


def test_status_of_a_run(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    said = icl("status", "runs/small")
    assert (said.code, said.err) == (0, "")
    first, *rest = said.out.splitlines()
    assert first == "small: complete"
    assert rest[:2] == ["cells        6 of 6 complete", "predictions  36 of 36 kept (100%)"]
    assert sum("of 2 cells" in line for line in rest) == 3
    record = json.loads(icl("status", "runs/small", "--json").out)
    assert (record["state"], record["predictions"]) == ("complete", {"kept": 36, "all": 36})


def test_status_of_a_run_that_was_broken_off(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    cell = next(folder.glob("runs/small/cells/*knn*s0*.json"))
    cell.write_text(json.dumps(json.loads(cell.read_text()) | {"complete": False}))
    said = icl("status", "runs/small")
    assert said.out.startswith("small: stopped, last heard of ")
    assert said.out.endswith("The same icl run goes on.\n")


def test_status_of_no_run(icl, folder):
    said = icl("status", "runs/small")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "no such run folder" in said.err
