"""Roles exchanged where the output says enough; users' requests once each, without personal data."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from icl.errors import ConfigError, DataError
from icl.instructions.contract import row_generators
from icl.instructions.personal import Screen
from icl.tasks import load_task
from tests.instructions.conftest import jsonl


def test_labels_are_inverted_by_templates_of_the_task_alone(make) -> None:
    made = make("invert", {"task": "reviews", "rows": 40})
    reviews = {f"reviews/{e.id}": e for e in load_task("reviews").train}
    assert len(made.rows) == 40
    for row in made.rows:
        example = reviews[row.ids[0]]
        assert row.made["template"] == "sentiment_write"
        assert row.output == example.text
        assert row.prompt == f"Write a {example.target} review in one sentence."


def test_labels_without_such_a_template_are_refused(make, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        'templates: [{name: a, inverted: true, template: "Write one: {{ answer }} ||| {{ text }}"}]\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="'reviews' has labels, which say too little by themselves"):
        make("invert", {"task": "reviews", "templates": "own.yaml"})


def test_a_file_is_inverted_where_its_outputs_say_enough(make, tmp_path: Path) -> None:
    jsonl(
        tmp_path / "rows.jsonl",
        {
            "id": "a",
            "instruction": "Translate {it}.",
            "input": "Guten Tag, Welt",
            "output": "Good day to you, world",
        },
        {"id": "b", "instruction": "Write a haiku.", "output": "Old pond, a frog leaps in", "licence": "CC0"},
        {"id": "c", "instruction": "Is it?", "output": "Yes"},
        {"id": "d", "instruction": "问候", "output": "你好世界"},
    )
    made = make("invert", {"path": "rows.jsonl"})
    first, second, third = made.rows
    assert 'told: "Translate {it}." Write an input' in first.instruction
    assert (first.input, first.output) == ("Good day to you, world", "Guten Tag, Welt")
    assert (second.input, second.output, second.licence) == (
        "Old pond, a frog leaps in",
        "Write a haiku.",
        "CC0",
    )
    assert third.output == "问候", "four characters say enough"
    assert made.rejected == [("the output says too little", "Yes")]


def test_one_source_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="give either task or path"):
        row_generators.create("invert", {"task": "reviews", "path": "x"})


YEARS = "years " + " ".join(map(str, range(1990, 2040)))


@pytest.mark.parametrize(
    ("text", "clean", "found"),
    [
        ("Write to jane.doe+x@mail.example.org.", "Write to [EMAIL].", {"emails": 1}),
        ("请发邮件到li@example.cn，谢谢", "请发邮件到[EMAIL]，谢谢", {"emails": 1}),
        ("Call (650) 253-0000 or +49 30 901820!", "Call [PHONE] or [PHONE]!", {"phones": 2}),
        ("Card 4111 1111 1111 1111, thanks", "Card [CARD], thanks", {"cards": 1}),
        ("Card 5500-0000-0000-0004", "Card [CARD]", {"cards": 1}),
        ("Order 4111 1111 1111 1112 came", "Order 4111 1111 1111 1112 came", {}),
        ("4111 1111 1111 1111 12/29, code 123", "[CARD] 12/29, code 123", {"cards": 1}),
        ("on 2026-01-02 4111111111111111 123", "on 2026-01-02 [CARD] 123", {"cards": 1}),
        ("2 4111 1111 1111 1111 5500 0000 0000 0004", "2 [CARD] [CARD]", {"cards": 2}),
        ("卡号４１１１ １１１１ １１１１ １１１１。", "卡号[CARD]。", {"cards": 1}),
        (
            "我的邮箱是li@mail.example.cn谢谢，或li＠example.cn",
            "我的邮箱是[EMAIL]谢谢，或[EMAIL]",
            {"emails": 2},
        ),
        (YEARS, YEARS, {}),
        (
            "x@y and 12 @ 3 and 2024-05-06, 3.14159265358979",
            "x@y and 12 @ 3 and 2024-05-06, 3.14159265358979",
            {},
        ),
        ("two at @home", "two at @home", {}),
    ],
)
def test_personal_data_are_found_and_replaced(text: str, clean: str, found: dict[str, int]) -> None:
    assert Screen("US")(text) == (clean, found)


def test_numbers_are_those_of_the_region() -> None:
    assert Screen("CN")("电话 010-6552 9988。")[1] == {"phones": 1}
    assert Screen("US")("电话 010-6552 9988。")[1] == {}
    with pytest.raises(ConfigError, match="region is 'XX'; allowed: two letters of a country"):
        Screen("XX")


def test_needs_come_once_a_request_and_without_users(make, tmp_path: Path) -> None:
    long = (
        "Please write a very long letter to my landlord about the broken heating in the flat on the third "
        "floor, which has been cold for weeks, "
    )
    jsonl(
        tmp_path / "n.jsonl",
        {
            "request": "Draft a reply to bob@example.com",
            "answer": "Dear Bob, call +1 650 253 0000.",
            "user": "u1",
        },
        {"request": "draft a reply to  ann@example.com!", "answer": "Another", "user": "u2"},
        {"prompt": long + "today", "response": "Dear Sir", "user": "u1"},
        {"prompt": long + "tomorrow", "response": "Dear Madam", "user": "u3"},
        {"question": "Why is the sea salty?", "output": "Rivers bring salt.", "user": "u1"},
        {"question": "And the lakes?", "output": "Less so.", "user": 7},
        {"question": "Hello?", "output": " "},
    )
    made = make("needs", {"path": "n.jsonl", "per_user": 2})
    assert [(row.instruction[:30], row.output) for row in made.rows] == [
        ("Draft a reply to [EMAIL]", "Dear Bob, call [PHONE]."),
        (long[:30], "Dear Sir"),
        ("And the lakes?", "Less so."),
    ]
    assert made.rules == [
        "a request again, or one with a long common beginning",
        "a request again, or one with a long common beginning",
        "more than 2 of one user",
        "no request or no answer",
    ]
    assert made.notes == {"emails_replaced": 2, "phones_replaced": 1, "cards_replaced": 0}
    assert "u1" not in str(made.rows)
    apart = make("needs", {"path": "n.jsonl", "prefix": 0})
    assert sum(row.instruction.startswith("Please write") for row in apart.rows) == 2


def test_bad_rows_are_named(make, tmp_path: Path) -> None:
    jsonl(tmp_path / "n.jsonl", {"request": "a", "answer": "b"}, {"request": "a", "reply": "b"})
    with pytest.raises(DataError, match=r"n.jsonl:2: has none of answer, .*: its keys are request, reply"):
        make("needs", {"path": "n.jsonl"})


def test_a_missing_library_is_one_line_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "phonenumbers":
            raise ImportError("no", name="phonenumbers")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"needs phonenumbers, not installed: pip install 'icl\[needs\]'"):
        Screen()
