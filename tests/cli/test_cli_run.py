"""icl run and icl plan as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from icl.cli.options import memory_size
from icl.errors import ConfigError


def test_run_prints_progress_and_the_leaderboard(icl, folder):
    said = icl("run", "experiment.yaml")
    assert said.code == 0
    for row in ("majority_class", "zero_shot", "random", "knn"):
        assert row in said.out
    assert "Run folder: runs/small" in said.out
    assert "36 predictions" in said.err
    assert "mine knn 2-shot as_selected direct seed 1:" in said.err
    again = icl("run", "experiment.yaml")
    assert again.out == said.out
    assert "36 predictions, 36 of them there already" in again.err


def test_quiet_leaves_stderr_empty(icl, folder):
    said = icl(
        "run", "experiment.yaml", "--quiet", "--output", "elsewhere", "--batch", 2, "--max-memory", "1GiB"
    )
    assert (said.code, said.err) == (0, "")
    assert (folder / "elsewhere" / "small" / "manifest.json").is_file()


def test_quiet_turns_the_bars_of_libraries_off(folder):
    """In a process of its own: tqdm asks once, when it is imported."""
    script = (
        "from icl.cli import main\n"
        "try:\n    main(['run', 'experiment.yaml', '-q', '--limit', '2'])\nexcept SystemExit:\n    pass\n"
        "from tqdm.auto import tqdm\nlist(tqdm(range(9)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Run folder" in done.stdout
    assert done.stderr == ""


def change(folder, old, new, name="experiment.yaml"):
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("pool: 20", "poool: 20", "experiment.yaml:4: unknown key 'poool'. Did you mean 'pool'?"),
        ("pool: 20", "pool: -3", "experiment.yaml:4: pool is -3"),
        (
            "pool: 20",
            "pool: many",
            "experiment.yaml:4: pool: must be an integer of at least 1, or all, not 'many'",
        ),
        (
            "[random, {knn: {}}]",
            "[random, knnn]",
            "experiment.yaml:9: grid.selector.1.knnn: unknown selector",
        ),
        ("  shots: 2", "  shots: 21", "experiment.yaml:10: grid.shots.0: 21 demonstrations cannot come from"),
        ("  shots: 2", "  shots: 2\n  method: generrate", "Did you mean 'generate'?"),
        ("model: fake", "model: no/such/model", "experiment.yaml:2: model:"),
        (
            "task: task.yaml",
            "task: tsak.yaml",
            "experiment.yaml:3: task.0: task file tsak.yaml does not exist",
        ),
    ],
)
def test_bad_experiments_end_in_one_line_and_exit_code_2(icl, folder, old, new, expected):
    change(folder, old, new)
    for command in ("run", "plan"):
        said = icl(command, "experiment.yaml")
        assert said.code == 2
        assert said.err.startswith("icl: error: ")
        assert expected in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("task.yaml", "{{ text }}", "{{ txt }}", "txt"),
        ("task.yaml", "pool.jsonl", "poool.jsonl", "poool.jsonl"),
        ("task.yaml", "labels: [good, bad]", "labels: [good, worse]", "pool.jsonl:2"),
        ("pool.jsonl", '"label": "good"', '"lable": "good"', "pool.jsonl:1"),
    ],
)
def test_bad_tasks_and_data_too(icl, folder, name, old, new, expected):
    change(folder, old, new, name)
    said = icl("run", "experiment.yaml")
    assert said.code == 2
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_an_empty_data_file_and_a_missing_icl_data(icl, folder, monkeypatch):
    (folder / "queries.jsonl").write_text("")
    said = icl("run", "experiment.yaml")
    assert (said.code, "queries.jsonl" in said.err, said.err.count("\n")) == (2, True, 1)
    change(folder, "task: task.yaml", "task: sst2")
    monkeypatch.setenv("ICL_DATA", "/no/such/folder")
    said = icl("run", "experiment.yaml")
    assert (said.code, "/no/such/folder" in said.err, said.err.count("\n")) == (2, True, 1)


def test_a_class_in_the_current_folder_is_found_and_bm25_is_silent(icl, folder, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    (folder / "my_selectors.py").write_text(
        "from icl.selectors.bm25 import BM25\n\nclass Mine(BM25):\n    pass\n", encoding="utf-8"
    )
    change(folder, "{knn: {}}", '"my_selectors:Mine"')
    said = icl("run", "experiment.yaml", "--quiet", "--allow-code")
    assert (said.code, said.err) == (0, "")


def test_an_unreadable_model(icl, folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{not json")
    change(folder, "model: fake", "model: ./model")
    said = icl("run", "experiment.yaml")
    assert said.code == 2
    assert "model" in said.err
    assert "Traceback" not in said.err
    assert ".." not in said.err
    assert said.err.splitlines()[-1].startswith("icl: error: ")


def test_a_changed_experiment_is_refused_until_restarted(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    change(folder, "pool: 20", "pool: 19")
    said = icl("run", "experiment.yaml")
    assert said.code == 2
    assert "changed: pool: 20 -> 19" in said.err
    assert icl("run", "experiment.yaml", "-q", "--restart").code == 0
    assert len(list((folder / "runs").glob("small.*"))) == 1
    assert icl("run", "experiment.yaml", "-q", "-o", "other").code == 0


def test_plan_counts_and_runs_nothing(icl, folder):
    said = icl("plan", "experiment.yaml")
    assert said.code == 0
    figures = next(line for line in said.out.splitlines() if line.startswith("mine")).split()
    assert figures[1:3] == ["6", "36"]
    assert int(figures[4].replace(",", "")) > int(figures[5].replace(",", "")) > 0
    assert not (folder / "runs" / "small").exists()
    icl("run", "experiment.yaml", "-q")
    manifest = json.loads((folder / "runs" / "small" / "manifest.json").read_text())
    # The zero-shot prompts are the same under both seeds: each is asked once.
    assert int(figures[3]) == manifest["sessions"][0]["computed"]["requests"] <= 30


def test_wrong_arguments(icl, folder):
    assert icl("run").code == 2
    assert "Did you mean 'run'?" in icl("rnu").err
    said = icl("run", "experiment.yaml", "--max-memory", "lots")
    assert (said.code, said.err) == (
        2,
        "icl: error: --max-memory: 'lots' is not a size; write it like 8GiB or 500MB\n",
    )
    assert "no such experiment file" in icl("run", "nothing.yaml").err
    said = icl("run", "task.yaml")
    assert "task.yaml: is a task file, not an experiment: name it under task:" in said.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rnu", "x"], "No such command 'rnu'. Did you mean 'run'? See: icl --help"),
        (["plan", "--limt", "3"], "No such option: --limt. Did you mean '--limit'? See: icl plan --help"),
        (
            ["list", "metriks"],
            "'metriks' is not one of 'selectors', 'orderers', 'methods', 'tuners', 'metrics'",
        ),
        (["list", "metriks"], "Did you mean 'metrics'? See: icl list --help"),
        (["leaderboard", "runs/a", "-f", "mrkdown"], "Did you mean 'markdown'?"),
        (["check"], "Missing argument 'FILE'. See: icl check --help"),
        (["run", "a.yaml", "b.yaml"], "See: icl run --help"),
        (["run", "a.yaml", "--limit", "some"], "'--limit'"),
        (["show", "runs/a", "--query"], "'--query' requires an argument. See: icl"),
    ],
)
def test_a_command_written_wrongly_is_one_line(icl, arguments, expected):
    said = icl(*arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("icl: error: ")
    assert expected in said.err


def test_every_command_has_an_example():
    from icl.cli.app import app

    assert all("Example" in (c.epilog or "") and f"icl {c.name}" in c.epilog for c in app.registered_commands)


def test_a_run_folder_that_is_not_there(icl, folder):
    icl("run", "experiment.yaml", "-q", "--limit", 2)
    assert "Did you mean 'runs/small--limit=2'?" in icl("leaderboard", "runs/smal--limit=2").err
    assert "icl run makes them" in icl("show", "elsewhere/x", "--query", "1").err


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 << 30), ("500 MB", 500_000_000), ("1.5g", 1_500_000_000), ("1e9", 10**9), ("4096", 4096)],
)
def test_sizes_of_memory(text, size):
    assert memory_size(text) == size


@pytest.mark.parametrize("text", ["", "-1GiB", "8 gigs", "0", "nan"])
def test_wrong_sizes_of_memory(text):
    with pytest.raises(ConfigError, match="max-memory"):
        memory_size(text)


def test_help_shows_examples_and_needs_no_torch():
    """In a process of its own: what `icl --help` imports decides how long it takes."""
    script = (
        "import sys\nfrom icl.cli import main\ntry:\n    main(['run', '--help'])\n"
        "except SystemExit:\n    pass\nheavy = {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True
    )
    assert "icl run experiments/quickstart.yaml" in done.stdout
    assert "heavy: []" in done.stdout


def test_import_icl_is_light():
    script = "import sys, icl; icl.__version__; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_values_beside_the_file_make_a_run_of_their_own(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    said = icl("run", "experiment.yaml", "-q", "--limit", 3, "--seeds", 5, "--set", "grid.shots=1")
    assert (said.code, "1 seed x 3 queries" in said.out) == (0, True)
    name = "small--grid.shots=1--seeds=5--limit=3"
    assert f"Run folder: runs/{name}" in said.out
    manifest = json.loads((folder / "runs" / name / "manifest.json").read_text())
    assert manifest["overrides"] == {"grid.shots": 1, "test": 3, "seeds": [5]}
    assert json.loads((folder / "runs" / "small" / "manifest.json").read_text())["overrides"] == {}
    assert icl("leaderboard", f"runs/{name}").code == 0
    planned = icl("plan", "experiment.yaml", "--limit", 3)
    assert "small--limit=3: fake" in planned.out
