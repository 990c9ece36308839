"""icl leaderboard, show, list, models, tasks, version."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest
from rich.console import Console

from icl.cli.display import BarDisplay, LineDisplay, duration, now_and_then, rates, waiting
from icl.experiments.running.progress import Meter
from icl.types import Usage


@pytest.fixture
def run(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    return "runs/small"


def test_leaderboard_in_five_notations(icl, run):
    assert "vs random" in icl("leaderboard", run).out
    assert "| selector |" in icl("leaderboard", run, "--format", "markdown").out
    assert r"\toprule" in icl("leaderboard", run, "-f", "latex").out
    rows = list(csv.DictReader(io.StringIO(icl("leaderboard", run, "-f", "csv").out)))
    assert {r["selector"] for r in rows} == {"majority_class", "zero_shot", "random", "knn"}
    assert len(json.loads(icl("leaderboard", run, "-f", "json").out)["rows"]) == len(rows)
    assert {r["baseline"].split()[0] for r in rows if r["baseline"]} == {"random"}


def test_views_and_arrangements_of_the_leaderboard(icl, run):
    for view, head in (("variance", "% seed"), ("headroom", "worst seed"), ("power", "detectable")):
        assert head in icl("leaderboard", run, "--view", view, "-f", "markdown").out
    assert "strength" in icl("leaderboard", run, "--view", "overall").out
    assert icl("leaderboard", run, "--view", "overall", "-f", "csv").out.startswith("model,selector,shots")
    said = icl(
        "leaderboard", run, "--rows", "selector", "--cols", "task", "--where", "reference=0", "-f", "csv"
    )
    assert said.out.startswith("selector,")
    assert len(said.out.splitlines()) == 3
    sorted_ = icl("leaderboard", run, "--sort", "-value", "--group", "shots", "-f", "csv")
    assert sorted_.code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--view", "varience"], "Did you mean 'variance'?"),
        (["--where", "selector=kn"], "where: no row has selector=kn; selector: "),
        (["--where", "value>2"], "where: no row has value>2"),
        (["--sort", "training_seconds"], "sort: no row has a number for training_seconds"),
        (["--rows", "selector", "--sort", "value"], "--rows and --cols arrange the table"),
        (["--view", "overall", "--where", "shots=2"], "not with other options than --metric"),
        (["--view", "overall", "--metric", "macro_f1"], "the metric is no mean of scores"),
    ],
)
def test_what_a_leaderboard_cannot_show_is_one_line(icl, run, options, said):
    found = icl("leaderboard", run, *options)
    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert found.err.count("\n") == 1


def test_leaderboard_with_another_metric_and_baseline(icl, run):
    said = icl("leaderboard", run, "--metric", "macro_f1", "--compare-to", "zero_shot", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert {r["metric"] for r in rows} == {"macro_f1"}
    assert any(r["baseline"].startswith("zero_shot") for r in rows)
    said = icl("leaderboard", run, "--compare-to", "randon")
    assert (said.code, "Did you mean 'random'?" in said.err) == (2, True)


def test_leaderboard_with_a_baseline_of_two_components(icl, run):
    pairs = ["--compare-to", "knn", "--compare-to", "orderer=as_selected"]
    said = [
        icl("leaderboard", run, *pairs),
        icl("leaderboard", run, "--compare-to", "knn,orderer=as_selected"),
    ]
    assert said[0].out == said[1].out
    assert "vs knn, orderer as_selected" in said[0].out
    assert "Did you mean 'orderer'?" in icl("leaderboard", run, "--compare-to", "ordrer=as_selected").err


def test_curves_over_chains_and_their_plot(icl, folder):
    text = (folder / "task.yaml").read_text().replace("kind: classification", "kind: string")
    (folder / "task.yaml").write_text(
        text.replace("labels: [good, bad]\n", "").replace("source:\n", "source:\n  fields: {target: label}\n")
    )
    text = (folder / "experiment.yaml").read_text().replace("[random, {knn: {}}]", "zero_shot")
    method = "  method: {self_consistency: {of: {zero_shot: {max_tokens: 4}}, n: 3}}\n"
    text = text.replace("  shots: 2\n", f"  shots: 0\n{method}").replace("compare_to: random", "")
    (folder / "experiment.yaml").write_text(text)
    assert icl("run", "experiment.yaml", "-q").code == 0
    said = icl("leaderboard", "runs/small", "--chains", "--plot", "curves.svg")
    assert (said.code, said.err) == (0, "Plot: curves.svg\n")
    assert "pass@N" in said.out
    assert (folder / "curves.svg").read_text().startswith("<svg")
    assert "| N | maj@N |" in icl("leaderboard", "runs/small", "--chains", "-f", "markdown").out
    assert icl("leaderboard", "runs/small", "--chains", "-f", "csv").out.startswith(
        "model,task,setting,rule,n"
    )
    assert "no latex" in icl("leaderboard", "runs/small", "--chains", "-f", "latex").err
    said = icl("leaderboard", "runs/small", "--plot", "no/such/folder/curves.svg")
    assert (said.code, "cannot be written" in said.err) == (2, True)


def test_curves_of_a_run_without_chains(icl, run):
    said = icl("leaderboard", run, "--chains")
    assert (said.code, "no complete row holds several chains" in said.err) == (2, True)


def test_leaderboard_of_nothing(icl, folder):
    said = icl("leaderboard", "runs/none")
    assert (said.code, said.err) == (2, "icl: error: runs/none: no such run folder. icl run makes them\n")


def first_query(folder):
    file = next((folder / "runs" / "small" / "cells").glob("*knn*s0*.jsonl"))
    return file.read_text().split('"query_id":"', 1)[1].split('"', 1)[0]


def test_show_prints_the_prompt_as_it_is(icl, run, folder):
    """Square brackets in data are text, not markup."""
    said = icl("show", run, "--query", first_query(folder), "--cell", "knn-2-as-selected-direct-s0")
    assert said.code == 0
    assert said.out.count("[bold]") >= 3
    assert said.out.count("Text: pool thing [bold]") == 2
    assert "gold" in said.out


def test_show_of_what_is_not_there(icl, run, folder):
    query = first_query(folder)
    said = icl("show", run, "--query", query[:-1] + "99")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "unknown query" in said.err
    said = icl("show", run, "--query", query, "--cell", "random")
    assert "fits 2 cells; name one of: mine_random_2" in said.err
    said = icl("show", run, "--query", query, "--cell", "dpp")
    assert "fits no cell" in said.err


def test_show_after_the_data_have_changed(icl, run, folder):
    query = first_query(folder)
    with (folder / "pool.jsonl").open("a") as file:
        file.write('\n{"text": "new", "label": "good"}')
    said = icl("show", run, "--query", query)
    assert (said.code, said.err) == (0, "")
    assert said.out.count("Text: pool thing [bold]") == 2
    for kept in (folder / run / "tasks").iterdir():  # as a folder of an older version
        kept.unlink()
    said = icl("show", run, "--query", query)
    assert (said.code, "have changed since this run" in said.err) == (2, True)


def test_lists(icl, folder):
    everything = icl("list").out
    for name in ("knn", "similarity", "direct", "macro_f1", "most_similar: last", "Liu et al. 2022"):
        assert name in everything
    assert "similarity" not in icl("list", "metrics").out
    assert icl("list", "selectrs").code == 2
    models = icl("models").out
    assert "smollm2-135m-instruct" in models
    assert "minilm" in models
    assert "gsm8k" in icl("tasks").out
    assert icl("version").out.startswith("python 3.")


@pytest.mark.parametrize("command", ["list", "tasks", "models"])
def test_piped_lists_are_a_whole_line_an_entry(icl, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "40")
    lines = icl(command).out.splitlines()
    assert max(map(len, lines)) > 80
    assert all(line.count("\t") in (1, 2, 3, 5) and line == line.strip(" ") for line in lines)
    if command == "list":
        (line,) = [line for line in lines if line.startswith("self_consistency\t")]
        assert "; temperature: 0.7; " in line
        assert line.split("\t")[3].startswith("Wang et al. 2023")


def test_durations():
    assert [duration(s) for s in (0, 59.6, 61, 3723, None)] == ["0:00", "1:00", "1:01", "1:02:03", "?"]


def test_time_left_counts_the_call_under_way(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("icl.experiments.running.progress.time.monotonic", lambda: now[0])
    meter = Meter()
    meter.start(total=40, found=20)
    assert meter.seconds_left is None
    meter.asks(10)
    meter.expects(50)
    now[0] += 10
    for _ in range(25):
        meter.response(Usage(30, 10, 0, 0.1, 1), False)
    assert meter.reached == 25
    assert meter.seconds_left == pytest.approx(30)
    assert rates(meter) == "25/50 requests · 250 tokens, 25/s · sharing 3.0x · 0:30 left"
    for _ in range(10):
        meter.predicted(("near_tie",))
    assert (meter.reached, meter.near_ties) == (30, 10)


def test_time_left_leaves_out_the_choosing_and_says_nothing_too_early(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("icl.experiments.running.progress.time.monotonic", lambda: now[0])
    meter = Meter()
    meter.start(total=100, found=0)
    now[0] += 900  # choosing demonstrations
    meter.asks(100)
    meter.expects(100)
    now[0] += 10
    meter.response(Usage(30, 10, 0, 0.1, 1), False)
    assert meter.seconds_left is None  # one of a hundred
    meter.response(Usage(30, 10, 0, 0.1, 1), False)
    assert meter.seconds_left == pytest.approx(10 / 2 * 98)


def test_lines_come_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("icl.cli.display.time.monotonic", lambda: now[0])
    lines: list[str] = []
    meter = Meter(LineDisplay(lines.append))
    meter.start(total=100, found=0)
    for _ in range(100):
        now[0] += 1
        meter.predicted(())
    assert len(lines) == 1 + 7
    assert [line.split("/")[0] for line in lines[1:4]] == ["1", "16", "31"]
    meter.stop()
    assert lines[-1].startswith("100/100 predictions in ")


def test_a_log_hears_of_a_run_that_is_busy_with_one_step(monkeypatch):
    monkeypatch.setattr("icl.cli.display.LINE_SECONDS", 0.05)
    monkeypatch.setattr("icl.cli.display.LOOK_SECONDS", 0.01)
    lines: list[str] = []
    meter = Meter(LineDisplay(lines.append))
    meter.start(total=4, found=0)
    meter.note("loading a model")
    until = time.monotonic() + 10
    while len(lines) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert lines[:4] == ["4 predictions", "loading a model", *["loading a model: 0:00 so far"] * 2]
    meter.asks(4)
    while "0/4 predictions · ? left" not in lines and time.monotonic() < until:
        time.sleep(0.01)
    assert "0/4 predictions · ? left" in lines  # waits for its first answer
    meter.stop()
    assert lines[-1].startswith("0/4 predictions in ")


def test_a_long_call_is_seen_to_move_before_any_prediction_is_final(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("icl.cli.display.time.monotonic", lambda: now[0])
    lines: list[str] = []
    meter = Meter(LineDisplay(lines.append))
    meter.start(total=10, found=0)
    now[0] += 20  # the model is loaded
    meter.asks(10)
    meter.expects(60)
    now[0] += 2
    meter.forwards(512)
    assert lines[1].startswith("0/10 predictions · 0/60 requests · 512 tokens, 256/s · ")
    now[0] += 15
    meter.response(Usage(30, 10, 0, 0.1, 1), False)
    assert lines[2].startswith("0/10 predictions · 1/60 requests · 512 tokens, ")


def test_what_takes_long_says_what_it_does(monkeypatch):
    monkeypatch.setattr("icl.cli.display.WAIT_SECONDS", 0.05)
    out = io.StringIO()
    with waiting(Console(file=out, width=80), "one") as note:
        time.sleep(0.3)
        note("two")
        note("two")
    assert out.getvalue() == "one\ntwo\n"
    with waiting(Console(file=out, width=80), "three"):
        pass
    assert "three" not in out.getvalue()


def test_a_log_hears_of_few_of_many_steps(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("icl.cli.display.time.monotonic", lambda: now[0])
    told: list[str] = []
    for terminal in (False, True):
        step = now_and_then(told.append, Console(file=io.StringIO(), force_terminal=terminal))
        for number in range(25):
            now[0] += 1
            step(str(number))
        assert told == (["9", "19"] if not terminal else [str(n) for n in range(25)])
        told.clear()


def test_notes_on_a_terminal_are_not_markup():
    out = io.StringIO()
    meter = Meter(BarDisplay(Console(file=out, force_terminal=True, width=120)))
    meter.start(total=2, found=1)
    meter.note("[red]not red[/red]")
    meter.predicted(())
    meter.stop()
    assert "[red]not red[/red]" in out.getvalue()
    assert "1 of 2 predictions are there already" in out.getvalue()
