"""Instruction files as training rows, and what a tiny model learns from one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.errors import ConfigError, DataError
from icl.protocols import tuners
from icl.training import TrainingRow
from icl.tuning.shared.corpus import ALPACA, InstructionRows
from tests.tuning.planted import TOKENIZER, fresh, planted, resources


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
