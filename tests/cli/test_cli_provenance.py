"""icl card, icl reproduce; icl plan, check and preview of several models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


@pytest.fixture
def run(icl, folder):
    assert icl("run", "experiment.yaml", "-q").code == 0
    return "runs/small"


def test_a_card_says_what_the_row_was_made_from(icl, run):
    said = icl("card", run, "--row", "knn 2-shot")
    assert said.code == 0
    for text in ("small: fake, mine, knn 2-shot", "95 % interval [", "seed 1", "pool", "fake-1", "python 3"):
        assert text in said.out
    assert "again" in said.out
    assert "icl reproduce runs/small" in said.out
    assert said.out.count("small: fake") == 1


def test_the_card_for_programs_has_the_numbers_of_the_leaderboard(icl, run):
    (card,) = json.loads(icl("card", run, "--row", "knn", "--json").out)
    rows = json.loads(icl("leaderboard", run, "-f", "json").out)["rows"]
    (row,) = [r for r in rows if r["selector"] == "knn"]
    for name in ("value", "low", "high", "metric", "queries", "predictions"):
        assert card["result"][name] == row[name]
    assert all(card["cost"][name] == row[name] for name in ("tokens_flat", "tokens_unique"))
    assert {s["seed"] for s in card["seeds"]} == {0, 1}
    for seed in card["seeds"]:
        summary = json.loads((Path(run) / "cells" / f"{seed['cell']}.json").read_text())
        assert seed["digest"] == summary["digest"]
        assert seed["value"] == summary["metrics"]["accuracy"]
    assert card["fingerprints"]["model"]["fingerprint"] == "fake-1"
    assert card["configuration"]["pool"] == 20
    assert card["environments"][0]["versions"]["icl"]
    assert len(json.loads(icl("card", run, "--json").out)) == 4


def test_a_row_that_is_not_there(icl, run):
    said = icl("card", run, "--row", "mmr")
    assert said.code == 2
    assert "--row 'mmr' fits no row; the rows are: fake mine " in said.err
    assert said.err.count("\n") == 1


def test_reproduce_ends_with_0_where_all_is_equal_and_with_1_where_not(icl, run):
    said = icl("reproduce", run, "-q")
    assert (said.code, said.err) == (0, "")
    assert "48 predictions of 8 cells made again in reproduced/small/small" in said.out
    assert "Versions, hardware and fingerprints are the same." in said.out
    assert "Equal: demonstrations, answers, and label probabilities within 0.001." in said.out
    path = next(Path("reproduced/small/small/cells").glob("*knn*s1*.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["answer"], lines[0]["correct"] = "\x1b[31mevil", not lines[0]["correct"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(text)
    summary = json.loads(path.with_suffix(".json").read_text()) | {"digest": None}
    path.with_suffix(".json").write_text(json.dumps(summary))
    said = icl("reproduce", run, "-q")
    assert said.code == 1
    assert "1 predictions differ (answer 1):" in said.out
    assert "\x1b" not in said.out
    assert "knn" in said.out.splitlines()[-1]
    told = json.loads(icl("reproduce", run, "-q", "--json").out)
    assert (told["equal"], told["counts"]["answer"], len(told["differences"])) == (False, 1, 1)


def test_reproduce_refuses_what_is_no_run(icl, folder):
    said = icl("reproduce", "runs/none")
    assert said.code == 2
    assert "no such run folder" in said.err


@pytest.fixture
def two(folder):
    path = folder / "experiment.yaml"
    path.write_text(path.read_text().replace("model: fake", "model: [fake, {fake: {name: other}}]"))
    return "experiment.yaml"


def test_a_plan_of_several_models_sums_up(icl, two):
    said = icl("plan", two)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    numbers = {
        line.split()[0]: [int(n.replace(",", "")) for n in re.findall(r"[\d,]+(?=\s)", line)]
        for line in lines
        if line.startswith(("fake ", "fake(name=other) ", "all "))
    }
    assert [a + b for a, b in zip(numbers["fake"], numbers["fake(name=other)"], strict=True)] == numbers[
        "all"
    ]
    assert "small: 2 models" in said.out
    assert "fake(name=other): Expected time: unknown for this model until it has run once." in said.out
    assert "All 2 models, one after another: " in lines[-1]


def test_check_and_preview_name_the_models(icl, two):
    said = icl("check", two)
    assert said.code == 0, said.err
    assert "fake(name=other) (backend fake)" in said.out
    assert "8 rows" not in said.out or "x 2 seeds" in said.out
    said = icl("preview", two)
    assert (said.code, said.err) == (0, "")
    heads = [line for line in said.out.splitlines() if " · seed 0 · query " in line]
    assert [head.split(" · ")[0] for head in heads] == ["fake", "fake(name=other)"]
    assert len({head.split(" · ", 1)[1] for head in heads}) == 1
    one = icl("preview", two, "--model", "fake").out
    assert [line.split(" · ")[0] for line in one.splitlines() if " · seed 0 · query " in line] == ["mine"]


def test_a_model_that_cannot_be_read_does_not_keep_the_others_from_being_previewed(icl, folder):
    (folder / "empty").mkdir()
    (folder / "empty" / "config.json").write_text("{}")
    said = icl("preview", "experiment.yaml", "--set", "model=[empty, fake]")
    assert said.code == 2
    assert said.out.startswith("fake · mine · ")
    (line,) = said.err.splitlines()
    assert line.startswith("icl: error: ")
    assert "empty" in line


def test_a_run_of_several_models_is_one_table(icl, two):
    said = icl("run", two, "-q")
    assert said.code == 0, said.err
    assert "fake(name=other)" in said.out
    rows = json.loads(icl("leaderboard", "runs/small", "-f", "json").out)["rows"]
    assert {(r["model"], r["selector"]) for r in rows} == {
        (model, selector)
        for model in ("fake", "fake(name=other)")
        for selector in ("majority_class", "zero_shot", "random", "knn")
    }
