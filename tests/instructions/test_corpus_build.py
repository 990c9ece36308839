"""A recipe end to end: parts, leaks, duplicates, mixture, card, and going on where it was broken off."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import icl
from icl.errors import ConfigError, DataError, IclError
from icl.experiments.corpus.building import Builder
from icl.experiments.corpus.check import check_recipe
from icl.experiments.corpus.recipe import read_recipe
from icl.tasks import load_task
from tests.instructions.conftest import jsonl


def rows_of(corpus: object) -> list[dict]:
    path: Path = corpus.rows  # type: ignore[attr-defined]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\n" + text, encoding="utf-8")
    return path


OWN = [{"instruction": f"Say {word}.", "output": word} for word in ("one", "two", "three", "four")]


def test_without_a_mixture_every_row_stands_once_in_order(tmp_path: Path) -> None:
    jsonl(
        tmp_path / "a.jsonl",
        *OWN,
        {"instruction": "say ONE", "output": "one!"},
        {"instruction": "x", "output": " "},
    )
    path = recipe(tmp_path, "parts: [{file: a.jsonl, licence: CC0}, {format: {task: reviews, rows: 20}}]\n")
    made = icl.build_corpus(path, output=tmp_path / "out")
    rows = rows_of(made)
    assert [row["output"] for row in rows[:4]] == ["one", "two", "three", "four"]
    assert len(rows) == 24
    assert rows[0] | {"id": ""} == {
        "id": "",
        "instruction": "Say one.",
        "input": "",
        "output": "one",
        "source": "a.jsonl",
        "licence": "CC0",
    }
    assert {row["licence"] for row in rows[4:]} == {"Apache-2.0 (part of icl)"}
    card = made.card
    assert card["rejects"]["equal to an earlier row"] == {"count": 1, "examples": ["say ONE"]}
    assert card["rejects"]["nothing to learn"]["count"] == 1
    assert card["sources"]["a.jsonl"] == {"rows": 4, "share": round(4 / 24, 4)}
    assert card["leaks"]["reviews"]["test_items"] == len(load_task("reviews").test)
    assert card["duplicates"] == {"rows": 0, "same_instruction_and_input": 0}
    assert json.loads((made.path / "card.json").read_text(encoding="utf-8")) == card
    text = made.card_file.read_text(encoding="utf-8")
    assert "24 rows, 0 of them plain text" in text
    assert "| equal to an earlier row | 1 | say ONE |" in text


def test_rows_that_hold_a_test_item_are_left_out_and_counted(tmp_path: Path) -> None:
    held = [item.text for item in load_task("questions").test[:3]]
    jsonl(
        tmp_path / "a.jsonl",
        *OWN,
        {"instruction": f"Answer this. {held[0]}", "output": "No."},
        {"instruction": "Answer this.", "input": held[1].upper(), "output": "No."},
        {"text": f"He asked: {held[2]} Nobody knew."},
    )
    path = recipe(tmp_path, "parts: [{file: a.jsonl}]\nexclude_test_of: questions\n")
    made = icl.build_corpus(path, output=tmp_path / "out")
    assert len(rows_of(made)) == 4
    found = made.card["leaks"]["questions"]
    assert (found["exact"], found["normalised"], found["n-gram"]) == (2, 1, 0)
    assert made.card["rejects"]["overlaps a test set (exact: questions)"]["count"] == 2


def test_test_sets_of_an_experiment_file_are_kept_out(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(
        "name: e\nmodel: fake\ntask: [questions, reviews]\ngrid: {selector: random, shots: 1}\n",
        encoding="utf-8",
    )
    jsonl(tmp_path / "a.jsonl", *OWN, {"instruction": "Look.", "output": load_task("reviews").test[0].text})
    path = recipe(tmp_path, "parts: [{file: a.jsonl}]\nexclude_test_of: [e.yaml]\n")
    checked = check_recipe(*read_recipe(path))
    assert set(checked.tests) == {"questions", "reviews"}
    assert icl.build_corpus(path, output=tmp_path / "out").card["leaks"]["reviews"]["exact"] == 1


def test_of_two_tasks_of_one_name_both_test_sets_are_kept_out(tmp_path: Path) -> None:
    for at, word in enumerate(("gripping", "tedious")):
        rows = [
            {"text": f"The {word} film that we saw at number {n} in the old town", "label": "a"}
            for n in (1, 2)
        ]
        jsonl(tmp_path / f"{at}.jsonl", *rows)
        (tmp_path / f"{at}.yaml").write_text(
            "name: films\nkind: classification\ninputs: [text]\nlabels: [a, b]\n"
            'template: {query: "{{ text }}\\nA:"}\nmetric: accuracy\n'
            f"source: {{files: {{train: {at}.jsonl, test: {at}.jsonl}}, fields: {{target: label}}}}\n",
            encoding="utf-8",
        )
    path = recipe(
        tmp_path, "parts: [{format: {task: reviews, rows: 5}}]\nexclude_test_of: [0.yaml, 1.yaml]\n"
    )
    checked = check_recipe(*read_recipe(path))
    assert [len(checked.tests[name]) for name in ("films", "reviews")] == [4, len(load_task("reviews").test)]
    assert checked.leaks.find("The gripping film that we saw at number 2 in the old town", ()) is not None


def test_a_part_of_test_items_alone_ends_with_one_line_and_no_rows(tmp_path: Path) -> None:
    test = load_task("reviews").test[:5]
    jsonl(
        tmp_path / "a.jsonl", *({"instruction": "Label.", "input": e.text, "output": e.target} for e in test)
    )
    path = recipe(tmp_path, "parts: [{file: a.jsonl}]\nexclude_test_of: reviews\n")
    with pytest.raises(
        ConfigError, match=r"part 'file-a.jsonl': no row was kept: 5 were left out \(overlaps a test"
    ):
        icl.build_corpus(path, output=tmp_path / "out")
    assert not (tmp_path / "out" / "mine" / "rows.jsonl").exists()
    assert list((tmp_path / "out" / "mine" / "parts").iterdir()) == []


def test_a_mixture_has_its_rates_repeats_and_plain_text(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", *OWN)
    jsonl(tmp_path / "b.jsonl", *({"prompt": f"p{i}", "completion": f" c{i}"} for i in range(40)))
    jsonl(tmp_path / "t.jsonl", *({"text": f"Plain text number {i}."} for i in range(200)))
    path = recipe(
        tmp_path,
        "seed: 5\nparts: [{file: a.jsonl, quality: 5}, {file: b.jsonl}]\n"
        "mix: {rows: 2000, cap: 20, pretraining: {file: t.jsonl, share: 0.1}}\n",
    )
    made = icl.build_corpus(path, output=tmp_path / "out")
    parts = {one["name"]: one for one in made.card["mixture"]["parts"]}
    # 5 * 4 and 1 * 20 share nine tenths
    assert [parts[n]["rate"] for n in ("file-a.jsonl", "file-b.jsonl", "pretraining")] == pytest.approx(
        [0.45, 0.45, 0.1]
    )
    rows = rows_of(made)
    counted = Counter(row["source"] for row in rows)
    assert counted == {"a.jsonl": parts["file-a.jsonl"]["drawn"], "b.jsonl": parts["file-b.jsonl"]["drawn"],
                       "t.jsonl": parts["pretraining"]["drawn"]}  # fmt: skip
    assert abs(counted["t.jsonl"] - 200) < 60
    assert parts["file-a.jsonl"]["repeats"] == counted["a.jsonl"] / 4
    assert len({row["id"] for row in rows}) == 2000, "repeated rows have ids of their own"
    assert sum("text" in row for row in rows) == counted["t.jsonl"] == made.card["plain_texts"]
    again = Counter(row["output"] for row in rows if row["source"] == "a.jsonl")
    assert max(again.values()) - min(again.values()) <= 1, "without replacement within an epoch"


def test_the_same_recipe_makes_the_same_bytes_and_finished_parts_are_found(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", *OWN)
    path = recipe(tmp_path, "parts: [{file: a.jsonl}, {format: {task: reviews, rows: 9}}]\nmix: {rows: 50}\n")
    first = icl.build_corpus(path, output=tmp_path / "out")
    part = first.path / "parts" / "format-reviews.jsonl"
    before, when = first.rows.read_bytes(), part.stat().st_mtime_ns
    assert icl.build_corpus(path, output=tmp_path / "other").rows.read_bytes() == before
    again = icl.build_corpus(path, output=tmp_path / "out")
    assert again.rows.read_bytes() == before
    assert part.stat().st_mtime_ns == when, "not made again"
    jsonl(tmp_path / "a.jsonl", *OWN[:2])
    changed = icl.build_corpus(path, output=tmp_path / "out")
    assert part.stat().st_mtime_ns == when
    assert changed.card["mixture"]["parts"][0]["unique"] == 2
    manifest = json.loads((first.path / "manifest.json").read_text(encoding="utf-8"))
    assert [session["ended_by"] for session in manifest["sessions"]] == ["complete"] * 3


def test_a_part_that_fails_leaves_the_others_and_nothing_half(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", *OWN)
    jsonl(tmp_path / "b.jsonl", {"instruction": "x", "output": ""})
    path = recipe(tmp_path, "parts: [{file: a.jsonl}, {file: b.jsonl}]\n")
    with pytest.raises(
        ConfigError, match=r"'file-b.jsonl': no row was kept: 1 were left out \(nothing to learn\)"
    ):
        icl.build_corpus(path, output=tmp_path / "out")
    folder = tmp_path / "out" / "mine"
    assert {p.name for p in (folder / "parts").iterdir()} == {"file-a.jsonl.jsonl", "file-a.jsonl.json"}
    assert not (folder / "rows.jsonl").exists()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert "no row was kept" in manifest["sessions"][0]["ended_by"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("parts: []\n", "recipe.yaml:2: parts is empty"),
        ("parts: [{fiel: a.jsonl}]\n", "recipe.yaml:2: .*unknown generator 'fiel'. Did you mean 'file'"),
        ("parts: [{file: a.jsonl, qualty: 2}]\n", "names file, qualty"),
        ("parts: [{file: b.jsonl}]\n", r"yaml:2: parts.0: path: 'b.jsonl': .* mean 'a.jsonl'"),
        ("parts: [{file: a.jsonl}, {file: a.jsonl}]\n", "two parts are called 'file-a.jsonl'"),
        ("parts: [{file: a.jsonl, quality: 0}]\nmix: {}\n", "yaml:3: mix: the weights of the mixture sum to"),
        ("parts: [{file: a.jsonl}]\nmix: {groups: {b: 1}}\n", "unknown group 'b'"),
        ("parts: [{file: a.jsonl}]\nmix: {temperature: 0}\n", "temperature"),
        (
            "parts: [{file: a.jsonl}]\nexclude_test_of: [qestions]\n",
            "exclude_test_of.0: .*'questions'",
        ),
        ("parts: [{file: a.jsonl, model: fake}]\n", "file asks no model: leave model out"),
        ("parts: [{format: {task: reviews, shotz: [1]}}]\n", "yaml:2: parts.0: .*'shotz'.*'shots'"),
        ("parts: [{file: a.jsonl}]\nmix: {pretraining: {file: b.jsonl}}\n", "yaml:3: mix.pretraining.file: "),
    ],
)
def test_a_wrong_recipe_is_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    jsonl(tmp_path / "a.jsonl", *OWN)
    with pytest.raises(IclError, match=said):
        check_recipe(*read_recipe(recipe(tmp_path, text)))


def test_a_bad_row_of_a_file_is_named(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", *OWN, {"question": "x"})
    with pytest.raises(DataError, match=r"a\.jsonl:5: is no instruction row: it has the keys question"):
        check_recipe(*read_recipe(recipe(tmp_path, "parts: [{file: a.jsonl}]\n")))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", *OWN)
    other = tmp_path / "out" / "mine"
    other.mkdir(parents=True)
    (other / "thesis.tex").write_text("x", encoding="utf-8")
    checked = check_recipe(*read_recipe(recipe(tmp_path, "parts: [{file: a.jsonl}]\n")))
    with pytest.raises(ConfigError, match=r"holds other files \(thesis.tex"):
        Builder(checked, tmp_path / "out").run()
    assert [p.name for p in other.iterdir()] == ["thesis.tex"]
