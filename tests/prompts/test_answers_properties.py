"""What holds for any output: no exception, spans inside the text, canonical forms read as themselves."""

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl.prompts.answers import audit, equivalent, parse
from icl.prompts.answers.numbers.find import as_number, canonical, find_numbers
from icl.prompts.answers.numbers.words import read_chinese, read_english
from icl.types import Query, Task, Template


def task(kind, labels=(), verbalisers=None):
    template = Template(query="Q: {{ question }}\nA:", separator="\n\n")
    return Task("t", kind, template, ("question",), labels, verbalisers or {})


TASKS = [
    task("numeric"),
    task("string"),
    task("multiple_choice"),
    task("boolean", ("yes", "no")),
    task("boolean", ("True", "False")),
    task(
        "classification", ("neg", "pos", "very_pos"), {"neg": "bad", "pos": "good", "very_pos": "very good"}
    ),
]
QUERY = Query("q", {"question": "?"}, {"A": "ant hill", "B": "12", "C": "$1,200.50", "D": "(b)", "E": ""})

PHRASES = [
    "The answer is",
    "answer:",
    "####",
    "\\boxed{",
    "}",
    "答案是",
    "\n",
    "\n\n",
    "Q:",
    " ",
    ".",
    ",",
    "$",
]
PHRASES += [
    "-",
    "−",
    "(",
    ")",
    '"',
    "'",
    "**",
    "/",
    "%",
    "=",
    "+",
    "A",
    "B",
    "(C)",
    "a",
    "yes",
    "No",
    "true",
    "是",
]
PHRASES += [
    "不",
    "否",
    "12",
    "3",
    "4.5",
    "1,200",
    "½",
    "e5",
    "×10^3",
    "二十",
    "三万",
    "亿",
    "点",
    "分之",
    "twenty",
]
PHRASES += [
    "one",
    "hundred",
    "and",
    "million",
    "good",
    "very good",
    "bad",
    "ant hill",
    "St.",
    "１２",
    "，",
    "x2",
]
PHRASES += ["\\frac{1}{2}", "\\text{", "Step 1", "1.", "2.", "5th", "\u3000", "²", "Ⅷ", "٣"]
PIECES = st.sampled_from(PHRASES)
OUTPUTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))


# Patterns are compiled when they are first used: the first example takes longer
@settings(deadline=None)
@given(
    output=OUTPUTS,
    asked=st.sampled_from(TASKS),
    where=st.sampled_from(["first", "last", "trigger", None]),
    cut=st.booleans(),
)
def test_never_raises_and_spans_lie_inside(output, asked, where, cut):
    parsed = parse(output, asked, QUERY, where=where, cut=cut)
    assert (parsed.answer is None) == (parsed.span is None)
    assert ("unparsed" in parsed.flags) + ("abstained" in parsed.flags) == (parsed.answer is None)
    if parsed.span is not None:
        start, end = parsed.span
        assert 0 <= start < end <= len(output)


@given(output=OUTPUTS, asked=st.sampled_from(TASKS), where=st.sampled_from(["first", "last", "trigger"]))
def test_a_canonical_answer_reads_as_itself(output, asked, where):
    answer = parse(output, asked, QUERY, where=where).answer
    if answer is not None:
        assert parse(answer, asked, QUERY, where=where).answer == answer
        assert equivalent(answer, answer, asked)


@given(output=OUTPUTS, asked=st.sampled_from(TASKS), where=st.sampled_from(["first", "last", "trigger"]))
def test_what_can_be_read_can_be_read_of_a_cut_output_too(output, asked, where):
    whole, cut = (parse(output, asked, QUERY, where=where, cut=cut) for cut in (False, True))
    # Not the other way round: of a broken-off last sentence with several numbers the last whole one counts
    assert whole.answer is None or cut.answer is not None


@given(output=OUTPUTS, asked=st.sampled_from(TASKS))
def test_answers_are_of_the_tasks_form(output, asked):
    answer = parse(output, asked, QUERY).answer
    if answer is not None and asked.labels:
        assert answer in asked.labels
    elif answer is not None and asked.kind == "multiple_choice":
        assert answer in QUERY.choices


@given(output=OUTPUTS, asked=st.sampled_from(TASKS), where=st.sampled_from(["first", "trigger"]))
def test_the_published_cleansing_and_the_audit_never_raise(output, asked, where):
    parse(output, asked, QUERY, where=where, rules="zero_shot_cot")
    assert isinstance(audit(output, asked, QUERY).as_dict()["flags"], list)


@given(st.fractions(max_denominator=10_000))
def test_canonical_numbers_keep_their_value(value):
    text = canonical(value)
    assert as_number(text) == value
    assert [n.value for n in find_numbers(f"so {text} it is")] == [value]


@given(st.integers(-(10**12), 10**12))
def test_thousands_separators(value):
    assert as_number(f"${value:,}" if value >= 0 else f"-${-value:,}") == value


SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
SMALL += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_english(n):
    """An independent writer of number words."""
    for size, word in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if n >= size:
            rest = f" {in_english(n % size)}" if n % size else ""
            return f"{in_english(n // size)} {word}{rest}"
    if n < 20:
        return SMALL[n]
    return TENS[n // 10] + (f"-{SMALL[n % 10]}" if n % 10 else "")


@given(st.integers(0, 999_999_999))
def test_english_words(n):
    words = in_english(n)
    assert read_english(words) == n
    assert as_number(words) == n or n == 1


def in_chinese(n):
    """An independent writer of Chinese numerals up to 10^8."""
    if n >= 10_000:
        low = n % 10_000
        return in_chinese(n // 10_000) + "万" + ("零" * (0 < low < 1000) + in_chinese(low) if low else "")
    text, gap = "", False
    for size, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // size % 10
        if digit:
            text += ("零" if gap and text else "") + "零一二三四五六七八九"[digit] + unit
            gap = False
        else:
            gap = True
    return text or "零"


@given(st.integers(0, 99_999_999))
def test_chinese_numerals(n):
    assert read_chinese(in_chinese(n)) == n


@pytest.mark.parametrize("words", ["two three", "twenty thirty", "five twenty", "zero five"])
def test_what_is_no_number_in_words(words):
    assert read_english(words) is None


@pytest.mark.parametrize("value", [Fraction(10) ** 300, Fraction(1, 10**301)])
def test_numbers_too_long_to_be_answers(value):
    assert canonical(value) is None


@pytest.mark.parametrize(
    "output",
    [
        "1," * 10_000,
        "9" * 20_000,
        "one and " * 4_000,
        "一" * 20_000,
        "(a " * 8_000,
        '"' * 20_000,
        "answer " * 4_000,
        "It is 3 × 10⁸⁸⁸⁸⁸⁸⁸⁸⁸.",
        "6*10⁻⁷⁷⁷⁷⁷⁷⁷⁷ or 7e555555555",
        "2.5亿" * 5_000,
        "The answer is " + "2x+" * 7_000,
        "The answer is " + "2x = " * 5_000,
        "The answer is 2x = 4" + " x = .a" * 3_000 + " 1" * 3_000,
    ],
)
def test_long_outputs_are_read_in_time(output):
    for asked in TASKS:
        start = time.process_time()
        parse(output, asked, QUERY)
        assert time.process_time() - start < 2.0
