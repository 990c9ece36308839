"""Instruction files as training rows, and what a tiny model learns from one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.engine.fake import ByteTokenizer
from icl.errors import ConfigError, DataError
from icl.protocols import tuners
from icl.tasks import TaskData
from icl.training import TrainingRow
from icl.tuning.shared.corpus import ALPACA, InstructionRows
from icl.tuning.shared.mixed import MixedWork
from icl.tuning.shared.tokens import tokenised
from icl.types import Example
from tests.tuning.planted import RULE, TOKENIZER, fresh, planted, resources


def written(folder: Path, *rows: Any, name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def read(path: Path, **options: Any) -> list[TrainingRow]:
    given = {"layout": "alpaca", "end": "|", "ends": True, **options}
    return InstructionRows(TOKENIZER, given["layout"], given["end"], ends=given["ends"]).read(path)


def pairs(rows: list[TrainingRow]) -> list[tuple[str, str]]:
    return [(row.prompt, row.completion) for row in rows]


def test_prompt_and_completion_stand_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "Q {input}:", "completion": " yes", "id": 4})
    assert pairs(read(path)) == [("Q {input}:", " yes|")]
    assert pairs(read(path, ends=False)) == [("Q {input}:", " yes")]


def test_an_instruction_is_written_as_alpaca_does(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"instruction": "Add {input}.", "input": "1 {instruction}", "output": "2"},
        {"instruction": "Sing.", "input": "", "output": "La."},
    )
    (first, answer), second = pairs(read(path))
    assert answer == "2|"
    assert "\n### Instruction:\nAdd {input}.\n\n### Input:\n1 {instruction}\n\n### Response:" in first
    assert second == (ALPACA.replace("{instruction}", "Sing."), "La.|")


def test_an_instruction_as_a_turn_of_a_chat(tmp_path: Path) -> None:
    path = written(tmp_path, {"instruction": "Add.", "input": "1 1", "output": " 2 "})
    assert pairs(read(path, layout="chat")) == [("<user>Add.\n\n1 1</><assistant>", "2</>")]


def test_every_turn_of_the_assistant_is_learned_behind_all_before_it(tmp_path: Path) -> None:
    said = [("system", "Be brief."), ("user", "a?"), ("assistant", "b"), ("user", "c?"), ("assistant", "d")]
    path = written(tmp_path, {"messages": [{"role": r, "content": c} for r, c in said]})
    first, second = pairs(read(path))
    assert first == ("<system>Be brief.</><user>a?</><assistant>", "b</>")
    assert second == ("<system>Be brief.</><user>a?</><assistant>b</><user>c?</><assistant>", "d</>")


def test_an_array_in_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"prompt": "a", "completion": "b"}]), encoding="utf-8")
    assert pairs(read(path)) == [("a", "b|")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"promt": "a", "completion": "b"}, "is no instruction row"),
        ({"prompt": ["x"], "completion": "b"}, "prompt is ["),
        ({"messages": "hi"}, "messages is 'hi'"),
        ({"messages": [{"role": "asistant", "content": "x"}]}, "'assistant'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "answers no turn of the user"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no turn of the assistant"),
        (["a"], "must be a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: Any, said: str) -> None:
    path = written(tmp_path, {"prompt": "a", "completion": "b"}, row)
    with pytest.raises(DataError, match=r"data\.jsonl:2: ") as caught:
        read(path)
    assert said in str(caught.value)


def test_something_to_train_on_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="give file, or pool: true"):
        tuners.create("sft", {})
    with pytest.raises(DataError, match="does not exist"):
        tuners.create("sft", {"file": "nowhere.jsonl"}).fit([], resources())


def test_a_file_alone_teaches_the_task_and_the_state_makes_it_again(tmp_path: Path) -> None:
    rows = [{"prompt": f"{e.text}:", "completion": e.target} for e in planted(48, seed=1)]
    path = written(tmp_path, *rows, {"prompt": "x", "completion": " "})
    settings = {"steps": 40, "batch_size": 16, "learning_rate": 1e-2, "end": "never"}
    parameters = {"file": str(path), "with": {"lora": settings}}
    tuned = tuners.create("sft", parameters).fit([], resources())
    assert tuned.config["tuner"] == "sft"
    assert (tuned.notes["rows"], tuned.notes["rows_without_answer"]) == (48, 1)
    losses = tuned.notes["losses"]
    assert sum(losses[-5:]) / 5 < 0.25 * losses[0]
    again = tuners.create("sft", parameters).restore(tuned.state, fresh())
    ids = torch.tensor([TOKENIZER.encode("abc:")])
    assert torch.allclose(again.network(ids).logits, tuned.network(ids).logits, atol=1e-5)


def test_the_pool_beside_the_file_and_rows_drawn_by_the_seed(tmp_path: Path) -> None:
    path = written(tmp_path, *[{"prompt": f"{i}:", "completion": "x"} for i in range(9)])
    given = {"file": str(path), "rows": 4, "pool": True, "with": {"lora": {"steps": 1}}}
    tuned = tuners.create("sft", given).fit(planted(6), resources())
    assert (tuned.notes["rows"], tuned.notes["rows_of_file"], tuned.notes["rows_drawn"]) == (10, 9, 4)


def test_all_of_a_plain_text_is_learned(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, {"text": "abc"}))
    assert (row.prompt, row.completion) == ("", "abc|")
    made = tokenised([row], TOKENIZER, 99).rows[0]
    assert made.start == 1, "behind the beginning of the text"
    assert made.learned == 4


def test_a_tokenizer_without_a_beginning_learns_plain_text_from_its_second_token() -> None:
    row = TrainingRow("1", "", "abc", "s")
    assert tokenised([row], ByteTokenizer(), 99).rows[0].start == 1
    assert tokenised([TrainingRow("2", "", "a", "s")], ByteTokenizer(), 99).empty == 1


def mixed(tmp_path: Path, mix: dict[str, Any], steps: int = 500) -> tuple[MixedWork, Any]:
    one = written(tmp_path, *({"prompt": f"{i}:", "completion": "x"} for i in range(10)), name="one.jsonl")
    two = written(tmp_path, *({"prompt": f"{i}!", "completion": "y"} for i in range(30)), name="two.jsonl")
    inner = {"lora": {"steps": steps, "batch_size": 8}}
    tuner = tuners.create("sft", {"file": [str(one), str(two)], "mix": mix, "with": inner})
    sources, _ = tuner._corpus(resources())  # type: ignore[attr-defined]
    return MixedWork(sources, mix, tuner.inner, resources(), None), tuner  # type: ignore[attr-defined]


def test_a_mixture_of_files_is_drawn_by_its_rates(tmp_path: Path) -> None:
    work, _ = mixed(tmp_path, {"cap": 20, "quality": {"one.jsonl": 4}})
    assert {name: one["rate"] for name, one in work.notes["mixture"].items()} == {
        "one.jsonl": pytest.approx(40 / 60, abs=1e-6),
        "two.jsonl": pytest.approx(20 / 60, abs=1e-6),
    }
    drawn = [row.row.source for step in range(500) for row in work.batch(step, None)]  # type: ignore[arg-type]
    share = drawn.count("one.jsonl") / len(drawn)
    assert abs(share - 2 / 3) < 4 * (2 / 9 / len(drawn)) ** 0.5
    first = [row.row.id for step in range(500) for row in work.batch(step, None)]  # type: ignore[arg-type]
    own = [name for name in first if name.startswith("one")]
    for at in range(0, len(own) - 10, 10):
        assert len(set(own[at : at + 10])) == 10, "without replacement within an epoch"


def test_a_step_is_the_same_whether_those_before_it_were_asked_for(tmp_path: Path) -> None:
    one, _ = mixed(tmp_path, {})
    other, _ = mixed(tmp_path, {})
    late = [row.row.id for row in other.batch(40, None)]  # type: ignore[arg-type]
    for step in range(41):
        found = [row.row.id for row in one.batch(step, None)]  # type: ignore[arg-type]
    assert found == late


def test_a_mixture_with_plain_text_and_the_pool_trains(tmp_path: Path) -> None:
    path = written(tmp_path, *({"prompt": f"{i}:", "completion": "x"} for i in range(9)))
    text = written(tmp_path, {"text": "some words"}, {"text": "and more"}, name="text.jsonl")
    mix = {"pretraining": {"file": str(text), "share": 0.25}, "quality": {"pool": 2}}
    given = {"file": str(path), "pool": True, "mix": mix, "with": {"lora": {"steps": 2}}}
    notes = tuners.create("sft", given).fit(planted(9), resources()).notes["mixture"]
    assert {name: one["rate"] for name, one in notes.items()} == {
        "data.jsonl": 0.25,
        "pool": 0.5,
        "pretraining": 0.25,
    }
    assert notes["pretraining"]["repeats"] == 2 * 8 * 0.25 / 2


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ({"caps": 3}, "mix has no key 'caps'. Did you mean 'cap'"),
        ({"cap": 0}, "mix.cap is 0"),
        ({"quality": {"one.jsonl": -1}}, "mix.quality of one.jsonl is -1"),
        ({"pretraining": {"share": 0.1}}, "allowed: {file: texts.jsonl, share: 0.05}"),
        ([], "mix is \\[\\]; allowed: a mapping"),
    ],
)
def test_a_wrong_mixture_is_refused(mix: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tuners.create("sft", {"file": "a.jsonl", "mix": mix})


@pytest.mark.parametrize(
    ("quality", "said"),
    [({"tow.jsonl": 1}, "Did you mean 'two.jsonl'"), ({"one.jsonl": 0, "two.jsonl": 0}, "sum to zero")],
)
def test_weights_of_nothing_are_refused(tmp_path: Path, quality: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        mixed(tmp_path, {"quality": quality})


def test_rows_that_hold_test_items_are_refused_with_counts(tmp_path: Path) -> None:
    test = (Example("t", {"text": "the very long day of a small dog"}, "A"),)
    path = written(
        tmp_path,
        {"prompt": "a", "completion": "b"},
        {"instruction": "Say: The very long day, of a small dog.", "output": "x"},
        {"messages": [{"role": "user", "content": "the very long day of a small dog"},
                      {"role": "assistant", "content": "y"}]},
    )  # fmt: skip
    tuner = tuners.create("sft", {"file": str(path)})
    with pytest.raises(
        ConfigError, match=r"2 rows overlap .* of rule \(1 exact, 1 normalised\).*:2: icl data"
    ):
        tuner.check(RULE, lambda name: TaskData(RULE, (), test))  # type: ignore[attr-defined]
    tuner.check(RULE, lambda name: TaskData(RULE, (), ()))  # type: ignore[attr-defined]
