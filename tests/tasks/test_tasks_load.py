"""Rows from a user's files, the mirror, the hub and the package; splits and their leak check."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from icl.errors import ConfigError, DataError
from icl.tasks import list_tasks, load_task
from icl.tasks.sources import bundled_split
from icl.types import Example

YAML = """\
name: mine
kind: {kind}
inputs: [{inputs}]
{labels}
template: {{query: "Q: {{{{ {first} }}}}\\nA:"}}
source:
  files: {{{files}}}
{fields}
"""


def task_file(folder, kind="classification", inputs="text", labels="labels: [good, bad]", fields="", **named):
    named = named or {"train": "train.jsonl", "test": "test.jsonl"}
    text = YAML.format(
        kind=kind,
        inputs=inputs,
        first=inputs.split(",")[0],
        labels=labels,
        files=", ".join(f"{split}: {name}" for split, name in named.items()),
        fields=f"  fields: {fields}" if fields else "",
    )
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def jsonl(path: Path, rows) -> None:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")


def labelled(n, prefix="text"):
    return [{"text": f"{prefix} number {i}", "label": ("good", "bad")[i % 2]} for i in range(n)]


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv("ICL_DATA", raising=False)


def test_jsonl_beside_the_yaml(tmp_path):
    jsonl(tmp_path / "train.jsonl", labelled(30))
    jsonl(tmp_path / "test.jsonl", labelled(10, "query"))
    data = load_task(task_file(tmp_path))
    assert data.train[3] == Example("train-3", {"text": "text number 3"}, "bad")
    assert [e.id for e in data.test] == [f"test-{i}" for i in range(10)]
    assert load_task(str(tmp_path / "mine.yaml")).fingerprint == data.fingerprint


def test_csv_tsv_and_parquet_give_the_same_rows(tmp_path):
    import pandas

    frame = pandas.DataFrame(labelled(6))
    frame.to_csv(tmp_path / "test.csv", index=False)
    frame.to_csv(tmp_path / "test.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "test.parquet")
    jsonl(tmp_path / "test.jsonl", labelled(6))
    data = [load_task(task_file(tmp_path, test=f"test.{s}")) for s in ("csv", "tsv", "parquet", "jsonl")]
    assert len({d.fingerprint for d in data}) == 4, "the definition names the file"
    assert all(d.test == data[0].test for d in data)
    assert len(data[0].test) == 6


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            '{"text": "a", "label": "good"}\n\n{"txt": "b", "label": "bad"}',
            [":3:", "no field 'text'", "'txt'"],
        ),
        (
            '{"text": "a", "label": "goood"}',
            [":1:", "'goood' is not a label", "Did you mean 'good'", "good, bad"],
        ),
        ('{"text": "a", "label": null}', [":1:", "'label' (target) is empty"]),
        ('{"text": "  ", "label": "good"}', [":1:", "input 'text'", "must be text"]),
        ('{"text": true, "label": "good"}', [":1:", "is true", "must be text"]),
        ('{"text": "a", "label": "good"}\n{"text"', [":2:", "not valid JSON"]),
        ('["a"]', [":1:", "must be a JSON object"]),
        ("", ["is empty"]),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path, rows, words):
    (tmp_path / "test.jsonl").write_text(rows, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_task(task_file(tmp_path, test="test.jsonl"))
    for word in ["test.jsonl", *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_csv_rows(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\na,good\nb,bad,more\n")
    with pytest.raises(DataError, match=r"test.csv:3: has more fields"):
        load_task(task_file(tmp_path, test="test.csv"))
    (tmp_path / "test.csv").write_text("text,label\na,good\nb\n")
    with pytest.raises(DataError, match=r"test.csv:3: has fewer fields than the header \(1, not 2\)"):
        load_task(task_file(tmp_path, test="test.csv"))
    (tmp_path / "test.csv").write_bytes(b"text,label\n\xff\xfe,good\n")
    with pytest.raises(DataError, match="not UTF-8"):
        load_task(task_file(tmp_path, test="test.csv"))


def test_missing_and_unknown_files(tmp_path):
    with pytest.raises(DataError, match=r"test.jsonl does not exist"):
        load_task(task_file(tmp_path, test="test.jsonl"))
    (tmp_path / "test.xlsx").write_text("x")
    with pytest.raises(DataError, match=r"unknown format '.xlsx'"):
        load_task(task_file(tmp_path, test="test.xlsx"))
    (tmp_path / "test.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="not a Parquet file"):
        load_task(task_file(tmp_path, test="test.parquet"))
    with pytest.raises(ConfigError, match="does not exist"):
        load_task(tmp_path / "none.yaml")


def test_unknown_task_name():
    with pytest.raises(ConfigError, match=r"unknown task 'sst'. Did you mean 'sst2'"):
        load_task("sst")


def test_targets_by_kind(tmp_path):
    jsonl(tmp_path / "t.jsonl", [{"q": "how many?", "a": "1,234.50"}, {"q": "how much?", "a": 7.0}])
    fields = "{inputs: {question: q}, target: a}"
    data = load_task(task_file(tmp_path, "numeric", "question", "", fields, test="t.jsonl"))
    assert [e.target for e in data.test] == ["1234.5", "7"]
    jsonl(tmp_path / "t.jsonl", [{"q": "how many?", "a": "some"}])
    with pytest.raises(DataError, match="'some' is not a number"):
        load_task(tmp_path / "mine.yaml")
    jsonl(tmp_path / "t.jsonl", [{"q": "is it?", "a": True}, {"q": "is it not?", "a": False}])
    data = load_task(task_file(tmp_path, "boolean", "question", "labels: [yes, no]", fields, test="t.jsonl"))
    assert [e.target for e in data.test] == ["yes", "no"]


def test_choices_in_every_shape(tmp_path):
    shapes = [
        {"A": "one", "B": "two"},
        ["one", "two"],
        ["A)one", "B) two"],
        {"text": ["one", "two"], "label": ["A", "B"]},
        '["one", "two"]',
    ]
    jsonl(
        tmp_path / "t.jsonl",
        [{"question": f"q{i}", "choices": c, "answer": "B"} for i, c in enumerate(shapes)],
    )
    data = load_task(task_file(tmp_path, "multiple_choice", "question", "", test="t.jsonl"))
    assert [e.choices for e in data.test] == [{"A": "one", "B": "two"}] * len(shapes)
    jsonl(tmp_path / "t.jsonl", [{"question": "q", "choices": ["one", "two"], "answer": "C"}])
    with pytest.raises(DataError, match=r"'C' is not a choice of the task. Allowed: A, B"):
        load_task(tmp_path / "mine.yaml")
    (tmp_path / "t.csv").write_text("question,first,second,answer\nq,one,two,A\n")
    fields = "{choices: {columns: {A: first, B: second}}}"
    data = load_task(task_file(tmp_path, "multiple_choice", "question", "", fields, test="t.csv"))
    assert data.test[0].choices == {"A": "one", "B": "two"}


def split_task(tmp_path, train=100, test=40):
    jsonl(tmp_path / "train.jsonl", labelled(train))
    jsonl(tmp_path / "test.jsonl", labelled(test, "query"))
    return load_task(task_file(tmp_path))


def test_pool_follows_the_seed_and_the_test_does_not(tmp_path):
    data = split_task(tmp_path)
    one, two = data.split(pool=50, test=20, seed=1), data.split(pool=50, test=20, seed=2)
    assert one == data.split(pool=50, test=20, seed=1)
    assert one.test == two.test
    assert one.pool != two.pool
    assert len(one.pool) == 50
    assert data.split(pool=10, test=5, seed=1).pool == one.pool[:10]
    assert data.split(pool=10, test=5, seed=1).test == one.test[:5]
    assert len(data.split(pool=None, test=None).pool) == 100


def test_overlapping_pool_rows_are_dropped_and_reported(tmp_path):
    train = [*labelled(20), {"text": "Query number 3!", "label": "good"}]
    jsonl(tmp_path / "train.jsonl", train)
    jsonl(tmp_path / "test.jsonl", labelled(10, "query"))
    split = load_task(task_file(tmp_path)).split(pool=None, test=5)
    assert split.report.dropped == {"train-20": ("test-3",)}
    assert split.report.count == 1
    assert "1 of 21 pool candidates" in split.report.summary
    assert "train-20" not in {e.id for e in split.pool}
    near = load_task(tmp_path / "mine.yaml").split(pool=None, test=5, threshold=0.3)
    assert near.report.count >= 1
    with pytest.raises(ConfigError, match=r"pool is 21, but task 'mine' has 20 rows for it \(1 more overlap"):
        load_task(tmp_path / "mine.yaml").split(pool=21, test=5)


def test_without_train_the_pool_is_carved_from_the_test(tmp_path):
    jsonl(tmp_path / "test.jsonl", labelled(30))
    data = load_task(task_file(tmp_path, test="test.jsonl"))
    split = data.split(pool=12, test=10, seed=5)
    assert split.report.carved
    assert not {e.id for e in split.pool} & {e.id for e in split.test}
    assert all(e.id.startswith("test-") for e in split.pool)
    assert data.split(pool=12, test=10, seed=6).test == split.test
    with pytest.raises(ConfigError, match="no train split, and 10 of its test rows"):
        data.split(pool=21, test=10)
    with pytest.raises(ConfigError, match="say how many of its 30 rows"):
        data.split(pool=5, test=None)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"pool": 101, "test": 10}, "pool is 101, but task 'mine' has 100 rows"),
        ({"pool": 10, "test": 41}, "test is 41, but the test split of task 'mine' has 40 rows"),
        ({"pool": 0, "test": 10}, "pool is 0: must be at least 1"),
    ],
)
def test_more_than_there_is(tmp_path, sizes, words):
    with pytest.raises(ConfigError, match=words):
        split_task(tmp_path).split(**sizes)


def test_fingerprint_sees_every_row_and_the_definition(tmp_path):
    data = split_task(tmp_path)
    rows = labelled(100)
    rows[99]["label"] = "good"
    jsonl(tmp_path / "train.jsonl", rows)
    changed = load_task(tmp_path / "mine.yaml")
    assert changed.fingerprint != data.fingerprint
    path = tmp_path / "mine.yaml"
    path.write_text(path.read_text().replace("Q:", "Question:"))
    assert load_task(path).fingerprint != changed.fingerprint
    assert load_task(path).fingerprint == load_task(path).fingerprint


def test_bundled_split_is_stratified_disjoint_and_fixed():
    rows = [Example(f"row-{i}", {"text": f"t{i}"}, "ab"[i % 5 == 0]) for i in range(100)]
    train, test = bundled_split(rows, "reviews")
    assert (len(train), len(test)) == (60, 40)
    assert [e.target for e in train].count("b") == 12
    assert {e.id for e in train} | {e.id for e in test} == {e.id for e in rows}
    assert bundled_split(rows, "reviews") == (train, test)
    assert bundled_split(rows, "questions") != (train, test)


@pytest.mark.parametrize("name", ["reviews", "questions"])
def test_bundled_sets_load(name):
    if not (files("icl.tasks") / "data" / f"{name}.jsonl").is_file():
        with pytest.raises(DataError, match=f"unknown bundled data set '{name}'"):
            load_task(name)
        pytest.skip(f"{name}.jsonl is not written yet")
    data = load_task(name)
    assert len(data.train) + len(data.test) >= 320
    assert {e.target for e in data.test} == set(data.task.labels)
    numbers = [int(e.id.split("-")[1]) for e in (*data.train, *data.test)]
    assert sorted(numbers) == list(range(len(numbers)))
    assert data.split(pool=None, test=None).report.count == 0


def test_list_tasks(monkeypatch, tmp_path):
    infos = {info.name: info for info in list_tasks()}
    assert infos["reviews"].available == "bundled"
    assert infos["arithmetic"].available == "generated"
    assert infos["sst2"].available == "hub (network)"
    assert infos["smcalflow"].available == "needs ICL_DATA"
    assert (infos["clinc150"].labels, infos["clinc150"].kind) == (151, "classification")
    (tmp_path / "sst2").mkdir()
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    assert {i.name: i.available for i in list_tasks()}["sst2"] == "local (ICL_DATA)"


def test_the_mirror(monkeypatch, tmp_path):
    rows = [{"text": f"t{i}", "label": ("negative", "positive")[i % 2]} for i in range(8)]
    (tmp_path / "sst2").mkdir()
    for split in ("train", "test"):
        jsonl(tmp_path / "sst2" / f"{split}.jsonl", rows)
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    data = load_task("sst2")
    assert data.origin == "ICL_DATA folder sst2"
    assert len(data.train) == 8
    with pytest.raises(ConfigError, match="8 more overlap"):
        data.split(pool=1, test=8)
    shutil.copy(tmp_path / "sst2" / "train.jsonl", tmp_path / "sst2" / "validation.jsonl")
    (tmp_path / "sst2" / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"test.jsonl does not exist"):
        load_task("sst2")


def test_a_mirror_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"ICL_DATA is .*none': no such folder"):
        load_task("sst2")
    assert load_task("coin_flip").train, "a task that needs no mirror does not mind"


def test_mirror_only_tasks(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="set ICL_DATA to a folder that has it"):
        load_task("smcalflow")
    with pytest.raises(DataError, match="set ICL_DATA"):
        load_task("coin_flip", origin="mirror")
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    with pytest.raises(DataError, match="below ICL_DATA"):
        load_task("smcalflow")
