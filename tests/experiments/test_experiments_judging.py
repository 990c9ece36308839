"""metric: {judge: ...}: verdicts beside the cells, cached and resumed, with their cost apart; another judge
asks for no answer again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.executors.team import Team
from icl.experiments.asking.judging import grade
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.file.config import read_experiment
from icl.experiments.folder.store import RunFolder
from icl.experiments.grid.check import check
from icl.experiments.plan import plan
from icl.experiments.running import judging
from icl.experiments.running.progress import Meter
from icl.judges.simpleqa import SimpleQA
from icl.judging import Item

SAID = {
    "Capital of Norway?": " Oslo it is",
    "Capital of Peru?": " Quito",
    "Capital of Mali?": " I cannot say",
    "Capital of Chad?": " N'Djamena",
}
GOLD = {"Norway": "Oslo", "Peru": "Lima", "Mali": "Bamako", "Chad": "N'Djamena"}
SIMPLEQA = {"judge": {"simpleqa": {"model": "fake"}}}


def answers(prompt: str, sample: int) -> str:
    return SAID[prompt.rsplit("Q: ", 1)[1].partition("\n")[0]] + "\n"


def knows(prompt: str, letter: str) -> float:
    """Correct where the reference stands in the answer, not attempted where it cannot say."""
    reference = prompt.rsplit("Reference: ", 1)[1].partition("\n")[0]
    given = prompt.rsplit("Given answer: ", 1)[1].partition("\n")[0]
    right = "A" if reference in given else "C" if "cannot" in given else "B"
    return -0.25 if letter.strip() == right else -2.5


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., icl.api.Run]:
    """run(metric=..., judge=..., model=...): the experiment, by a model that answers and one that judges."""
    rows = [{"question": f"Capital of {land}?", "answer": city} for land, city in GOLD.items()]
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "test.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "train.jsonl").write_text(lines.replace("Capital", "Largest city"), encoding="utf-8")
    task = {
        "name": "capitals",
        "kind": "string",
        "inputs": ["question"],
        "template": {"query": "Q: {{ question }}\nA:"},
        "metric": "exact_match",
        "source": {"files": {"train": "train.jsonl", "test": "test.jsonl"}, "fields": {"target": "answer"}},
    }
    (tmp_path / "capitals.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(
        metric: Any = SIMPLEQA,
        judge: FakeModel | None = None,
        model: FakeModel | None = None,
        **changes: Any,
    ) -> icl.api.Run:
        def opened(*_: Any, **__: Any) -> FakeModel:
            assert judge is not None, "the judge's model is not opened where all is judged"
            return judge

        monkeypatch.setattr(judging, "open_judge", opened)
        grid = {"selector": ["zero_shot"], "shots": [1], "method": ["generate"]}
        plain = {"name": "j", "model": "fake", "task": "capitals.yaml", "pool": 4, "test": 4, "grid": grid}
        given = None if "executor" in changes else model or FakeModel(reply_with=answers)
        return icl.run({**plain, "metric": metric, **changes}, model=given)

    return run


def never(*_: Any) -> Any:
    raise AssertionError("asked again")


def test_labels_figures_and_agreement_by_hand(world: Any) -> None:
    run = world(judge=FakeModel(knows))
    (result,) = run.results
    said = [p.details["judge"] for p in result.predictions]
    assert {p.query_id: v["label"] for p, v in zip(result.predictions, said, strict=True)} == {
        "test-0": "correct",
        "test-1": "incorrect",
        "test-2": "not_attempted",
        "test-3": "correct",
    }
    frame = run.predictions().set_index("query_id")
    assert list(frame["judge_label"]) == [v["label"] for v in said]
    assert frame["judge_score"].to_dict() == {"test-0": 1.0, "test-1": 0.0, "test-2": 0.0, "test-3": 1.0}
    board = run.leaderboard()
    (row,) = board.rows
    assert board.metric == "judge"
    assert row.value.value == 0.5
    assert row.verdicts.counts == {"correct": 2, "incorrect": 1, "not_attempted": 1}
    assert row.verdicts.attempts.given_attempted.value == pytest.approx(2 / 3)
    assert row.verdicts.attempts.f_score.value == pytest.approx(2 * 2 / (4 + 3))
    # exact match: of the two that are right by the judge, "Oslo it is" is not Oslo
    assert sum(p.correct for p in result.predictions) == 1
    assert row.verdicts.agreement.value == 0.75
    assert row.verdicts.kappa.value == pytest.approx(0.5)
    assert run.leaderboard("exact_match").rows[0].value.value == 0.25
    text = board.to_markdown()
    assert "CO/IN/NA" in text
    assert "| 2/1/1 | 66.7 | 57.1 | 75.0 | 0.50 |" in text
    assert "Judge: simpleqa(model=fake); CO/IN/NA: correct, incorrect, not attempted" in text


def test_the_cost_is_apart_and_cells_are_as_without_a_judge(world: Any, tmp_path: Path) -> None:
    plain = world(metric=None, name="plain")
    judged = world(judge=FakeModel(knows))
    before, after = plain.leaderboard().rows[0], judged.leaderboard().rows[0]
    assert after.usage == before.usage
    assert after.verdicts.usage.requests == 4
    assert after.verdicts.usage.tokens_flat > 4 * 1_000
    lines = [(tmp_path / "runs" / name / "cells").glob("*.jsonl") for name in ("plain", "j")]
    assert [f.read_bytes() for f in lines[0]] == [f.read_bytes() for f in lines[1]]
    assert before.verdicts is None


def test_a_second_run_opens_no_judge_and_another_judge_asks_no_answer(world: Any) -> None:
    first = world(judge=FakeModel(knows)).leaderboard().rows[0]
    again = world(judge=None, model=FakeModel(reply_with=never)).leaderboard().rows[0]
    assert again.verdicts == first.verdicts
    lenient = FakeModel(lambda prompt, letter: -0.1 if letter == " A" else -3.0)
    other = {"judge": {"simpleqa": {"model": "fake", "max_tokens": 3}}}
    run = world(metric=other, judge=lenient, model=FakeModel(reply_with=never))
    row = run.leaderboard().rows[0]
    assert row.verdicts.judge == "simpleqa(max_tokens=3, model=fake)"
    assert row.verdicts.counts == {"correct": 4}
    assert len(lenient.requests) == 4
    back = world(judge=None, model=FakeModel(reply_with=never)).leaderboard().rows[0]
    assert back.verdicts == first.verdicts, "verdicts of the first judge were kept"


def test_without_a_judge_none_is_shown(world: Any) -> None:
    world(judge=FakeModel(knows))
    run = world(metric=None, model=FakeModel(reply_with=never))
    assert run.leaderboard().metric == "exact_match"
    assert "judge" not in run.results[0].predictions[0].details
    with pytest.raises(ConfigError, match=r"metric 'judge': 1 of 1 cells are not judged"):
        run.leaderboard("judge")


def test_a_judge_that_is_killed_goes_on(world: Any) -> None:
    class Killed(FakeModel):
        def score(self, requests: Any, on_result: Any = None) -> Any:
            def told(index: int, scores: Any) -> None:
                on_result(index, scores)
                if index == 1:
                    raise KeyboardInterrupt

            return super().score(requests, told)

    killed = Killed(knows)
    with pytest.raises(KeyboardInterrupt):
        world(judge=killed)
    second = FakeModel(knows)
    assert second.fingerprint == killed.fingerprint
    run = world(judge=second, model=FakeModel(reply_with=never))
    assert len(second.requests) == 2
    assert run.leaderboard().rows[0].verdicts.counts == {"correct": 2, "incorrect": 1, "not_attempted": 1}


def test_lines_that_changed_are_judged_again(world: Any) -> None:
    run = world(judge=FakeModel(knows))
    folder = RunFolder(run.folder.path)
    (path,) = (run.folder.path / "cells").glob("*.jsonl")
    (verdicts,) = (run.folder.path / "verdicts").glob("*/*.jsonl")
    assert folder.judge is not None
    assert folder.verdicts.read(folder.cells()[0], folder.judge) is not None
    path.write_bytes(path.read_bytes().replace(b"Quito", b"Lima!"))
    assert folder.verdicts.read(folder.cells()[0], folder.judge) is None
    path.write_bytes(path.read_bytes().replace(b"Lima!", b"Quito"))
    verdicts.write_text("{torn", encoding="utf-8")
    second = FakeModel(knows)
    again = world(judge=second, model=FakeModel(reply_with=never))
    assert second.requests == [], "out of the response cache"
    assert again.leaderboard().rows[0].verdicts.counts["correct"] == 2


def test_another_model_under_the_judges_name_judges_all_again(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world(judge=FakeModel(knows))
    no = FakeModel(lambda prompt, letter: -0.1 if letter == " B" else -3.0)
    run = world(judge=no, model=FakeModel(reply_with=answers), test=4, seeds=[0, 1])
    assert "its model is another than it was: all is judged again" in caplog.text
    assert run.leaderboard().rows[0].verdicts.counts == {"incorrect": 8}


def test_what_could_not_be_graded_counts_neither_way(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    def writes(prompt: str, sample: int) -> str:
        given = prompt.rsplit("Given answer: ", 1)[1].partition("\n")[0]
        return "According to the reference it is" if "Oslo" in given else " A"

    text = {"judge": {"simpleqa": {"model": "fake", "read": "text"}}}
    run = world(metric=text, judge=FakeModel(reply_with=writes))
    row = run.leaderboard().rows[0]
    assert "1 answers could not be graded" in caplog.text
    assert (row.verdicts.ungraded, row.verdicts.counts) == (1, {"correct": 3})
    assert row.value.value == 1.0, "three of three that were graded"
    assert row.verdicts.attempts.graded == 3
    assert "could not be graded: 1" in run.leaderboard().to_markdown()
    published = {"judge": {"simpleqa": {"model": "fake", "read": "text", "as_published": True}}}
    row = world(metric=published, judge=FakeModel(reply_with=writes)).leaderboard().rows[0]
    assert row.verdicts.counts == {"correct": 4}


def test_a_labelled_task_is_judged_in_words(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judge = FakeModel(lambda prompt, letter: -0.1 if letter == " A" else -3.0)
    monkeypatch.setattr(judging, "open_judge", lambda *_, **__: judge)
    path = write(metric=SIMPLEQA, seeds=[0], grid={"selector": ["zero_shot"]}, leaderboard=None)
    run = icl.run(path, output=tmp_path / "runs")
    rows = run.leaderboard().rows
    assert {row.selector for row in rows} == {"zero_shot", "majority_class"}
    assert all(row.value.value == 1 and row.verdicts.counts == {"correct": 10} for row in rows)
    prompt = str(judge.requests[0].prompt)
    assert prompt.rsplit("\n\n", 1)[1].startswith("Question: queries ")
    assert "\nReference: good\nGiven answer: " in prompt or "\nReference: bad\nGiven answer: " in prompt


def test_a_plan_counts_judging(write: Callable[..., Path]) -> None:
    path = write(metric=SIMPLEQA, seeds=[0], grid={"selector": ["zero_shot", "random"]}, leaderboard=None)
    found = plan(check(*read_experiment(path)), None)
    without = plan(
        check(*read_experiment(write(seeds=[0], grid={"selector": ["zero_shot", "random"]}))), None
    )
    assert found.total == without.total
    assert without.judging.requests == 0
    assert 0 < found.judging.requests <= found.predictions == 20
    assert found.judging.tokens_unique * 4 < found.judging.tokens_flat


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("simpleqa", r"metric: names a judge: .*a metric without a model stands under leaderboard"),
        ({"judge": "simpleqa"}, r"metric: must be \{judge: \{name: \{model: NAME"),
        ({"judge": {"simpleqa": {}}}, r"metric.judge.simpleqa: judge 'simpleqa' needs the parameter 'model'"),
        ({"judge": {"simpelqa": {"model": "fake"}}}, r"unknown judge 'simpelqa'. Did you mean 'simpleqa'"),
        (
            {"judge": {"simpleqa": {"model": "fake", "raed": "text"}}},
            r"judge 'simpleqa' has no parameter 'raed'. Did you mean 'read'",
        ),
        ({"judge": {"simpleqa": {"model": "no-such"}}}, r"judge 'simpleqa': model: .*no-such"),
        (
            {"judge": {"simpleqa": {"model": "smollm2-135m-instruct", "dtype": "int3"}}},
            r"judge 'simpleqa': .*int3",
        ),
        ({"judge": {"rubric": {"model": "fake"}}}, r"gives no single number, .*overall: mean, or min"),
        ({"judge": {"pairwise": {"model": "fake"}}}, r"grades pairs, and an answer of a run has no other"),
        ({"judge": {"rules": {"model": "fake", "file": "nowhere.yaml"}}}, r"nowhere.yaml: no such file"),
    ],
)
def test_judges_that_are_refused_before_anything_is_asked(
    metric: Any, said: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check(*read_experiment(write(metric=metric)))
    assert "\n" not in str(caught.value)
    assert "experiment.yaml:" in str(caught.value)


def test_a_file_of_rules_stands_beside_the_experiment(write: Callable[..., Path], tmp_path: Path) -> None:
    rules = "name: mine\nrules: [{name: short, rule: At most one word.}]\n"
    path = write(metric={"judge": {"rules": {"model": "fake", "file": "mine.yaml"}}}, leaderboard=None)
    (tmp_path / "mine.yaml").write_text(rules, encoding="utf-8")
    row = icl.run(path, output=tmp_path / "out").leaderboard().rows[0]
    assert row.verdicts is not None
    assert set(row.verdicts.counts) <= {"kept", "broken"}
    assert row.verdicts.attempts is None


def test_a_judge_of_which_nothing_can_be_read_has_no_figures(world: Any) -> None:
    text = {"judge": {"simpleqa": {"model": "fake", "read": "text"}}}
    grid = {"selector": ["zero_shot", "random"], "shots": [1], "method": ["generate"]}
    judge = FakeModel(reply_with=lambda prompt, sample: "Perhaps")
    run = world(metric=text, judge=judge, grid=grid, leaderboard={"compare_to": "random"})
    board = run.leaderboard()
    assert all(row.value is None for row in board.rows)
    assert board.to_markdown().count("the judge could grade none of its answers") == 2
    assert json.loads(board.to_json())["rows"][0]["value"] is None


def test_the_workers_of_an_executor_are_gone_before_the_judge_is_opened(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams: list[Team] = []
    at_work: list[bool] = []
    real = Team.hold
    monkeypatch.setattr(Team, "hold", lambda team, *given: teams.append(team) or real(team, *given))

    def knowing(prompt: str, letter: str) -> float:
        at_work.extend(team._crew is not None for team in teams)
        return -0.25 if letter.strip() == "A" else -2.5

    run = world(judge=FakeModel(knowing), executor={"processes": {"workers": 1}})
    assert [p.details["judge"]["label"] for p in run.results[0].predictions] == ["correct"] * 4
    assert at_work
    assert not any(at_work)
    assert run.folder.manifest()["workers"]["tasks"] == 1


def test_verdicts_are_no_predictions_and_wait_no_more() -> None:
    meter = Meter()
    meter.start(2, 0)
    items = [Item(str(n), f"Capital {n}?", "Oslo", ("Oslo",)) for n in range(2)]
    model = FakeModel(score_with=knows)
    grade(SimpleQA(), items, model, ResponseStore(), judging.Unanswered(meter))
    assert (meter.done, meter.asking, meter.answered, meter.computed.requests) == (0, 0, 2, 2)
