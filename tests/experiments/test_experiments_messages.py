"""Wrong files by hand: what is said of them names what was meant, and blames the file that is wrong."""

from __future__ import annotations

import pytest
import yaml

import icl
from icl.errors import IclError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.tasks import load_task


def refused(path) -> str:
    with pytest.raises(IclError) as error:
        check(*read_experiment(path))
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 2500
    return message.replace(f"{path.parent}/", "")


def line_with(path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def change_task(folder, **changes) -> None:
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


@pytest.mark.parametrize(
    "changes", [{"shots": 0}, {"shots": [0]}, {"shots": [0], "selector": ["knn", "random"]}]
)
def test_no_demonstrations_are_the_fault_of_shots_and_not_of_the_baseline(write, changes):
    path = write(grid={"selector": ["random"], **changes})
    message = refused(path)
    assert message.startswith(
        f"experiment.yaml:{line_with(path, 'shots')}: grid.shots: asks for no demonstrations"
    )
    assert "unknown selector" not in message
    assert check(*read_experiment(write(grid=changes, leaderboard={"compare_to": "zero_shot"}))).cells


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("selector", "knn", "under 'grid'"),
        ("shots", [4], "under 'grid'"),
        ("method", "direct", "under 'grid'"),
        ("compare_to", "random", "under 'leaderboard'"),
        ("overflow", "drop", "under 'prompt'"),
    ],
)
def test_a_key_on_the_wrong_level_is_told_where_it_belongs(write, key, value, place):
    message = refused(write(**{key: value}))
    assert f"unknown key {key!r}. It belongs {place}. Allowed: name, model" in message
    assert "Did you mean" not in message


def test_a_metric_without_a_model_is_told_where_it_belongs(write):
    path = write(metric="accuracy")
    message = refused(path)
    assert message.startswith(f"experiment.yaml:{line_with(path, 'metric')}: metric: names a judge: ")
    assert message.endswith(
        "not 'accuracy'; a metric without a model stands under leaderboard: {metric: NAME}"
    )


def test_a_key_that_stands_too_deep_too(write):
    message = refused(write(grid={"seeds": [1]}))
    assert "unknown key 'grid.seeds'. It belongs at the top level. Allowed: selector, shots" in message


def test_a_task_file_and_an_experiment_file_know_one_another(write, tmp_path):
    path = write()
    assert refused(tmp_path / "task.yaml").startswith("task.yaml: is a task file, not an experiment")
    with pytest.raises(IclError, match="is an experiment file, not a task file; run it: icl run"):
        load_task(path)
    assert "experiment.yaml:1: is an experiment file, not a task" in refused(write(task="experiment.yaml"))
    assert "is a folder, not an experiment file; it holds experiment.yaml, task.yaml" in refused(
        tmp_path / "."
    )


@pytest.mark.parametrize(("axis", "name"), [("selector", "bm25"), ("method", "pmi"), ("orderer", "random")])
def test_a_baseline_that_exists_but_is_in_no_row_is_told_so(write, axis, name):
    message = refused(write(leaderboard={"compare_to": {axis: name}}))
    assert (
        f"leaderboard.compare_to.{axis}: {axis} {name!r} is in no row: add it to grid.{axis}, or name one"
        in message
    )
    assert "unknown" not in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": ["a", "b"]}, "name is ['a', 'b']: must be a text"),
        ({"task": [["a"]]}, "task.0 is ['a']: must be a text"),
        ({"encoder": {"a": 1}}, "encoder is {'a': 1}: must be a text"),
        ({"name": 7}, "name is 7: must be a text (write it in quotes)"),
        ({"encoder": True}, "encoder is true: must be a text (write it in quotes)"),
        ({"name": "my run"}, "hold only letters, digits and . _ = , -"),
        ({"dtype": "bfloat"}, "must be 'float32', 'bfloat16' or 'float16'. Did you mean 'bfloat16'?"),
        ({"pool": "some"}, "pool: must be an integer of at least 1, or all, not 'some'"),
        ({"grid": {"selector": {"random": {}, "bm25": {}}}}, "a list of components needs a dash or a comma"),
        (
            {"grid": {"selector": [{"bm25": [1]}]}},
            "the parameters of 'bm25' must be a mapping {key: value}, not [1]",
        ),
        (
            {"grid": {"method": ["similarity"]}},
            "'similarity' is no method: it belongs under grid.orderer",
        ),
        ({"seeds": list(range(60_000))}, "the grid has 180,000 cells"),
        ({"task": "taks.yaml"}, "task.0: task file taks.yaml does not exist"),
        ({"task": "n" * 5000 + ".yaml"}, "(5,005 characters) does not exist"),
        ({"grid": {"selector": ["n" * 5000]}}, "(5,002 characters). Allowed: annotated"),
        ({"model": "n/" * 2500}, "unknown model 'n/n/"),
    ],
)
def test_what_is_said(write, changes, expected):
    message = refused(write(**changes))
    assert expected in message
    assert message.startswith("experiment.yaml:")


@pytest.mark.parametrize(
    ("changes", "line_of", "expected"),
    [
        ({"metric": "acuracy"}, "metric", "metric: unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"metric": ["accuracy"]}, "metric", "metric is ['accuracy']: must be a text"),
        ({"query": "{{ text }}"}, "query: '{{", "unknown key 'query'. It belongs under 'template'."),
        ({"kind": "clasification"}, "kind", "Did you mean 'classification'?"),
        ({"template": "{{ text }}"}, "template", "template is '{{ text }}': must be a mapping {key: value}"),
        ({"template": {"query": "{{ text }}: "}}, "query", "template.query ends in a space"),
        (
            {"template": {"query": "{{ txt }}"}},
            "query",
            "unknown template variable 'txt'. Did you mean 'text'?",
        ),
        ({"template": {"query": "{{ text | uper }}"}}, "query", "No filter named 'uper'"),
        (
            {"template": {"query": "{{ text }}{{ 9 ** 99999 }}"}},
            "query",
            "template.query: the template is refused",
        ),
        (
            {"instruction": "{{ lables }}"},
            "instruction",
            "unknown template variable 'lables'. Did you mean 'labels'?",
        ),
        ({"labels": ["good", 2]}, "- 2", "labels.1 is 2: must be a text (write it in quotes)"),
        (
            {"source": {"generator": {"name": "arithmetic", "train": 10**9}}},
            "train",
            "less than or equal to 100000",
        ),
    ],
)
def test_what_is_wrong_with_a_task_is_said_of_its_file_and_line(write, tmp_path, changes, line_of, expected):
    path = write()
    change_task(tmp_path, **changes)
    message = refused(path)
    assert message.startswith(f"task.yaml:{line_with(tmp_path / 'task.yaml', line_of)}: ")
    assert expected in message


def test_a_template_that_fails_on_an_item_is_the_fault_of_the_task(write, tmp_path):
    path = write()
    change_task(tmp_path, template={"query": "{{ text.words.first }}"})
    message = refused(path)
    assert message.startswith("task.yaml: task 'mine', template.query, item 'test-")
    assert "grid.method" not in message


def test_methods_within_methods_are_bounded(write):
    spec = "few_shot"
    for _ in range(20):
        spec = {"self_consistency": {"of": spec}}
    assert "of: components stand more than 5 deep in one another" in refused(write(grid={"method": [spec]}))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"context_length": 9}, "context_length"),
        ({"model": {"fake": {"context_length": 9}}}, "model"),
    ],
)
def test_a_context_that_holds_no_query_of_the_fake_model(write, changes, key):
    path = write(**changes)
    said = refused(path)
    assert said.startswith(f"experiment.yaml:{line_with(path, f'{key}:')}: {key}: task 'mine'")
    assert said.endswith("the context holds 9")


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "experiment.yaml").touch()
    with pytest.raises(IclError, match=r"run: is a folder, not a file; it holds experiment\.yaml$"):
        load_task(tmp_path / "run")


def test_a_run_folder_that_lost_its_manifest(write, tmp_path):
    path = write(seeds=[0])
    icl.run(path, output=tmp_path / "out")
    (tmp_path / "out" / "small" / "manifest.json").unlink()
    with pytest.raises(IclError, match=r"small: manifest\.json is missing: .* begin anew with --restart"):
        icl.run(path, output=tmp_path / "out")
    assert icl.run(path, output=tmp_path / "out", restart=True).results
    assert len(list((tmp_path / "out").glob("small.*/cells/*.jsonl"))) == 4
