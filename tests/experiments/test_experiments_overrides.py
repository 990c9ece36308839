"""Values in place of the file's: how they are read, where they stand, what the run is called."""

from __future__ import annotations

import re

import pytest

from icl.errors import ConfigError, Problems
from icl.experiments.file.config import read_experiment
from icl.experiments.file.overrides import Override, parse_set, run_name

PLAIN = {
    "name": "base",
    "model": "fake",
    "task": "questions",
    "pool": 50,
    "test": 10,
    "grid": {"selector": ["random", {"mmr": {"lambda": 0.5}}], "shots": [2]},
}
FILE = "name: base\nmodel: fake\ntask: questions\ngrid:\n  selector: [random, knn]\n  shots: [2]\n"


def read(*settings):
    return read_experiment(PLAIN, [parse_set(text) for text in settings])


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("pool=all", ("pool",), "all"),
        ("grid.shots=[1, 2]", ("grid", "shots"), [1, 2]),
        ("grid.selector.1={mmr: {lambda: 0.1}}", ("grid", "selector", 1), {"mmr": {"lambda": 0.1}}),
        ("prompt.chat=yes", ("prompt", "chat"), "yes"),
        ("leaderboard.compare_to=orderer=random", ("leaderboard", "compare_to"), "orderer=random"),
        ("dtype=", ("dtype",), None),
    ],
)
def test_a_setting_is_a_dotted_key_and_a_yaml_value(text, key, value):
    assert (parse_set(text).key, parse_set(text).value) == (key, value)


@pytest.mark.parametrize("text", ["pool", "=3", "grid..shots=3", "pool=[1", "pool={a: 1, a: 2}"])
def test_what_is_no_setting_is_refused_by_the_options_name(text):
    with pytest.raises(ConfigError, match=r"^--set"):
        parse_set(text)


def test_values_take_the_place_of_the_files_also_inside_lists_and_where_there_was_none():
    experiment, source = read("grid.selector.1.mmr.lambda=0.25", "prompt.chat=turns", "pool=40")
    assert experiment.grid.selector[1].parameters == {"lambda": 0.25}
    assert (experiment.prompt.chat, experiment.pool) == ("turns", 40)
    assert [item.dotted for item in source.overrides] == ["grid.selector.1.mmr.lambda", "prompt.chat", "pool"]
    assert PLAIN["pool"] == 50, "the mapping that was given is not touched"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("pool.size=3", "--set pool.size: pool is 50 and holds no keys; set pool itself"),
        ("grid.selector.9=knn", "--set grid.selector.9: grid.selector is a list of 2; give a number below 2"),
        ("grid.selector.knn=3", "--set grid.selector.knn: grid.selector is a list of 2"),
        ("tset=3", "--set tset: unknown key 'tset'. Did you mean 'test'?"),
        ("grid.shots=[4, -1]", "--set grid.shots: grid.shots.1 is -1"),
        ("name=a b", "--set name: name is 'a b'"),
    ],
)
def test_messages_name_the_option(setting, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        read(setting)
    assert "\n" not in str(error.value)


def test_lines_of_the_file_stay_for_what_is_not_replaced(tmp_path):
    (tmp_path / "e.yaml").write_text(FILE + "poool: 3\n")
    with pytest.raises(ConfigError, match=r"e\.yaml:7: unknown key 'poool'"):
        read_experiment(tmp_path / "e.yaml", [parse_set("test=4")])


def test_the_same_key_twice_is_refused():
    with pytest.raises(ConfigError, match=r"--limit: test is given twice \(also by --set test\)"):
        read_experiment(PLAIN, [parse_set("test=4"), Override(("test",), 5, "--limit")])


def test_the_run_has_a_name_of_its_own_whatever_the_order():
    assert read("test=7")[0].name == "base--limit=7"
    assert read("seeds=[0, 1]", "test=7")[0].name == read("test=7", "seeds=[0,1]")[0].name
    assert read("seeds=[0, 1]", "test=7")[0].name == "base--seeds=0,1--limit=7"
    assert read("test=7", "name=mine")[0].name == "mine"
    assert read()[0].name == "base"
    assert read_experiment(read("test=7")[0].resolved)[0].name == "base--limit=7"


def test_names_are_file_names_and_differ_where_values_do():
    values = [
        "a/b",
        "a_b",
        "a b",
        "x" * 300,
        "x" * 301,
        ["a", "b"],
        "a,b",
        "1",
        1,
        True,
        "true",
        None,
        "../up",
    ]
    values += [{"k": 1}, {"k": "1"}, [[1]], ["1"], "ß", "..", ""]
    names = [run_name("base", [Override(("model",), value, "--model")]) for value in values]
    assert len(set(names)) == len(values)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}", name) for name in names)
    assert run_name("n" * 100, [Override(("test",), 1, "--limit")]).startswith("n" * 70)


def test_several_problems_are_told_together():
    with pytest.raises(Problems, match="1 more: icl check lists all") as error:
        read("pool=none", "grid.shots=many")
    assert [str(one).split(":")[0] for one in error.value.found] == ["--set pool", "--set grid.shots"]


def test_a_missing_key_is_not_told_where_a_misspelt_one_explains_it():
    wrong = {**{k: v for k, v in PLAIN.items() if k != "grid"}, "gird": PLAIN["grid"]}
    with pytest.raises(ConfigError, match=r"unknown key 'gird'\. Did you mean 'grid'\?") as error:
        read_experiment(wrong)
    assert not isinstance(error.value, Problems)
