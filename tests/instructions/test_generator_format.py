"""Any task through several templates: shares, demonstrations, inversion, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl.errors import ConfigError
from icl.instructions.contract import row_generators
from icl.tasks import load_task


def test_shares_of_few_shot_options_and_inverted_rows_are_those_asked_for(make) -> None:
    made = make(
        "format",
        {"task": "arithmetic", "rows": 800, "few_shot": 0.25, "shots": [2], "templates": "answer_plain"},
    )
    assert len(made.rows) == 800
    few = [row for row in made.rows if row.made["shots"]]
    assert 150 < len(few) < 250  # 4 deviations around 200
    assert {row.made["shots"] for row in few} == {2}
    turned = make(
        "format", {"task": "reviews", "rows": 0, "inverted": 0.5, "few_shot": 0, "options": 1.0}
    ).rows
    share = sum(bool(row.made.get("inverted")) for row in turned) / len(turned)
    assert 0.35 < share < 0.65
    reviews = {f"reviews/{e.id}": e for e in load_task("reviews").train}
    for row in turned:
        example = reviews[row.ids[0]]
        if row.made.get("inverted"):
            assert row.output == example.text
            assert example.target in row.prompt
        else:
            assert row.output == example.target or row.made["template"] == "label_not_these"
            assert row.made.get("options") in (True, None)


def test_demonstrations_are_other_examples_by_the_same_template(make) -> None:
    parameters = {
        "task": "questions",
        "rows": 40,
        "few_shot": 1.0,
        "shots": [3],
        "templates": ["label_question"],
    }
    questions = {f"questions/{e.id}": e for e in load_task("questions").train}
    for row in make("format", parameters).rows:
        assert len(row.ids) == 4
        assert len(set(row.ids)) == 4
        *shown, last = row.instruction.split("\n\n\n")
        assert last.startswith(questions[row.ids[0]].text)
        for text, name in zip(shown, row.ids[1:], strict=True):
            assert text.startswith(questions[name].text)
            assert text.endswith(f"?\n\n{questions[name].target}")


def test_every_template_for_each_example(make) -> None:
    made = make("format", {"task": "reviews", "rows": 5, "each": "all", "few_shot": 0.0})
    by_example: dict[str, set[str]] = {}
    for row in made.rows:
        by_example.setdefault(row.ids[0], set()).add(row.made["template"])
    assert len(by_example) == 5
    (templates,) = {frozenset(found) for found in by_example.values()}
    assert {"label_question", "sentiment_said"} <= templates
    assert not any(row.made.get("inverted") for row in made.rows)
    assert len({row.id for row in made.rows}) == len(made.rows)


def test_rows_do_not_depend_on_how_many_there_are(make) -> None:
    few = make("format", {"task": "reviews", "rows": 10}).rows
    more = make("format", {"task": "reviews", "rows": 30}).rows
    assert more[:10] == few
    assert make("format", {"task": "reviews", "rows": 10}, seed=1).rows != few


def test_templates_of_ones_own_beside_names(make, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        'templates: [{name: mine, template: "{{ text }}? ||| {{ answer }}!"}]\n', encoding="utf-8"
    )
    made = make(
        "format", {"task": "reviews", "rows": 30, "templates": ["own.yaml", "label_sort"], "few_shot": 0}
    )
    assert {row.made["template"] for row in made.rows} == {"mine", "label_sort"}
    only = make("format", {"task": "reviews", "rows": 3, "templates": "own.yaml", "few_shot": 0})
    assert {row.output for row in only.rows} <= {"positive!", "negative!"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"task": "reviews", "templates": ["label_srot"]}, "'label_sort'"),
        ({"task": "reviews", "templates": ["nowhere.yaml"]}, "no such file"),
        ({"task": "arithmetic", "inverted": 0.5}, "no templates that ask for the input"),
        ({"task": "riviews"}, "'reviews'"),
        ({"task": "reviews", "split": "validation"}, "no validation rows"),
    ],
)
def test_what_cannot_be_made_is_said(make, parameters: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make("format", parameters)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"task": "reviews", "split": "test"}, "split is 'test'; allowed: train, validation"),
        ({"task": "reviews", "few_shot": 1.5}, "few_shot is 1.5"),
        ({"task": "reviews", "shots": []}, r"shots is \[\]"),
        ({"task": "reviews", "each": "some"}, "allowed: one, all"),
        ({"taks": "reviews"}, "'taks'. Did you mean 'task'"),
    ],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        row_generators.create("format", parameters)
