"""What an experiment file may say, and how a wrong one is refused."""

from __future__ import annotations

import pytest
import yaml

from icl.errors import ConfigError
from icl.experiments.file.config import read_experiment

TEXT = """\
name: first
model: fake
task: sst2
pool: 32
grid:
  selector: [random, {mmr: {lambda: 0.5, beam: 2}}, {bm25: }]
  shots: 4
"""


def read(tmp_path, text):
    path = tmp_path / "e.yaml"
    path.write_text(text, encoding="utf-8")
    return read_experiment(path)[0]


def test_short_forms_and_defaults(tmp_path):
    experiment = read(tmp_path, TEXT)
    assert [s.label for s in experiment.grid.selector] == ["random", "mmr(beam=2, lambda=0.5)", "bm25"]
    assert experiment.grid.shots == (4,)
    assert [o.label for o in experiment.grid.orderer] == ["as_selected"]
    assert experiment.task == ("sst2",)
    assert (experiment.test, experiment.seeds, experiment.encoder) == (256, (0,), "minilm")


def test_all_means_every_row(tmp_path):
    experiment = read(tmp_path, TEXT + "test: all\n")
    assert experiment.test is None
    assert experiment.resolved["test"] == "all"


def test_the_resolved_form_reads_back_to_the_same(tmp_path):
    experiment = read(tmp_path, TEXT)
    assert read(tmp_path, yaml.safe_dump(experiment.resolved)) == experiment
    assert read_experiment(experiment.resolved)[0] == experiment


@pytest.mark.parametrize(
    ("written", "named", "plain"),
    [
        ("random", {"selector": "random"}, "random"),
        ("{orderer: as_selected}", {"orderer": "as_selected"}, {"orderer": "as_selected"}),
        ("'orderer=mdl,shots=4'", {"orderer": "mdl", "shots": 4}, {"orderer": "mdl", "shots": 4}),
        (
            "{selector: {mmr: {lambda: 0.5, beam: 2}}, method: few_shot(show=answer)}",
            {"selector": "mmr(beam=2, lambda=0.5)", "method": "few_shot(show=answer)"},
            {"selector": "mmr(beam=2, lambda=0.5)", "method": "few_shot(show=answer)"},
        ),
    ],
)
def test_baselines_of_any_component(tmp_path, written, named, plain):
    experiment = read(tmp_path, TEXT + f"leaderboard: {{compare_to: {written}}}\n")
    settings = experiment.leaderboard.compare_to
    assert settings is not None
    if isinstance(plain, dict):
        plain = {axis: plain[axis] for axis in ("selector", "shots", "orderer", "method") if axis in plain}
    assert settings.named == named
    assert experiment.resolved["leaderboard"]["compare_to"] == plain
    assert read_experiment(experiment.resolved)[0] == experiment


def test_order_of_parameters_makes_no_other_experiment(tmp_path):
    swapped = TEXT.replace("lambda: 0.5, beam: 2", "beam: 2, lambda: 0.5")
    assert read(tmp_path, TEXT).resolved == read(tmp_path, swapped).resolved


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("pool: 32", "pool: -3", ":4: pool is -3: must be greater than or equal to 1"),
        ("pool: 32", "pool: '32'", ":4: pool: must be an integer of at least 1, or all, not '32'"),
        ("pool: 32", "pool: true", ":4: pool is true: must be an integer"),
        ("pool: 32", "poool: 32", ":4: unknown key 'poool'. Did you mean 'pool'? Allowed: name, model"),
        ("pool: 32", "pool: 32\npool: 3", ":5: key 'pool' is given twice (first on line 4)"),
        ("  shots: 4", "  shotz: 4", ":7: unknown key 'grid.shotz'. Did you mean 'shots'?"),
        ("  shots: 4", "  shots: [4, -1]", ":7: grid.shots.1 is -1"),
        ("  shots: 4", "  shots: 4\nseeds: [0, 0]", ":8: seeds: 0 is given twice"),
        ("  shots: 4", "  shots: 4\nseeds: []", ":8: seeds is empty"),
        ("[random, {mmr: {lambda: 0.5, beam: 2}}, {bm25: }]", "[]", ":6: grid.selector is empty"),
        ("  shots: 4", "  shots: 4\ndtype: fp8", ":8: dtype is 'fp8': must be 'float32', 'bfloat16'"),
        ("  shots: 4", "  shots: 4\nduplicate_threshold: 2", ":8: duplicate_threshold is 2"),
        (
            "  shots: 4",
            "  shots: 4\nprompt: {chat: maybe}",
            ":8: prompt.chat is 'maybe': must be false, true, 'turns'",
        ),
        (
            "  shots: 4",
            "  shots: 4\nprompt: [chat]",
            ":8: prompt is ['chat']: must be a mapping {key: value}",
        ),
        ("[random,", "[random, random,", ":6: grid.selector: 'random' is given twice"),
        ("{lambda: 0.5, beam: 2}", "3", ":6: grid.selector.1: the parameters of 'mmr' must be a mapping"),
        ("model: fake", "model: [[fake]]", ":2: model: item 0: must be an alias, a path, a hub id"),
        ("model: fake\n", "", ":1: the key 'model' is missing"),
        ("name: first", "name: a/b", ":1: name is 'a/b'"),
        ("name: first", "name: [", "not valid YAML"),
    ],
)
def test_refused_with_file_line_key_and_value(tmp_path, old, new, expected):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, TEXT.replace(old, new, 1))
    assert expected in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "e.yaml"))
    assert "\n" not in str(error.value)


def test_a_mapping_is_refused_without_a_line():
    with pytest.raises(ConfigError, match=r"^experiment: unknown key 'modle'\. Did you mean 'model'\?"):
        read_experiment({"name": "a", "modle": "fake"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "the file is empty"), ("# nothing yet\n", "the file is empty"), ("- a\n", "not a list")],
)
def test_a_file_without_a_mapping(tmp_path, text, expected):
    with pytest.raises(ConfigError, match=expected):
        read(tmp_path, text)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="no such experiment file"):
        read_experiment(tmp_path / "nothing.yaml")
