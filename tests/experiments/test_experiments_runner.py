"""Whole runs with the fake model: right, complete, and the same however they are cut up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.experiments.asking.conversations import Window
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.experiments.plan import plan
from icl.experiments.running.opencell import OpenCell
from icl.experiments.running.runner import Runner
from icl.protocols import methods
from icl.types import Outcome, Prompt, ScoreRequest

GRID = {
    "selector": ["random", "bm25", {"knn": {}}],
    "shots": [2, 3],
    "orderer": ["as_selected", {"similarity": {"most_similar": "first"}}],
    "method": ["direct", "channel", "pmi"],
}


def test_a_whole_run(write, tmp_path):
    run = icl.run(write(), output=tmp_path / "runs")
    results = run.results
    assert [(r.cell.selector, r.cell.seed) for r in results] == [
        (selector, seed) for seed in (0, 1) for selector in ("majority_class", "zero_shot", "random", "knn")
    ]
    test = check(*read_experiment(write())).splits["mine", 0].test
    for result in results:
        assert result.complete
        assert [p.query_id for p in result.predictions] == [e.id for e in test]
        assert [p.gold for p in result.predictions] == [e.target for e in test]
        assert all(p.correct == (p.answer == p.gold) for p in result.predictions)
        assert result.metrics["accuracy"] == pytest.approx(sum(p.correct for p in result.predictions) / 10)
    knn = results[3]
    assert all(len(p.demonstrations) == 2 and p.usage.requests == 1 for p in knn.predictions)
    assert all(score is not None for p in knn.predictions for _, score in p.demonstrations)
    assert {row.selector for row in run.leaderboard().rows} == {
        "majority_class",
        "zero_shot",
        "random",
        "knn",
    }


def test_the_majority_row_is_the_pools_majority(write, tmp_path):
    run = icl.run(write(), output=tmp_path)
    splits = check(*read_experiment(write())).splits
    for result in run.results:
        if result.cell.selector == "majority_class":
            targets = [e.target for e in splits["mine", result.cell.seed].pool]
            best = max(("good", "bad"), key=targets.count)
            assert {p.answer for p in result.predictions} == {best}
            assert result.notes["majority_label"] == best


def test_the_answer_is_the_models(write, tmp_path):
    model = FakeModel(score_with=lambda prompt, continuation: -1.0 if continuation == " bad" else -2.0)
    run = icl.run(write(), output=tmp_path, model=model)
    answers = {p.answer for r in run.results if r.cell.method == "direct" for p in r.predictions}
    assert answers == {"bad"}


def test_windows_and_cell_order_change_nothing(write, tmp_path, predictions):
    whole = icl.run(write(grid=GRID), output=tmp_path / "whole").path
    small = icl.run(write(grid=GRID), output=tmp_path / "small", window=Window(requests=3)).path
    turned = {axis: list(reversed(items)) for axis, items in GRID.items()}
    other = icl.run(write(grid=turned, seeds=[1, 0]), output=tmp_path / "other").path
    assert len(predictions(whole)) == 2 * (1 + 3 + 3 * 2 * 2 * 3)
    assert predictions(whole) == predictions(small) == predictions(other)


def test_alone_or_together_a_cell_is_the_same(write, tmp_path, predictions):
    together = predictions(icl.run(write(grid=GRID), output=tmp_path / "a").path)
    one = {"selector": [{"knn": {}}], "shots": [3], "method": ["pmi"]}
    alone = predictions(icl.run(write(grid=one, seeds=[1], leaderboard=None), output=tmp_path / "b").path)
    assert alone
    assert all(together[name] == lines for name, lines in alone.items())


def test_a_finished_run_asks_nothing(write, tmp_path, monkeypatch):
    path = write()
    first = icl.run(path, output=tmp_path)
    monkeypatch.setattr(
        "icl.experiments.running.turn.open_model", lambda *a, **k: pytest.fail("a model was loaded")
    )
    assert icl.run(path, output=tmp_path).results == first.results


class PowerCut(BaseException):
    """Like a signal: nothing in the package catches it."""


@pytest.mark.parametrize("limit", [1, 7, 20, 45])
def test_broken_off_in_the_engine_it_goes_on(write, tmp_path, predictions, limit):
    """What was answered is not asked again, costs included."""

    class Dying(FakeModel):
        def _note(self, request):
            if len(self.requests) == limit:
                raise PowerCut
            super()._note(request)

    path = write(grid=GRID)
    reference = FakeModel()
    whole = icl.run(path, output=tmp_path / "whole", model=reference)
    dying, model = Dying(), FakeModel()
    with pytest.raises(PowerCut):
        icl.run(path, output=tmp_path / "cut", model=dying)
    resumed = icl.run(path, output=tmp_path / "cut", model=model)
    assert predictions(resumed.path) == predictions(whole.path)
    assert len(dying.requests) + len(model.requests) == len(reference.requests)
    costs = [[r.selection_usage for r in run.results] for run in (whole, resumed)]
    assert costs[0] == costs[1]


def test_a_lost_cache_costs_time_and_nothing_else(write, tmp_path, predictions):
    path = write(grid=GRID)
    run = icl.run(path, output=tmp_path)
    before = predictions(run.path)
    for summary in list((run.path / "cells").glob("*knn*.json")):
        summary.unlink()
    (tmp_path / ".cache" / "responses.sqlite").write_bytes(b"rubbish" * 500)
    assert predictions(icl.run(path, output=tmp_path).path) == before


def test_another_model_behind_the_same_name_is_refused(write, tmp_path):
    path = write()
    run = icl.run(path, output=tmp_path)
    next((run.path / "cells").glob("*knn*s1*.json")).unlink()
    with pytest.raises(ConfigError, match="fingerprint: fake-1 -> other-1"):
        icl.run(path, output=tmp_path, model=FakeModel(name="other"))


def test_a_changed_data_file_is_refused(write, tmp_path):
    path = write()
    icl.run(path, output=tmp_path)
    rows = (tmp_path / "pool.jsonl").read_text().splitlines()
    (tmp_path / "pool.jsonl").write_text("\n".join([*rows, json.dumps({"text": "new", "label": "bad"})]))
    with pytest.raises(ConfigError, match="the data or definition of task 'mine'"):
        icl.run(path, output=tmp_path)


@pytest.fixture
def whole_cell_method():
    """A method whose answers depend on all outcomes of the cell, and which asks to be fitted."""

    class WholeCell:
        kinds = frozenset({"classification"})
        needs = frozenset({"renderer", "model"})

        def fit(self, pool, resources):
            self.prior = resources.model.score([ScoreRequest("prior", ("a",))])[0].logprobs[0]
            return self

        def solve(self, query, demonstrations, resources):
            prompt = resources.renderer.prompt(query, demonstrations)
            (scores,) = yield [ScoreRequest(prompt.text, (" good",))]
            return Outcome(None, prompt, details={"score": scores.logprobs[0], "prior": self.prior})

        def finish(self, outcomes):
            middle = sorted(o.details["score"] for o in outcomes)[len(outcomes) // 2]
            return [replace(o, answer="good" if o.details["score"] >= middle else "bad") for o in outcomes]

    methods.register("test_whole_cell")(WholeCell)
    yield
    del methods._entries["test_whole_cell"]


def test_a_method_may_look_at_the_whole_cell(write, tmp_path, whole_cell_method):
    run = icl.run(write(grid={"method": ["test_whole_cell"]}), output=tmp_path, window=Window(requests=2))
    for result in run.results:
        if result.cell.method == "test_whole_cell":
            assert [p.answer for p in result.predictions].count("good") == 5
            assert result.selection_usage.requests == 1
            assert result.usage.requests == 10


def test_near_ties_are_counted(write, tmp_path, caplog):
    model = FakeModel(score_with=lambda prompt, continuation: -1.0)
    run = icl.run(write(), output=tmp_path, model=model)
    flagged = [r.notes["flags"] for r in run.results if r.cell.method == "direct"]
    assert flagged == [{"near_tie": 10}] * 6
    assert "10 near ties" in caplog.text
    assert run.folder.manifest()["sessions"][0]["near_ties"] == 60


def test_context_overflow_names_cell_and_query(write, tmp_path):
    model = FakeModel(context_length=120)
    path = write(prompt={"overflow": "fail"}, grid={"shots": [5]})
    with pytest.raises(icl.errors.ContextOverflow, match=r"random 5-shot .* seed 0, query 'test-"):
        icl.run(path, output=tmp_path, model=model)


def test_dropped_demonstrations_are_recorded(write, tmp_path):
    run = icl.run(write(grid={"shots": [5]}), output=tmp_path, model=FakeModel(context_length=120))
    for result in run.results:
        if result.cell.shots:
            dropped = sum(len(p.dropped) for p in result.predictions)
            assert dropped > 0
            assert result.notes["dropped_demonstrations"] == dropped
            assert all(len(p.demonstrations) + len(p.dropped) == 5 for p in result.predictions)


def test_the_plan_is_what_the_run_then_asks(write, tmp_path):
    path = write(grid=GRID)
    planned = plan(check(*read_experiment(path)), icl.load_encoder("hashed"))
    run = icl.run(path, output=tmp_path)
    (session,) = run.folder.manifest()["sessions"]
    assert session["engine"] == "FakeModel"
    grid = [r for r in run.results if r.cell.selector != "majority_class"]
    assert planned.cells == len(grid)
    assert planned.predictions == sum(len(r.predictions) for r in grid)
    assert planned.total.requests == session["computed"]["requests"]
    # The fake model forwards the last token of a continuation too; the engine and the plan do not.
    assert 0.9 < planned.total.tokens_flat / session["computed"]["tokens_flat"] < 1
    assert planned.total.tokens_unique < planned.total.tokens_flat / 2


def test_the_prompt_is_shown_as_it_was_sent(write, tmp_path):
    model = FakeModel()
    run = icl.run(write(grid={"method": ["direct", "channel"]}), output=tmp_path, model=model)
    sent = {r.prompt for r in model.requests}
    for result in run.results:
        if result.cell.selector == "majority_class":
            continue
        found = run.show(result.predictions[3].query_id, result.cell.id)
        assert found.prompt.text in sent
        assert found.prediction == result.predictions[3]
        assert [e.id for e in found.examples] == [i for i, _ in found.prediction.demonstrations]
        assert isinstance(found.prompt, Prompt)


def test_an_experiment_may_be_a_mapping(write, tmp_path, monkeypatch):
    experiment, _ = read_experiment(write())
    monkeypatch.chdir(tmp_path)
    run = icl.run(experiment.resolved, output="out")
    assert run.path.resolve() == tmp_path / "out" / "small"
    assert icl.Run("out/small").results == run.results


def test_runs_in_one_table(write, tmp_path):
    first = icl.run(write(name="a", grid={"shots": [2]}), output=tmp_path)
    more = icl.run(write(name="b", grid={"shots": [3]}), output=tmp_path)
    both = icl.compare_runs([first, more])
    assert sorted((r.selector, r.shots) for r in both.rows if r.shots) == [
        ("knn", 2),
        ("knn", 3),
        ("random", 2),
        ("random", 3),
    ]
    other = icl.run(write(name="c", pool=15), output=tmp_path)
    with pytest.raises(icl.errors.DataError, match=r"runs 'a' and 'c' asked about mine .*pool: 20 -> 15"):
        icl.compare_runs([first, other])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test": 8}, "test: 10 -> 8"),
        ({"prompt": {"overflow": "fail"}}, "prompt.overflow"),
        ({"task_template": {"query": "Words: {{ text }}\nLabel:"}}, "another definition of mine"),
    ],
)
def test_rows_of_other_conditions_are_never_averaged(write, tmp_path, changes, said):
    # other seeds, so that no single cell is in both runs
    first = icl.run(write(name="a", seeds=[0], grid={"selector": ["random"]}), output=tmp_path)
    if "task_template" in changes:
        (tmp_path / "task.yaml").unlink()
    other = icl.run(write(name="b", seeds=[1], grid={"selector": ["random"]}, **changes), output=tmp_path)
    with pytest.raises(icl.errors.DataError, match=said):
        icl.compare_runs([first, other])


def test_seeds_of_two_runs_are_one_row_where_all_else_is_the_same(write, tmp_path):
    runs = [
        icl.run(write(name=f"s{seed}", seeds=[seed], grid={"selector": ["random"]}), output=tmp_path)
        for seed in (0, 1)
    ]
    assert {row.seeds for row in icl.compare_runs(runs).rows} == {2}


def test_each_task_is_judged_by_its_own_metric(write, tmp_path):
    first = write()
    own = first.parent / "task.yaml"
    counted = own.with_name("counted.yaml")
    changed = own.read_text(encoding="utf-8").replace("name: mine", "name: counted\nmetric: macro_f1")
    counted.write_text(changed, encoding="utf-8")
    experiment, _ = read_experiment(first)
    both = {**experiment.resolved, "task": [str(own), str(counted)]}
    board = icl.run(both, output=tmp_path / "out").leaderboard()
    assert board.metric == "score"
    assert any("score: mine accuracy, counted macro_f1" in note for note in board.notes)
    by_task = {row.task: row.value.value for row in board.rows if row.selector == "majority_class"}
    assert by_task["counted"] < by_task["mine"]


def test_runners_take_the_folder_by_name(write, tmp_path):
    runner = Runner(check(*read_experiment(write(name="other"))), tmp_path / "out")
    assert runner.run().path == tmp_path / "out" / "other"


def test_outcomes_and_predictions_are_kept_only_for_a_method_that_looks_back(write, tmp_path, monkeypatch):
    held: dict[str, int] = {}
    receive = OpenCell.receive

    def watched(self, index, outcome, usage):
        done = receive(self, index, outcome, usage)
        held[self.planned.method.name] = max(
            held.get(self.planned.method.name, 0), len(self.outcomes), len(self.predictions)
        )
        return done

    monkeypatch.setattr(OpenCell, "receive", watched)
    grid = {"selector": ["random"], "shots": [2], "orderer": ["as_selected"], "method": ["direct", "batch"]}
    run = icl.run(write(grid=grid, seeds=[0]), output=tmp_path, window=Window(requests=2))
    assert held == {"direct": 0, "batch": 9}  # of 10; the last one finishes the cell
    assert all(len(r.predictions) == 10 and r.complete for r in run.results)
