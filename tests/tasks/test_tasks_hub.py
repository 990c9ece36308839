"""The field mapping of every hub task on rows of the hub's shape; no network."""

from __future__ import annotations

import os
from pathlib import Path

import datasets
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from icl.errors import DataError
from icl.tasks import list_tasks, load_task, task_file, task_names

TNEWS = [
    "100",
    "101",
    "102",
    "103",
    "104",
    "106",
    "107",
    "108",
    "109",
    "110",
    "112",
    "113",
    "114",
    "115",
    "116",
]
OPTIONS = "\nOptions:\n(A) 12/11/1937\n(B) 12/25/1937"
DATE = "Today is Christmas Eve of 1937. What is the date tomorrow in MM/DD/YYYY?"
AQUA = {"question": "2 + 19?", "options": ["A)21", "B)21.5", "C)22", "D)22.5", "E)23"], "correct": "A"}

# task -> (rows of the hub's shape, features where the type matters, what the first example must be:
#          inputs, target, choices, rationale)
SHAPES = {
    "sst2": ([{"text": "fine .", "label": 1, "label_text": "positive"}], None, ("fine .", "positive")),
    "trec": (
        [{"text": "Who ?", "label": 3, "label_coarse": 3, "label_coarse_original": "HUM"}],
        None,
        ("Who ?", "person"),
    ),
    "agnews": (
        [{"text": "Chips are up.", "label": 3}],
        Features(
            {"text": Value("string"), "label": ClassLabel(names=["World", "Sports", "Business", "Sci/Tech"])}
        ),
        ("Chips are up.", "Sci/Tech"),
    ),
    "subj": ([{"text": "so dull", "label": 1, "label_text": "subjective"}], None, ("so dull", "subjective")),
    "banking77": (
        [{"text": "Where is it?", "label": 11, "label_text": "card_arrival"}],
        None,
        ("Where is it?", "card_arrival"),
    ),
    "clinc150": (
        [{"text": "sing", "intent": 1}],
        Features({"text": Value("string"), "intent": ClassLabel(names=["translate", "oos", "yes"])}),
        ("sing", "oos"),
    ),
    "sick": (
        [
            {
                "id": "1",
                "sentence_A": "A dog runs",
                "sentence_B": "No dog runs",
                "label": 2,
                "relatedness_score": 3.0,
            }
        ],
        None,
        ("A dog runs\nNo dog runs", "contradiction"),
    ),
    "gsm8k": (
        [{"question": "How many?", "answer": "48/2 = <<48/2=24>>24\n24*50 = <<24*50=1200>>1200\n#### 1,200"}],
        None,
        ("How many?", "1200", {}, "48/2 = 24\n24*50 = 1200"),
    ),
    "svamp": (
        [{"ID": "x", "Body": "Two.", "Question": "Sum?", "question_concat": "Two. Sum?", "Answer": "145.0"}],
        None,
        ("Two. Sum?", "145"),
    ),
    "multiarith": ([{"question": " How many? ", "final_ans": "39"}], None, ("How many?", "39")),
    "aqua": (
        [{**AQUA, "rationale": "2 + 19 = 21"}],
        Features(
            {
                "question": Value("string"),
                "options": Sequence(Value("string")),
                "correct": Value("string"),
                "rationale": Value("string"),
            }
        ),
        ("2 + 19?", "A", {"A": "21", "B": "21.5", "C": "22", "D": "22.5", "E": "23"}, "2 + 19 = 21"),
    ),
    "commonsenseqa": (
        [
            {
                "question": "Where?",
                "choices": {"label": ["A", "B"], "text": ["bank", "mall"]},
                "answerKey": "B",
            }
        ],
        Features(
            {
                "question": Value("string"),
                "choices": Sequence({"label": Value("string"), "text": Value("string")}),
                "answerKey": Value("string"),
            }
        ),
        ("Where?", "B", {"A": "bank", "B": "mall"}),
    ),
    "strategyqa": (
        [{"question": "Do pears sink?", "answer": False, "facts": ["Pears float.", "So no."]}],
        None,
        ("Do pears sink?", "no", {}, "Pears float. So no."),
    ),
    "bbh_boolean_expressions": (
        [{"input": "not True is", "target": "False"}],
        None,
        ("not True is", "False"),
    ),
    "bbh_date_understanding": (
        [{"input": DATE + OPTIONS, "target": "(B)"}],
        None,
        (DATE, "B", {"A": "12/11/1937", "B": "12/25/1937"}),
    ),
    "bbh_object_counting": ([{"input": "How many?", "target": "8"}], None, ("How many?", "8")),
    "bbh_sports_understanding": ([{"input": "Plausible?", "target": "no"}], None, ("Plausible?", "no")),
    "bbh_word_sorting": ([{"input": "List: b a", "target": "a b"}], None, ("List: b a", "a b")),
    "mgsm_zh": (
        [
            {
                "question": "\u95ee\u9898\uff1a\u591a\u5c11\uff1f",
                "answer": "\u9010\u6b65\u89e3\u7b54\uff1a5 + 6 = 11\u3002\u7b54\u6848\u662f 11\u3002",
                "answer_number": 11,
                "equation_solution": "5 + 6 = 11.",
            },
            {"question": "\u51e0\uff1f", "answer": None, "answer_number": 18, "equation_solution": None},
        ],
        None,
        ("\u591a\u5c11\uff1f", "11", {}, "5 + 6 = 11\u3002"),
    ),
    "chinese_simpleqa": (
        [
            {
                "id": "1",
                "primary_category": "x",
                "question": "\u4f55\u5904\uff1f",
                "answer": "\u624b",
                "urls": [],
            }
        ],
        None,
        ("\u4f55\u5904\uff1f", "\u624b"),
    ),
    "tnews": (
        [{"sentence": "\u65b0\u95fb", "label": 14, "idx": 0}],
        Features({"sentence": Value("string"), "label": ClassLabel(names=TNEWS), "idx": Value("int32")}),
        ("\u65b0\u95fb", "\u7535\u7ade"),
    ),
}


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv("ICL_DATA", raising=False)


def test_every_hub_task_has_a_shape():
    assert set(SHAPES) == {info.name for info in list_tasks() if info.source == "hub"}


def repository(rows, features, source):
    """A repository as the hub has it, in the working folder: Parquet, with a README for its configuration."""
    root = Path(source.path)
    folder = root / (source.folder or source.name or "data")
    folder.mkdir(parents=True)
    splits = dict.fromkeys(source.splits.values())
    for split in splits:
        Dataset.from_list(rows, features=features).to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    if source.name:
        files = [
            {"split": split, "path": f"{folder.relative_to(root)}/{split}-00000-of-00001.parquet"}
            for split in splits
        ]
        card = {
            "configs": [
                {"config_name": "other", "data_files": files[:1]},
                {"config_name": source.name, "data_files": files},
            ]
        }
        (root / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n")


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_mapping(name, tmp_path, monkeypatch):
    rows, features, (text, target, *rest) = SHAPES[name]
    monkeypatch.chdir(tmp_path)
    source = task_file(name).source.hub
    assert "/" in source.path
    repository(rows, features, source)
    data = load_task(name)
    first = data.test[0]
    choices, rationale = [*rest, *({}, None)[len(rest) :]]
    assert (first.text, first.target, dict(first.choices), first.rationale) == (
        text,
        target,
        choices,
        rationale,
    )
    assert first.id == "test-0"
    assert data.origin.startswith(f"folder {source.path}")
    assert set(first.inputs) == set(data.task.inputs)


def test_through_datasets_itself(tmp_path, monkeypatch):
    """A local folder of Parquet files with ClassLabel features, read by datasets.load_dataset."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    for config, word in (("one", "a"), ("two", "b")):
        for split in ("train", "test"):
            folder = tmp_path / "repository" / config / split
            folder.mkdir(parents=True)
            rows = {"sentence": [f"{word} {split} 0", f"{word} {split} 1"], "label": [0, 1]}
            Dataset.from_dict(rows, features=features).to_parquet(str(folder / "0000.parquet"))
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""\
name: mine
kind: classification
inputs: [text]
labels: [neg, pos]
template: {{query: "{{{{ text }}}}"}}
source:
  hub: {{path: {tmp_path / "repository"}, folder: two, splits: {{train: train, test: test}}}}
  fields: {{inputs: {{text: sentence}}, target: {{column: label, transforms: [class_names]}}}}
"""
    )
    data = load_task(path)
    assert [(e.text, e.target) for e in data.test] == [("b test 0", "neg"), ("b test 1", "pos")]
    assert [e.text for e in data.train] == ["b train 0", "b train 1"]


def test_an_unreachable_hub_tells_what_to_do(monkeypatch):
    def builder(*_, **__):
        raise ConnectionError("Couldn't reach the hub\nlong trace")

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    with pytest.raises(DataError) as caught:
        load_task("gsm8k")
    message = str(caught.value)
    assert "\n" not in message
    for word in ("openai/gsm8k (main)", "'train'", "ICL_DATA", "gsm8k/test.jsonl", "not set", "'files'"):
        assert word in message


def test_bad_hub_rows_name_the_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"text": "a", "label_text": "positive"}, {"text": "b", "label_text": "postive"}]
    repository(rows, None, task_file("sst2").source.hub)
    with pytest.raises(DataError, match=r"parquet row 1: field 'label_text': 'postive' is not a label"):
        load_task("sst2")
    repository([{"label": 7, "text": "a"}], None, task_file("subj").source.hub)
    with pytest.raises(DataError, match=r"class_names: class 7 is not in 0\.\.1"):
        load_task("subj")


MIRROR = Path(os.environ.get("ICL_DATA") or Path(__file__).parents[3] / "shared" / "data")
WITHOUT_MIRROR = {"reviews", "questions", "arithmetic"}


@pytest.mark.parametrize("name", sorted(set(task_names()) - WITHOUT_MIRROR))
def test_the_local_mirror(name, monkeypatch):
    if not (MIRROR / name / "test.jsonl").is_file():
        pytest.skip(f"no local copy of {name}: set ICL_DATA to a folder of data sets")
    monkeypatch.setenv("ICL_DATA", str(MIRROR))
    data = load_task(name, origin="mirror")
    assert len(data.test) >= 200
    if data.task.labels:
        assert {e.target for e in data.test} <= set(data.task.labels)
    size = min(100, len(data.train)) or 100
    split = data.split(pool=size, test=100)
    assert (len(split.pool), len(split.test)) == (size, 100)
    assert split.report.carved == (not data.train)
