"""A run folder is read alone, wherever it is: without data, task file, cache or tokenizer."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import DataError
from icl.experiments.folder.texts import TaskTexts, read_task
from icl.protocols import methods
from icl.tasks import load_task
from icl.types import Outcome, ReadingRules, ScoreRequest


@pytest.fixture
def moved(write, tmp_path):
    """moved(key=value, ...): a run, its folder moved and everything else deleted; and what was asked."""

    def make(**changes):
        model = FakeModel()
        work = tmp_path / "work"
        run = icl.run(write(**changes), output=work / "runs", model=model)
        place = shutil.move(run.path, tmp_path / "moved")
        shutil.rmtree(work)
        for file in tmp_path.glob("*.*"):
            file.unlink()
        return icl.Run(place), {r.prompt for r in model.requests if isinstance(r, ScoreRequest)}

    return make


def test_leaderboard_and_every_prompt_are_those_of_the_run(moved):
    run, sent = moved(grid={"method": ["direct", "channel", "pmi"], "selector": ["random", "bm25"]})
    assert "macro" in run.leaderboard(metric="macro_f1").metric
    shown = 0
    for result in run.results:
        if result.cell.selector == "majority_class":
            continue
        for prediction in result.predictions:
            found = run.show(prediction.query_id, result.cell.id)
            assert found.prompt.text in sent
            assert [e.id for e in found.examples] == [i for i, _ in prediction.demonstrations]
            assert found.notes == ()
            shown += 1
    assert shown > 100


def test_only_what_was_shown_is_kept_and_each_text_once(moved):
    run, _ = moved(grid={"selector": ["random"], "shots": [1]}, seeds=[0], test=3)
    texts = (run.path / "tasks" / "mine.jsonl").read_text().splitlines()
    kept = run.folder.shown("mine")
    asked = {
        i for r in run.results for p in r.predictions for i in (p.query_id, *(d for d, _ in p.demonstrations))
    }
    assert set(kept) == asked
    assert len(texts) == len(kept)


def test_the_metric_and_labels_come_from_the_folder(moved):
    run, _ = moved()
    task = run.tasks()["mine"]
    assert (task.labels, task.kind, task.template.query) == (
        ("good", "bad"),
        "classification",
        "Text: {{ text }}\nLabel:",
    )


def test_a_tokenizer_that_is_gone_leaves_the_text(moved):
    run, sent = moved()
    query = run.results[-1].predictions[0].query_id
    path = run.path / "experiment.yaml"
    path.write_text(path.read_text().replace("model: fake", "model: /no/such/model"))
    again = icl.Run(run.path)
    found = again.show(query)
    assert found.prompt.text in sent
    assert found.prompt.tokens == 0
    assert "The tokenizer is not at hand" in found.notes[0]


@pytest.fixture
def pool_method():
    """A method whose prompt holds something of the whole pool."""

    class OfThePool:
        kinds = frozenset({"classification"})
        needs = frozenset({"renderer"})

        def fit(self, pool, resources):
            self.last = sorted(e.text for e in pool)[-1]
            return self

        def solve(self, query, demonstrations, resources):
            prompt = resources.renderer.prompt(query, demonstrations)
            yield [ScoreRequest(f"{self.last}\n{prompt.text}", (" good",))]
            return Outcome("good", prompt)

        def finish(self, outcomes):
            return outcomes

    methods.register("test_of_the_pool")(OfThePool)
    yield
    del methods._entries["test_of_the_pool"]


def test_a_method_that_looks_at_the_pool_is_shown_exactly_with_the_data_and_said_not_to_be_without(
    write, tmp_path, pool_method
):
    model = FakeModel()
    run = icl.run(write(grid={"method": ["test_of_the_pool"]}), output=tmp_path / "out", model=model)
    query = run.results[-1].predictions[0].query_id
    assert run.show(query).prompt.text in {r.prompt for r in model.requests}
    (tmp_path / "pool.jsonl").unlink()
    found = run.show(query)
    assert "In the task's own form" in found.notes[0]
    assert found.prompt.text.endswith("Label:")


def test_a_definition_with_all_its_parts_reads_back_as_it_was(tmp_path):
    rules = ReadingRules(pattern="A: (.+)", tolerance=0.5, think=(("<a>", "</a>"),))
    for task in (
        replace(load_task("questions").task, reading=rules, instruction="ünï {{ x }}"),
        load_task("arithmetic").task,
    ):
        TaskTexts(tmp_path / "tasks", task)
        assert read_task(tmp_path / "tasks", task.name) == task


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"name": "mine"}', '{"template": 3}'])
def test_a_damaged_definition_is_said_in_one_line(moved, text):
    run, _ = moved()
    (run.path / "tasks" / "mine.json").write_text(text)
    with pytest.raises(DataError) as error:
        icl.Run(run.path).leaderboard(metric="macro_f1")
    assert "mine.json: is damaged" in str(error.value)
    assert "\n" not in str(error.value)


def test_answers_of_an_interrupted_call_are_said_to_be_kept(write, tmp_path):
    class Interrupted(FakeModel):
        def score(self, requests, on_result=None):
            for result in super().score(requests[:3], on_result):
                assert result
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as end:
        icl.run(write(), output=tmp_path / "out", model=Interrupted())
    assert str(end.value) == (
        "No prediction is final yet; 3 answers are in the cache, and the same command goes on"
    )
    again = FakeModel()
    run = icl.run(write(), output=tmp_path / "out", model=again)
    assert all(result.complete for result in run.results)
    whole = FakeModel()
    icl.run(write(), output=tmp_path / "other", model=whole)
    assert len(again.requests) == len(whole.requests) - 3


def test_a_run_that_ended_before_its_model_loaded(write, tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("icl.experiments.running.turn.open_model", fails)
    with pytest.raises(KeyboardInterrupt, match="No prediction was kept yet; the same command begins again"):
        icl.run(write(), output=tmp_path / "out")
    run = icl.Run(tmp_path / "out" / "small")
    assert [s["ended_by"] for s in run.folder.manifest()["sessions"]] == ["Ctrl-C"]
    board = run.leaderboard()
    assert {row.selector: row.value is None for row in board.rows}["random"] is True
    assert "0 predictions so far" in board.to_markdown()
    with pytest.raises(DataError, match="majority"):
        run.show(run.results[0].predictions[0].query_id)
