"""Policies, run-on detection, flags, the audit, the published cleansing, and equivalence."""

from dataclasses import replace

import pytest

from icl.prompts.answers import audit, cut_run_on, equivalent, parse
from icl.types import Query, Task, Template

QUERY = Query("q", {"question": "?"})
LETTERS = Query("q", {"question": "?"}, {"A": "ant", "B": "bee", "C": "cat"})


def task(kind, query="Q: {{ question }}\nA:", separator="\n\n", labels=()):
    template = Template(query=query, separator=separator)
    return Task("t", kind, template, ("question",), labels=labels)


NUMERIC = task("numeric")


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        (" 72\n\nQ: How many?\nA: 5", " 72"),
        (" 72\nQuestion: How many?", " 72"),
        (" 72\n**Question 2:** How many?", " 72"),
        (" 72\n\nProblem 3: How many?", " 72"),
        (" 72\n问题：多少？", " 72"),
        (" 72<|im_end|>\nuser", " 72"),
        (" 72</s>", " 72"),
        # a second answer to the same question
        (" The answer is 50.\nA: The answer is 5.\nA: The answer is 1.", " The answer is 50."),
        (" The answer is 50.\nB: The answer is 5.", " The answer is 50."),
        (" So 50.\nA: The answer is 5.\n\nA: 1", " So 50.\nA: The answer is 5.\n"),
    ],
)
def test_cut_at_the_next_question_or_answer(output, kept):
    assert cut_run_on(output, NUMERIC) == (kept, True)


@pytest.mark.parametrize(
    "output",
    [
        "First paragraph.\n\nSecond paragraph: 72",
        "Q: the model repeats the question\nA: 72",
        "\n\nQuestion: it opens with one",
        "The question: how many? 72",
        "",
        "So 50.\nA: The answer is 5.",
        "The answer is found by adding.\nA: 5",
        "The answer is:\nA: 50",
        "A: 5\nB: 7",
        "The answer is 5.\nAt last",
    ],
)
def test_what_is_no_next_question_or_answer(output):
    assert cut_run_on(output, NUMERIC) == (output, False)


def test_own_head_and_own_separator():
    films = task("string", query="Review: {{ question }}\nSentiment:", separator="\n###\n")
    assert cut_run_on("good\nReview: bad one", films) == ("good", True)
    assert cut_run_on("good\n###\nnext", films) == ("good", True)
    assert cut_run_on("good\n###", films) == ("good", True)
    assert cut_run_on("good\n### Step 2", films) == ("good\n### Step 2", False)
    plain = task("string", query="The film {{ question }} is")
    assert cut_run_on("nice.\nThe film is long", plain) == ("nice.\nThe film is long", False)
    assert cut_run_on("nice.\n\nThe film Heat is", plain) == ("nice.", True)


@pytest.mark.parametrize(
    ("output", "answer", "flags"),
    [
        (" So the answer is 43900. The answer is 43900. The answer is 43", "43900", ("unfinished",)),
        ("The answer is $32. The answer is 2 years * $", "32", ("unfinished",)),
        ("The answer is 43", "43", ("unfinished",)),
        ("The answer is 18. The answer is 18.", "18", ()),
        ("9 + 9 = 18 eggs, 18 * 2 = 3", "18", ("no_trigger",)),
        ("One more step: 12 * 3 = 36", "36", ("no_trigger",)),
        ("One can see that the total is 36", "36", ("no_trigger",)),
        ("First 12 and then 3", "12", ("no_trigger",)),
        ("The answer to part one is 12. The answer is 43 dollars per day because he", "43", ()),
        ("3", "3", ("no_trigger",)),
        ("The answer is 5.\n\nQ: What is 7", "5", ("run_on",)),
        ("The answer is", None, ("empty_trigger", "unparsed")),
    ],
)
def test_what_the_token_limit_broke_into_counts_only_where_there_is_nothing_else(output, answer, flags):
    parsed = parse(output, NUMERIC, QUERY, where="trigger", cut=True)
    assert (parsed.answer, parsed.flags) == (answer, flags)


def test_a_cue_that_is_a_trigger_phrase_announces_nothing_by_itself():
    asked = task("numeric", query="Q: {{ question }}\nAnswer:")
    output = "Answer: There are 3 cars and 2 more arrive.\nAnswer: 5"
    assert cut_run_on(output, asked) == (output, False)
    assert parse(output, asked, QUERY, where="trigger").answer == "5"


def test_choices_that_are_listed_are_no_second_answers():
    output = " The best answer is found by looking at the options:\nA: ant\nB: bee\nSo the answer is B."
    assert parse(output, task("multiple_choice"), LETTERS, where="trigger").answer == "B"


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("A person who is able to learn", None),
        (" 1. A monkey in the wild.", None),
        ("The answer is A\nexplanation: it is so.", "A"),
        ("A\n\nso it is", "A"),
        ("A\nb is not", "A"),
        ("The answer is A not B.", "A"),
        ("The answer is A based on the text.", "A"),
        ("The answer is A when it rains.", "A"),
        ("A has the money", "A"),
        (" A: A: A: A:", None),
    ],
)
def test_a_letter_and_an_article(output, answer):
    assert parse(output, task("multiple_choice"), LETTERS, where="first").answer == answer


@pytest.mark.parametrize(
    ("output", "answer", "flags"),
    [
        ("The answer is A. Wait, the correct answer is B", "B", ()),
        ("The answer is (E) get. The answer is (B) bee. The answer is (", "B", ("unfinished",)),
        ("I rule out A as it is small. So option C", "C", ("no_trigger",)),
    ],
)
def test_a_letter_is_whole_where_the_output_was_cut(output, answer, flags):
    parsed = parse(output, task("multiple_choice"), LETTERS, where="trigger", cut=True)
    assert (parsed.answer, parsed.flags) == (answer, flags)


@pytest.mark.parametrize("output", [":\nA: The answer is:\nA: The answer is:\nA:", "The answer:", "Answer:"])
def test_an_empty_announcement_is_no_text(output):
    assert parse(output, task("string"), QUERY, where="first").answer is None


def test_run_on_is_flagged_and_not_read():
    parsed = parse(" The answer is 72.\n\nQ: And now?\nA: The answer is 5.", NUMERIC, QUERY)
    assert (parsed.answer, parsed.flags) == ("72", ("run_on",))


OUTPUT = "There are 3 boxes of 4. The answer is 12. I counted 2 times."


@pytest.mark.parametrize(("where", "answer"), [("first", "3"), ("last", "2"), ("trigger", "12")])
def test_the_three_policies(where, answer):
    parsed = parse(OUTPUT, NUMERIC, QUERY, where=where)
    assert parsed.answer == answer
    assert OUTPUT[slice(*parsed.span)] == answer
    assert parsed.flags == ()


@pytest.mark.parametrize(
    ("output", "answer", "flags"),
    [
        ("So 3 + 4 = 7", "7", ("no_trigger",)),
        ("So 7. The answer is", "7", ("empty_trigger",)),
        ("The answer is 7. Surely the answer is that", "7", ("empty_trigger",)),
        ("The answer is blue", None, ("empty_trigger", "unparsed")),
        ("Nothing", None, ("no_trigger", "unparsed")),
    ],
)
def test_flags(output, answer, flags):
    parsed = parse(output, NUMERIC, QUERY)
    assert (parsed.answer, parsed.flags) == (answer, flags)


def test_span_of_a_formatted_number():
    output = "The answer is $1,234.50 in all"
    parsed = parse(output, NUMERIC, QUERY)
    assert parsed.answer == "1234.5"
    assert output[slice(*parsed.span)] == "$1,234.50"


def test_audit():
    result = audit(OUTPUT, NUMERIC, QUERY)
    assert result.as_dict() == {
        "first": "3",
        "last": "2",
        "trigger": "12",
        "flags": ["first_last_disagree", "first_trigger_disagree", "last_trigger_disagree"],
    }
    assert result.disagree


def test_audit_compares_by_value_and_knows_no_trigger():
    result = audit("It is 72.0, that is 72", NUMERIC, QUERY)
    assert result.trigger is None
    assert result.flags == ("no_trigger",)
    assert not result.disagree


@pytest.mark.parametrize(
    ("output", "kind", "where", "answer"),
    [
        (" 3 boxes, 12.", "numeric", "first", "3"),
        ("It is 1,234. The answer is 5.", "numeric", "first", "1234"),
        ("It is 3. The answer is 12. and 4", "numeric", "trigger", "12"),
        ("It is 3 or 12.", "numeric", "trigger", "12"),
        ("Because (B) is", "multiple_choice", "first", "B"),
        ("I saw A Bee. The answer is (C)", "multiple_choice", "trigger", "C"),
        ("BC. So C", "multiple_choice", "first", "B"),  # the published fault: a letter inside a word
        ("No, it is.", "boolean", "first", "no"),
        ("yes\nno", "boolean", "trigger", "no"),
        (' "n k".', "string", "first", "nk"),
        ("nothing", "numeric", "first", None),
        ("", "boolean", "trigger", None),
    ],
)
def test_published_cleansing(output, kind, where, answer):
    asked = task(kind, labels=("yes", "no") if kind == "boolean" else ())
    assert parse(output, asked, LETTERS, where=where, rules="zero_shot_cot").answer == answer


def test_published_cleansing_maps_words_to_labels():
    asked = replace(task("boolean", labels=("1", "0")), verbalisers={"1": "Yes", "0": "No"})
    assert parse("Yes.", asked, QUERY, where="first", rules="zero_shot_cot").answer == "1"


@pytest.mark.parametrize(
    ("answer", "gold", "kind", "same"),
    [
        ("72", "72.0", "numeric", True),
        ("72", "$72", "numeric", True),
        ("1/2", "0.5", "numeric", True),
        ("1,000", "1000", "numeric", True),
        ("72", "73", "numeric", False),
        ("0.333", "1/3", "numeric", False),
        ("-5", "5", "numeric", False),
        (None, "5", "numeric", False),
        ("yzle", "Yzle", "string", True),
        ("y z l e", "yzle", "string", True),
        ("y-z-l-e", "yzle", "string", True),
        ("ant, bee, cow", "ant bee cow", "string", True),
        ("antbee cow", "ant bee cow", "string", False),
        ("脾胃论", "《脾胃论》", "string", True),
        ("", "", "string", True),
        ("...", "-", "string", False),
        ("b", "B", "multiple_choice", True),
        ("Yes", "yes", "boolean", True),
        ("pos", "neg", "classification", False),
    ],
)
def test_equivalent(answer, gold, kind, same):
    assert equivalent(answer, gold, task(kind)) is same
