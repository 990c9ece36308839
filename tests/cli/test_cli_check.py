"""icl check: everything that can be wrong, found at once; what is right, said in a few lines."""

from __future__ import annotations

import json

import pytest

RIGHT = ["model", "encoder", "grid", "run", "task", "rows", "split", "leaks"]


def keys(out):
    return [line.split()[0] for line in out.splitlines() if line.startswith("  ")]


def test_what_is_right_is_said(icl, folder):
    said = icl("check", "experiment.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("experiment.yaml: no problem found\n")
    assert keys(said.out) == RIGHT
    assert "3 rows x 2 seeds = 6 cells, 36 predictions" in said.out
    assert "40 train, 8 test" in said.out
    assert not (folder / "runs").exists()


def test_leaks_are_counted(icl, folder):
    with (folder / "pool.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"text": "QUERIES thing [bold]1[/bold]", "label": "good"}))
    assert "1 of 41 pool candidates overlap with 8 test items" in icl("check", "experiment.yaml").out


def test_rows_that_were_left_out_are_counted(icl, folder):
    with (folder / "pool.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"text": "no label"}))
    with (folder / "task.yaml").open("a") as file:
        file.write("  skip_bad_rows: true\n")
    said = icl("check", "task.yaml").out
    assert "skipped  1 row of train, the first: " in said
    assert "pool.jsonl:41" in said


def test_independent_problems_are_listed_together(icl, folder):
    text = (folder / "experiment.yaml").read_text()
    text = text.replace("{knn: {}}", "{knn: {k: 3}}, bm26").replace("model: fake", "model: fakee")
    text = text.replace("pool: 20", "pool: 90").replace("shots: 2", "shots: 2\n  method: generrate")
    (folder / "experiment.yaml").write_text(text)
    said = icl("check", "experiment.yaml")
    assert (said.code, said.out) == (1, "")
    expected = ["10: grid.selector.1.knn", "10: grid.selector.2.bm26", "12: grid.method.0.generrate"]
    for place in [f"experiment.yaml:{line}" for line in expected]:
        place = place.replace(":10:", ":9:").replace(":12:", ":11:")
        assert f"icl: error: {place}" in said.err
    assert "experiment.yaml:2: model: unknown model 'fakee'. Did you mean 'fake'?" in said.err
    assert "experiment.yaml:4: pool is 90, but task 'mine' has 40 rows for it" in said.err
    assert said.err.count("\n") == 5
    assert icl("run", "experiment.yaml").err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "kind"), [("task.yaml", "mine: classification"), ("reviews", "reviews: classification")]
)
def test_a_task_by_itself(icl, folder, name, kind):
    said = icl("check", name)
    assert (said.code, keys(said.out)) == (0, ["task", "rows", "leaks"])
    assert kind in said.out


def test_a_task_without_train_rows(icl, folder):
    text = (folder / "task.yaml").read_text().replace("train: pool.jsonl, ", "")
    (folder / "task.yaml").write_text(text)
    said = icl("check", "task.yaml")
    assert (said.code, "pool carved from the test split" in said.out) == (0, True)


def test_a_wrong_task(icl, folder):
    text = (folder / "task.yaml").read_text().replace("kind: classification", "kind: clasification")
    (folder / "task.yaml").write_text(text.replace("labels: [good, bad]", "labels: good"))
    said = icl("check", "task.yaml")
    assert (said.code, said.err.count("icl: error: task.yaml:")) == (1, 2)


def test_overrides_are_checked_and_named(icl, folder):
    said = icl("check", "experiment.yaml", "--limit", 3, "--seeds", "7", "--set", "grid.shots=[1,3]")
    assert "5 rows x 1 seed = 5 cells, 15 predictions" in said.out
    said = icl("check", "experiment.yaml", "--limit", 9, "--set", "pol=3")
    assert "--set pol: unknown key 'pol'. Did you mean 'pool'?" in said.err
    said = icl("check", "experiment.yaml", "--limit", 9, "--model", "fak")
    assert "--limit: test is 9, but the test split of task 'mine' has 8 rows" in said.err
    assert "--model: model: unknown model 'fak'. Did you mean 'fake'?" in said.err
    assert "--seeds: '0;1' is no list of numbers" in icl("check", "experiment.yaml", "--seeds", "0;1").err


@pytest.mark.parametrize("name", ["experimnt.yaml", "nothing", "qestions"])
def test_a_file_that_is_not_there(icl, folder, name):
    said = icl("check", name)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    if name != "nothing":
        assert "Did you mean" in said.err


def test_ctrl_c_is_said(icl, folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("icl.experiments.file.around.read_any", interrupted)
    said = icl("check", "experiment.yaml")
    assert (said.code, said.err) == (130, "icl: interrupted\n")
