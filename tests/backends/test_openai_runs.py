"""Whole experiments on a server: run, gone on with, never asked twice, and no key in the folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import icl
from icl.cli import main
from icl.errors import ConfigError, ModelError
from tests.backends.server import NAME, Server
from tests.experiments.conftest import experiment, write_task

KEY = "sk-secret-0123456789"
NUMBERS = {
    "kind": "numeric",
    "labels": [],
    "metric": "exact_match",
    "template": {"query": "Q: {{ text }}\nA:", "rationale": " thus {{ answer }}"},
}


def write(folder: Path, server: Server, options: dict | None = None, **changes) -> Path:
    if not (folder / "task.yaml").exists():
        write_task(folder)
    model = {"openai": {"model": NAME, "base_url": server.url, "tokenizer": "fake", **(options or {})}}
    path = folder / "experiment.yaml"
    grid = {"selector": ["random"], **changes.pop("grid", {})}
    path.write_text(
        yaml.safe_dump(experiment(model=model, seeds=[0], grid=grid, **changes)), encoding="utf-8"
    )
    return path


def texts(server: Server) -> int:
    return sum(path.endswith("/completions") for path, _ in server.asked)


def answers(run: icl.Run) -> list[tuple[str, str | None, str]]:
    return sorted((r.cell.id, p.query_id, p.answer) for r in run.results for p in r.predictions)


def test_direct_and_generate_and_the_leaderboard(started, tmp_path):
    server = started()
    path = write(tmp_path, server, grid={"method": ["direct", "generate", "contextual"]})
    run = icl.run(path, output=tmp_path / "runs")
    board = run.leaderboard()
    shown = board.to_markdown()
    assert all(name in shown for name in ("direct", "generate", "contextual"))
    manifest = run.folder.manifest()
    engine = manifest["sessions"][0]["engine"]
    assert engine.startswith(f"openai ({server.url}: completions, scoring token_ids")
    assert manifest["models"][f"openai:{NAME}"]["fingerprint"].startswith("openai-")
    asked = texts(server)
    again = icl.run(path, output=tmp_path / "runs")
    assert texts(server) == asked
    assert answers(again) == answers(run)


def test_answers_do_not_depend_on_how_many_are_asked_at_once(started, tmp_path):
    server = started()
    found = []
    for number, concurrency in enumerate((1, 7)):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(folder, server, {"concurrency": concurrency}, grid={"method": ["direct", "generate"]})
        run = icl.run(path, output=folder / "runs")
        found.append([{**p.label_scores, "": p.output} for r in run.results for p in r.predictions])
    assert found[0] == found[1]


def test_a_run_that_a_budget_ended_goes_on_and_asks_nothing_twice(started, tmp_path):
    server = started()
    free = tmp_path / "free"
    free.mkdir()
    whole = icl.run(write(free, server), output=free / "runs")
    path = write(tmp_path, server, {"budget": {"tokens": 1500}, "concurrency": 2})
    begun, errors, run = len(server.asked), [], None
    while run is None and len(errors) < 30:
        try:
            run = icl.run(path, output=tmp_path / "runs")
        except ModelError as error:
            errors.append(str(error))
    asked = server.asked[begun:]
    assert len(errors) >= 2
    assert all("the budget of 1,500 tokens" in said for said in errors)
    assert answers(run) == answers(whole)
    scored = [json.dumps(body["prompt"]) for _, body in asked if body.get("logprob_token_ids")]
    assert len(scored) == len(set(scored))


def test_the_key_is_in_no_file_of_the_run(started, tmp_path, monkeypatch, caplog):
    caplog.set_level(0)
    monkeypatch.setenv("MY_KEY", KEY)
    server = started(key=KEY)
    icl.run(write(tmp_path, server, {"api_key_env": "MY_KEY"}), output=tmp_path / "runs")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 8
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"tokens": 2500}, "written; a session may end before: the same command then goes on."),
        ({"tokens": 10**6}, "written; a session holds it."),
        (
            {"money": 9, "prices": {"input": 1000, "output": 0}},
            "by the prices of the budget; a session holds it.",
        ),
    ],
)
def test_a_plan_says_what_a_budget_holds(started, tmp_path, capsys, budget, words):
    path = write(tmp_path, started(), {"budget": budget}, grid={"method": ["direct"]})
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(path), "--output", str(tmp_path / "runs")])
    assert ended.value.code in (0, None)
    said = " ".join(capsys.readouterr().out.split())
    found = re.search(r"Asked of the server at most: ([\d,]+) tokens read, 0 written", said)
    assert found is not None, said
    assert words in said
    if "money" in budget:
        read = int(found[1].replace(",", ""))
        assert f"{read / 1000:.3g} by the prices" in said


def test_predictions_that_rest_on_a_bound_are_flagged(started, tmp_path, caplog):
    run = icl.run(write(tmp_path, started(), {"scoring": "top_k"}), output=tmp_path / "runs")
    made = [p for r in run.results if r.cell.method == "direct" for p in r.predictions]
    flagged = [p for p in made if "bounded_scores" in p.flags]
    assert 0 < len(flagged) <= len(made)
    assert "for which the server did not say every label's value" in caplog.text
    exact = tmp_path / "exact"
    exact.mkdir()
    run = icl.run(write(exact, started()), output=exact / "runs")
    assert not [p for r in run.results for p in r.predictions if "bounded_scores" in p.flags]


def test_bounds_are_kept_in_the_response_cache(started, tmp_path):
    server = started()
    path = write(tmp_path, server, {"scoring": "top_k"})
    first = icl.run(path, output=tmp_path / "runs")
    again = write(tmp_path, server, {"scoring": "top_k"}, name="again")
    asked = texts(server)
    second = icl.run(again, output=tmp_path / "runs")
    assert texts(server) == asked
    flags = [[p.flags for r in run.results for p in r.predictions] for run in (first, second)]
    assert flags[0] == flags[1]
    assert any("bounded_scores" in f for f in flags[1])


def test_how_it_is_asked_may_change_and_what_is_asked_may_not(started, tmp_path):
    server, other = started(), started()
    icl.run(write(tmp_path, server, {"identity": "mine"}, test=5), output=tmp_path / "runs")
    moved = write(tmp_path, other, {"identity": "mine", "concurrency": 2, "retries": 1}, test=10)
    grown = icl.run(moved, output=tmp_path / "runs")
    assert {len(r.predictions) for r in grown.results} == {10}
    with pytest.raises(ConfigError, match="scoring"):
        icl.run(write(tmp_path, other, {"identity": "mine", "scoring": "top_k"}), output=tmp_path / "runs")
    plain = tmp_path / "plain"
    plain.mkdir()
    icl.run(write(plain, server, test=5), output=plain / "runs")
    with pytest.raises(ConfigError, match="openai-"):
        icl.run(write(plain, other, test=10), output=plain / "runs")


def test_two_servers_of_one_name_want_an_identity(started, tmp_path):
    servers = [started(), started(completions=False)]
    path = write(tmp_path, servers[0])
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    models = [{"openai": {"model": NAME, "base_url": s.url, "tokenizer": "fake"}} for s in servers]
    path.write_text(yaml.safe_dump({**plain, "model": models}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is given twice; where one name .* an identity"):
        icl.run(path, output=tmp_path / "runs")
    for model, name in zip(models, ("one", "two"), strict=True):
        model["openai"]["identity"] = name
    path.write_text(yaml.safe_dump({**plain, "model": models}), encoding="utf-8")
    run = icl.run(path, output=tmp_path / "runs")
    labels = [f"openai(identity={name}, model={NAME}, tokenizer=fake)" for name in ("one", "two")]
    assert list(run.folder.models()) == labels


@pytest.mark.parametrize("does", [{}, {"completions": False}], ids=["completions", "chat"])
@pytest.mark.parametrize("chat", [False, "turns"])
def test_chains_and_votes(started, tmp_path, does, chat):
    server = started(**does)
    write_task(tmp_path, **NUMBERS)
    for name in ("pool", "queries"):
        rows = [{"text": f"{name} {i} + 1", "answer": str(i + 1)} for i in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    grid = {"method": [{"self_consistency": {"n": 3, "of": {"zero_shot": {"max_tokens": 16}}}}], "shots": [0]}
    grid["selector"] = ["zero_shot"]
    path = write(tmp_path, server, grid=grid, prompt={"chat": chat}, leaderboard=None)
    run = icl.run(path, output=tmp_path / "runs")
    made = [p for r in run.results for p in r.predictions]
    assert len(made) == 10
    drawn = [body for _, body in server.asked if body.get("seed") is not None and "messages" in body]
    assert bool(drawn) == bool(does)
    before = texts(server)
    icl.run(path, output=tmp_path / "runs")
    assert texts(server) == before
