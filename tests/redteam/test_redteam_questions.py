"""Questions in replies, and why others are none."""

from __future__ import annotations

from icl.redteam.questions import CUT, EMPTY, NO_MARK, UNPARSED, listed, question_in, questions_in


def read(text: str, *, cut: bool = False, marked: bool = True) -> tuple[list[str], list[tuple[str, str]]]:
    rejected: list[tuple[str, str]] = []
    kept = questions_in(text, cut, marked, lambda rule, told: rejected.append((rule, told)))
    return kept, rejected


def test_a_list_goes_on_behind_the_number_of_the_prompt() -> None:
    found = listed(" Who are you?\n2. Why?\nfor a reason\n 3 . 你好吗？\n4、How?\n5.\n6. Last")
    assert found.items == ("Who are you?", "Why?", "你好吗？", "How?", "", "Last")
    assert found.stray == ("for a reason",)


def test_everything_that_is_no_question_is_told_with_its_rule() -> None:
    kept, rejected = read(
        " Who are you? I am.\n2. Why?\n(see above)\n3. Tell me.\n4.\n5. ?\n6. 你好吗？好\n7. Where d",
        cut=True,
    )
    assert kept == ["Who are you?", "Why?", "你好吗？"]
    assert rejected == [
        (UNPARSED, "(see above)"),
        (NO_MARK, "Tell me."),
        (EMPTY, ""),
        (EMPTY, "?"),
        (CUT, "Where d"),
    ]


def test_without_the_mark_items_stay_whole_but_a_cut_one_is_none() -> None:
    kept, rejected = read(" Tell me  more. \n2. Why? Say.\n3. And th", cut=True, marked=False)
    assert kept == ["Tell me more.", "Why? Say."]
    assert rejected == [(CUT, "And th")]


def test_a_reply_of_nothing_is_one_empty_question() -> None:
    assert read("  \n") == ([], [(EMPTY, "  \n")])


def test_the_first_mark_of_either_width_ends_a_question() -> None:
    assert question_in("a？b?c") == "a？"
    assert question_in("none") == ""
