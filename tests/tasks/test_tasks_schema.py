"""Task files: every shipped one is valid, and every kind of bad one gives one clear line."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from icl.errors import ConfigError
from icl.tasks import read_task_file, task_names
from icl.tasks.schema import SOURCES

GOOD = """\
name: mine
kind: classification
inputs: [text]
labels: [yes, no]
template:
  query: "Text: {{ text }}\\nLabel:"
source:
  files: {train: a.jsonl, test: b.jsonl}
"""

DEFINITIONS = Path(str(files("icl.tasks") / "definitions"))
EXPECTED = {
    "reviews", "questions", "last_letters", "coin_flip", "arithmetic", "sst2", "trec", "agnews", "subj",
    "banking77", "clinc150", "sick", "gsm8k", "svamp", "multiarith", "aqua", "commonsenseqa", "strategyqa",
    "bbh_boolean_expressions", "bbh_date_understanding", "bbh_object_counting", "bbh_sports_understanding",
    "bbh_word_sorting", "mgsm_zh", "chinese_simpleqa", "tnews", "smcalflow",
}  # fmt: skip


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_task_file(write(folder, text))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder / "mine.yaml"))
    return message.removeprefix(str(folder / "mine.yaml"))


def test_these_tasks_are_shipped():
    assert set(task_names()) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_shipped_definition_is_valid(name):
    path = DEFINITIONS / f"{name}.yaml"
    file = read_task_file(path)
    assert file.name == name
    assert file.description
    assert file.source.kind in SOURCES
    assert path.read_text(encoding="utf-8").startswith("#"), "the header says where the rows come from"
    task = file.task
    if task.kind == "classification":
        assert "answer" in task.template.channel_answer
        assert task.template.channel_query
    elif task.kind in ("numeric", "string"):
        assert task.metric == "exact_match"


@pytest.mark.parametrize("name", ["mgsm_zh", "chinese_simpleqa", "tnews"])
def test_chinese_tasks_are_worded_in_chinese(name):
    task = read_task_file(DEFINITIONS / f"{name}.yaml").task
    assert task.language == "zh"
    assert any("\u4e00" <= character <= "\u9fff" for character in task.template.query)
    assert not task.template.answer.startswith(" ")


def test_good_file_keeps_yes_and_no_as_text(tmp_path):
    task = read_task_file(write(tmp_path, GOOD)).task
    assert task.labels == ("yes", "no")
    assert task.template.separator == "\n\n"
    assert task.source == {"files": {"train": "a.jsonl", "test": "b.jsonl"}}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("template:", "templat:", 5, ["unknown key 'templat'", "mean 'template'", "Allowed: name, kind"]),
        ("  query:", "  qeury:", 6, ["unknown key 'template.qeury'", "Did you mean 'query'"]),
        ("kind: classification", "kind: classify", 2, ["'classify'", "'classification'", "'numeric'"]),
        ("labels: [yes, no]", "labels: [yes, true]", 4, ["labels.1 is true", "write it in quotes"]),
        ("labels: [yes, no]", "labels: [yes]", 4, ["at least two labels"]),
        ("labels: [yes, no]", "labels: [yes, yes]", 4, ["'yes' is given twice"]),
        ("labels: [yes, no]", "labels: [yes, no]\nverbalisers: {yess: x}", 5, ["not a label", "mean 'yes'"]),
        ("labels: [yes, no]", "labels: [yes, no]\nverbalisers: {yes: no}", 5, ["'no' stands for 'yes'"]),
        ("labels: [yes, no]", "labels: [yes, no]\nlabels: [a, b]", 5, ["'labels' is given twice", "line 4"]),
        ("{{ text }}", "{{ txt }}", 6, ["unknown template variable 'txt'", "mean 'text'", "Allowed: text"]),
        ("{{ text }}", "{{ answer }}", 6, ["unknown template variable 'answer'"]),
        ("{{ text }}", "it", 6, ["template.query: ", "names no input", "{{ text }}"]),
        ("{{ text }}", "{{ text", 6, ["not a valid jinja2 template"]),
        ("inputs: [text]", "inputs: [choices]", 3, ["'choices' cannot name an input"]),
        ("inputs: [text]", "inputs: []", 3, ["inputs is empty"]),
        ("name: mine", "name: my task", 1, ["name is 'my task'"]),
        ("name: mine\n", "", 1, ["the key 'name' is missing"]),
        ("kind: classification", "kind: numeric", 4, ["a numeric task has no labels"]),
        ("{train: a.jsonl, test: b.jsonl}", "{train: a.jsonl}", 7, ["names no 'test' split"]),
        ("{train: a.jsonl, test: b.jsonl}", "{trian: a.jsonl}", 8, ["trian"]),
        ("  files: {train: a.jsonl, test: b.jsonl}", "  {}", 7, ["exactly one of hub, files, generator"]),
        ("kind: classification", "kind: [", 4, ["not valid YAML"]),
    ],
)  # fmt: skip
def test_bad_file_gives_one_line_with_file_line_and_what_is_allowed(tmp_path, old, new, line, words):
    assert old in GOOD
    message = problem(tmp_path, GOOD.replace(old, new, 1))
    assert message.startswith(f":{line}: "), message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("{inputs: {txt: t}}", ["inputs.txt", "not an input", "Did you mean 'text'"]),
        (
            "{target: {column: l, transforms: [nubmer]}}",
            ["unknown transform 'nubmer'", "mean 'number'"],
        ),
        ("{target: {column: l, transforms: [after]}}", ["'after' needs an argument"]),
        ("{target: {column: l, transforms: [{number: 3}]}}", ["'number' takes no argument"]),
        ("{target: {column: l, transforms: [{a: 1, b: 2}]}}", ["one name with its argument"]),
        ("{target: {transforms: [number]}}", ["either 'column' or 'columns'"]),
        ("{choices: c}", ["a classification task has no choices"]),
        ("{targt: l}", ["unknown key 'source.fields.targt'", "Did you mean 'target'"]),
    ],
)
def test_bad_field_mapping(tmp_path, fields, words):
    message = problem(tmp_path, GOOD + f"  fields: {fields}\n")
    assert message.startswith(":9: "), message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        ("{name: last_leters}", ["unknown generator 'last_leters'", "Did you mean 'last_letters'"]),
        ("{name: last_letters, wrods: 2}", ["no parameter 'wrods'", "Did you mean 'words'"]),
        ("{name: arithmetic, steps: [1, 9]}", ["steps is [1, 9]"]),
        ("{name: coin_flip, test: 0}", ["source.generator.test is 0"]),
    ],
)
def test_bad_generator(tmp_path, generator, words):
    text = GOOD.replace("files: {train: a.jsonl, test: b.jsonl}", f"generator: {generator}")
    message = problem(tmp_path, text)
    assert message.startswith(":8: "), message
    for word in words:
        assert word in message


def test_channel_pieces_go_together(tmp_path):
    text = GOOD.replace("source:", '  channel_answer: "{{ answer }}"\nsource:')
    assert "go together" in problem(tmp_path, text)


def test_file_that_is_not_a_mapping(tmp_path):
    assert "must hold a mapping" in problem(tmp_path, "- a\n- b\n")
    assert "must hold a mapping" in problem(tmp_path, "")


def test_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_task_file(tmp_path / "none.yaml")


def test_definitions_are_plain_yaml_too():
    """No file leans on this loader's departures except for unquoted yes and no."""
    for name in task_names():
        assert isinstance(yaml.safe_load((DEFINITIONS / f"{name}.yaml").read_text(encoding="utf-8")), dict)
