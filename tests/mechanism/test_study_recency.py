"""A planted lean towards the last label is measured to its size, and calibration takes it away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError, ContextOverflow
from icl.mechanism.contract import studies
from icl.mechanism.recency import Recency
from icl.mechanism.shared.recency import WITHHELD, arranged, lean, lessened
from icl.types import Example
from tests.mechanism.reviews import LABELS, done, leaning, reviews, taste, work_on

BIAS = 1.5
SMALL = {"task": "reviews", "shots": 6, "sets": 4, "queries": 20, "pool": 40}


def test_orders_end_and_begin_with_each_label() -> None:
    shown = [Example(f"e{at}", {"text": str(at)}, LABELS[at % 3]) for at in range(6)]
    found = arranged(shown, LABELS)
    for place, label in enumerate(LABELS):
        last = [example.target for example in found.orders[found.last[place]]]
        first = [example.target for example in found.orders[found.first[place]]]
        assert (last[-2:], first[:2]) == ([label] * 2, [label] * 2)
        assert label not in (*last[:-2], *first[2:])
    assert len({tuple(e.id for e in order) for order in found.orders}) == len(found.orders) == 6


def test_of_two_labels_one_last_is_the_other_first() -> None:
    shown = [Example(f"e{at}", {"text": str(at)}, label) for at, label in enumerate("abab")]
    found = arranged(shown, ("a", "b"))
    assert len(found.orders) == 2
    assert found.last == found.first[::-1]


@pytest.mark.parametrize("labels", [LABELS, ("bad", "good")])
def test_a_planted_lean_is_found_to_its_size_and_contextual_calibration_takes_it_all(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    study = Recency(**SMALL)
    found = done(study, work_on(tmp_path, reviews(labels), FakeModel(leaning(BIAS))))
    scores = {
        name: [lean(one, name, "score") for one in found.values()]
        for name in found["set 1"]["methods"]
    }  # fmt: skip
    assert scores["direct"] == pytest.approx([BIAS] * 4, abs=1e-9)
    assert scores["pmi"] == pytest.approx([BIAS] * 4, abs=1e-9)  # its prior has seen no demonstrations
    assert scores["contextual"] == pytest.approx([0] * 4, abs=1e-9)
    assert scores[WITHHELD] == pytest.approx([0] * 4, abs=1e-9)
    for name in ("domain_context", "batch"):  # means of normalised probabilities: nearly additive
        assert np.abs(scores[name]).max() < 0.1 * BIAS


def test_the_shares_are_those_of_the_answers(tmp_path: Path) -> None:
    study, data = Recency(**SMALL), reviews()
    found = study.run(study.steps()[0], work_on(tmp_path, data, FakeModel(leaning(100.0))))
    direct = found["methods"]["direct"]
    for shown, row in zip(found["shown"], direct, strict=True):
        assert row["share"] == [float(label == shown[-1]) for label in LABELS]
        assert row["accuracy"] == pytest.approx(
            sum(e.target == shown[-1] for e in data.split(40, 20).test) / 20
        )
    queries = [example.inputs["text"] for example in data.split(40, 20).test]
    liked = [max(LABELS, key=lambda label: taste(query, label)) for query in queries]
    for row in found["methods"]["contextual"]:
        assert row["share"] != [0, 0, 0]
        assert sum(row["share"]) == pytest.approx(1)
    for row in found["methods"][WITHHELD]:
        assert row["share"] == [liked.count(label) / 20 for label in LABELS]


def test_the_report_says_what_was_planted(tmp_path: Path) -> None:
    study = Recency(**SMALL)
    found = done(study, work_on(tmp_path, reviews(), FakeModel(leaning(BIAS))))
    assert json.loads(json.dumps(found)) == found
    report = study.report(found)
    held = {claim.said.split()[0]: claim.holds for claim in report.claims}
    assert held == {"a": True, "contextual": True, "domain_context": True, "batch": True}
    assert "1.500 [1.500, 1.500] nats" in report.claims[0].measured
    assert "0.000 [0.000, 0.000]" in report.claims[1].control  # pmi takes nothing
    share, score = report.figures
    assert [series.control for series in share.series] == [False, True]
    assert score.series[1].x == ("pmi", WITHHELD)


def test_without_a_lean_none_is_claimed(tmp_path: Path) -> None:
    study = Recency(**SMALL)
    report = study.report(done(study, work_on(tmp_path, reviews(), FakeModel(leaning(0.0)))))
    assert [claim.holds for claim in report.claims] == [None] * 4


def test_a_lean_of_texts_and_not_of_labels_is_not_called_recency(tmp_path: Path) -> None:
    """The model leans to the label that the last demonstration's number stands for, whether it is shown or
    not."""

    def score(prompt: str, continuation: str) -> float:
        shown = prompt.split("Review: ")[1:]
        number = int(shown[-2].split("number ")[1].split("\n")[0]) if len(shown) > 1 else 0
        return float(continuation.strip() == LABELS[number % 3]) - 5

    study = Recency(**SMALL)
    report = study.report(done(study, work_on(tmp_path, reviews(), FakeModel(score))))
    assert report.claims[0].holds is None
    assert "labels withheld: share 1.000" in report.claims[0].control


def test_two_sets_are_needed_for_an_interval(tmp_path: Path) -> None:
    study = Recency(**SMALL)
    work = work_on(tmp_path, reviews(), FakeModel(leaning(BIAS)))
    report = study.report({"set 1": study.run(study.steps()[0], work)})
    assert report.claims == ()
    assert "need 2" in report.notes[0]


def test_what_overshoots_has_not_lessened() -> None:
    before, noise = np.full(6, 0.1), np.linspace(-0.01, 0.01, 6)
    assert lessened(before, noise) is True
    assert lessened(before, noise - 0.3) is False
    assert lessened(before, before + 10 * noise) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"calibrations": ["contextal"]}, "Did you mean 'contextual'"),
        ({"calibrations": ["direct"]}, "unknown calibration 'direct'"),
        ({"calibrations": []}, "allowed: a list of names"),
        ({"calibrations": ["batch", "batch"]}, "each name once"),
        ({"sets": 1}, "sets is 1; allowed: an integer >= 2"),
        ({"task": ""}, "allowed: the name or file"),
    ],
)
def test_wrong_parameters_are_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        studies.create("recency", given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_that_does_not_fit_is_said_before_a_model_loads() -> None:
    study = Recency(**{**SMALL, "shots": 2})
    with pytest.raises(
        ConfigError, match=r"shots is 2, and task 'reviews' has 3 labels.*allowed: shots >= 3"
    ):
        study.check(None, {"reviews": reviews()})
    with pytest.raises(ConfigError, match=r"is of kind numeric.*allowed kinds: classification, boolean"):
        Recency(**SMALL).check(None, {"reviews": reviews(kind="numeric")})
    with pytest.raises(ConfigError, match="pool is 4000"):
        Recency(**{**SMALL, "pool": 4000}).check(None, {"reviews": reviews()})


def test_a_prompt_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    study, model = Recency(**SMALL), FakeModel(leaning(BIAS), context_length=200)
    with pytest.raises(ContextOverflow, match="the context holds 200"):
        study.run(study.steps()[0], work_on(tmp_path, reviews(), model))
    assert model.requests == []


def test_a_set_depends_on_the_seed_alone(tmp_path: Path) -> None:
    study = Recency(**SMALL)
    work = work_on(tmp_path, reviews(), FakeModel(leaning(BIAS)))
    last, first = study.run(study.steps()[3], work), study.run(study.steps()[0], work)
    assert first["orders"] != last["orders"]
    again = done(study, work_on(tmp_path, reviews(), FakeModel(leaning(BIAS))))
    assert (again["set 1"], again["set 4"]) == (first, last)
