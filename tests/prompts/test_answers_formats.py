"""Reading answers: worked cases, one table a format."""

import pytest

from icl.prompts.answers import parse
from icl.types import Query, Task, Template


def task(kind, labels=()):
    return Task("t", kind, Template(query="Q: {{ question }}\nA:"), ("question",), labels=labels)


NUMERIC, STRING, CHOICE = task("numeric"), task("string"), task("multiple_choice")
YES_NO, TRUE_FALSE = task("boolean", ("yes", "no")), task("boolean", ("True", "False"))
LABELS = Task(
    "trec",
    "classification",
    Template(query="Question: {{ text }}\nType:"),
    ("text",),
    labels=("ABBR", "number", "card_arrival", "card_arrival_date", "pos"),
    verbalisers={"ABBR": "Abbreviation", "pos": "positive"},
)
QUERY = Query("q", {"question": "?"})
WHERE_TO = Query(
    "q",
    {"question": "Where?"},
    {"A": "race track", "B": "populated areas", "C": "the desert", "D": "apartment", "E": "roadblock"},
)
AMOUNTS = Query("q", {"question": "?"}, {"A": "$1200", "B": "12%", "C": "3/4", "D": "120", "E": "None"})


def read(output, asked, query=QUERY, where=None):
    return parse(output, asked, query, where=where).answer


CHAIN = [
    ("Natalia sold 48/2 = 24 clips in May.\nAltogether 48+24 = 72 clips.\n#### 72", "72"),
    ("She has 5 left. The answer is 18. She is happy with 3 of them.", "18"),
    ("The answer is $1,234.50.", "1234.5"),
    ("So it costs 7.00 dollars in total.", "7"),
    ("The answer is 72 km/h.", "72"),
    ("Final answer: **42**", "42"),
    ("Thus, the final answer is \\boxed{\\frac{3}{4}}.", "0.75"),
    ("\\[ x = 20 \\]\nSo we get \\boxed{1{,}000}", "1000"),
    ("The answer is \\$18\\,.", "18"),
    ("The answer is 1 1/2 cups.", "1.5"),
    ("The answer is 3/4.", "0.75"),
    ("The answer is 1/3 of it.", "1/3"),
    ("The answer is 2½ hours", "2.5"),
    ("The answer is -5 degrees.", "-5"),
    ("The answer is −5 degrees.", "-5"),
    ("It is minus 5 degrees", "-5"),
    ("The answer is -$5.50", "-5.5"),
    ("The profit was $-3", "-3"),
    ("The answer is 25%.", "25"),
    ("The answer is 25 percent.", "25"),
    ("答案是１２３。", "123"),
    ("答案是１，２３４。", "1234"),
    ("所以一共有 29 台电脑。", "29"),
    ("答案是二十九台。", "29"),
    ("答案：三万五千", "35000"),
    ("答案是1.5亿", "150000000"),
    ("答案为12万5千元", "125000"),
    ("答案是12万5000。", "125000"),
    ("答案是一百零五", "105"),
    ("答案是两千三", "2300"),
    ("答案是三点一四", "3.14"),
    ("答案是百分之二十五", "25"),
    ("答案是三分之一", "1/3"),
    ("答案是负五度", "-5"),
    ("他们相距5千米", "5"),
    ("The answer is twelve.", "12"),
    ("The answer is twelve, since 5 + 7 = 12.", "12"),
    ("The answer is one hundred and twenty-five.", "125"),
    ("The answer is two million three hundred thousand and six.", "2300006"),
    ("The answer is 5 million.", "5000000"),
    ("The answer is $80k.", "80000"),
    ("The answer is 3.2e5.", "320000"),
    ("The answer is 3.2 x 10^5 metres", "320000"),
    ("The answer is 3.2 \\times 10^{-2}", "0.032"),
    ("The answer is 5×10⁻³", "0.005"),
    ("The answer is 0.50", "0.5"),
    ("The answer is .5", "0.5"),
    ("The answer is -0.", "0"),
    ("The answer is 007.", "7"),
    ("The answer is 20 - 12 = 8 apples.", "8"),
    ("The answer is $5 x 4 = $20.", "20"),
    ("The answer is 5 * (3 + 2) = 25.", "25"),
    ("The answer is 3 and not 4 = 5.", "3"),
    ("20 -12 = 8", "8"),
    ("He has 10-3 apples, that is 7", "7"),
    ("1. Add 3 and 4.\n2. You get 7 apples.\n3. Done", "7"),
    ("Total = 15 apples.\nStep 3: Check the work.", "15"),
    ("x2 is 9 and that is all of x2", "9"),
    ("The answer to the problem is 6.", "6"),
    ("The answer (arabic numerals) is 6.", "6"),
    ("The correct answer would be: 6", "6"),
    ("The answer is unknown, but 5 were sold. The answer is", "5"),
    ("He sold 5. The answer is", "5"),
    ("On the 3rd day he had 12 of the 5th kind", "12"),
    ("So 18 is the answer.", "18"),
    ("12,500 and 300", None),
    ("The sum is 1,2,3", None),
    ("#### Step 2: Compute\n4 + 4 = 8", "8"),
    ("", None),
    ("I do not know.", None),
    ("9" * 5000, None),
]


@pytest.mark.parametrize(("output", "answer"), CHAIN)
def test_numeric_by_trigger(output, answer):
    assert read(output, NUMERIC) == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (" 72\n\nQ: How many is 3 + 4?\nA: 7", "72"),
        (" 5. There are 5 apples and 3 pears.", "5"),
        (" twelve apples, 5 of them red", "12"),
        (" She has 12 in 3 boxes.", "12"),
        ("1. First add 4 and 5.\n2. Then 9.", "4"),
        ("$5 - $3 = $2", "2"),
    ],
)
def test_numeric_first(output, answer):
    assert read(output, NUMERIC, where="first") == answer


def test_numeric_last():
    assert read("The answer is 3. I checked it 4 times", NUMERIC, where="last") == "4"


LETTERS = [
    ("People are in populated areas. So the answer is (B).", "B"),
    ("The answer is B.", "B"),
    ("The answer is B because A is too far.", "B"),
    ("The answer is (b).", "B"),
    ("the answer is b", "B"),
    ("The answer is c because it is dry", "C"),
    ("Answer: **B**", "B"),
    ("\\boxed{B}", "B"),
    ("\\boxed{\\text{B}}", "B"),
    ("The correct option is B", "B"),
    ("The answer is populated areas.", "B"),
    ("The answer is the Populated  Areas (B).", "B"),
    ("The answer is A populated areas", "B"),
    ("The answer is: B) populated areas", "B"),
    ("Option (A) is a race track. Option (B) is it.\nTherefore, (B) populated areas", "B"),
    ("A person wants to go to populated areas", "B"),
    ("(A) no (B) no (C) no. I choose D.", "D"),
    ("BAD CABBAGE. The answer is C.", "C"),
    ("所以答案是（C）。", "C"),
    ("因此选D。", "D"),
    ("应选择（D）", "D"),
    ("A:", None),
    ("A: (B) populated areas", "B"),
    ("A: race track", "A"),
    ("I think a dog is nice", None),
    ("The answer is F.", None),
    ("", None),
]


@pytest.mark.parametrize(("output", "answer"), LETTERS)
def test_multiple_choice(output, answer):
    assert read(output, CHOICE, WHERE_TO) == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (" B", "B"),
        (" (B)\n\nQ: next\nA: (C)", "B"),
        (" populated areas, not a race track", "B"),
        (" A. race track or B. populated areas", None),
        (" B populated areas\nC", "B"),
    ],
)
def test_multiple_choice_first(output, answer):
    assert read(output, CHOICE, WHERE_TO, where="first") == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("The answer is 1,200 dollars.", "A"),
        ("The answer is 120.", "D"),
        ("The answer is 0.75.", "C"),
        ("The answer is None.", "E"),
        ("So we get 1200.", "A"),
    ],
)
def test_multiple_choice_by_value(output, answer):
    assert read(output, CHOICE, AMOUNTS) == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("The coin was flipped twice. So the answer is yes.", "yes"),
        ("So the answer is no.", "no"),
        ("The answer is no because it was flipped.", "no"),
        ("Yes, it is. There is no doubt about it.", "yes"),
        ("There is no evidence. So, yes.", "yes"),
        ("The answer (Yes or No) is No.", "no"),
        ("Yes or no? No.", "no"),
        ("It is not true.", "no"),
        ("So it is false", "no"),
        ("**Yes**", "yes"),
        ("\\boxed{\\text{Yes}}", "yes"),
        ("答案是否。", "no"),
        ("答案是是的。", "yes"),
        ("硬币是正面吗？是。", "yes"),
        ("是否正面朝上？不是。", "no"),
        ("No, no, no, no", "no"),
        ("I know nothing", None),
        ("Yesterday I noticed", None),
    ],
)
def test_boolean(output, answer):
    assert read(output, YES_NO) == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("not True = False. So the answer is False.", "False"),
        ("Plugging in A, we get Z = not False = True.", "True"),
        ("The answer is no.", "False"),
        ("the answer is TRUE", "True"),
    ],
)
def test_boolean_true_false(output, answer):
    assert read(output, TRUE_FALSE) == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (" Abbreviation\n\nQuestion: x\nType: number", "ABBR"),
        (" abbreviation", "ABBR"),
        ("It is a number, not an abbreviation", "number"),
        (" card_arrival_date", "card_arrival_date"),
        (" card arrival date", "card_arrival_date"),
        (" card_arrival", "card_arrival"),
        (" positively", None),
        ("The answer is number. Or positive.", "number"),
        ("", None),
    ],
)
def test_classification(output, answer):
    assert read(output, LABELS) == answer


def test_classification_in_chinese_needs_no_spaces():
    tnews = Task(
        "tnews",
        "classification",
        Template(query="{{ t }}\n类别："),
        ("t",),
        labels=("s", "f"),
        verbalisers={"s": "体育", "f": "财经"},
    )
    assert read("这是一条财经新闻", tnews) == "f"


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ('The last letter of "Ann" is "n". Concatenating them is "nk". The answer is nk.', "nk"),
        ('Concatenating them is "nk".', "nk"),
        ('The answer is "nk" because of that.', "nk"),
        ("So the answer is **nk**.", "nk"),
        ("The answer is: nk\n\nQ: more\nA: x", "nk"),
        ("The answer is ant bee cow. These are sorted.", "ant bee cow"),
        ("The sorted list is: ant bee cow", "ant bee cow"),
        ("The answer is \\boxed{\\text{nk}}.", "nk"),
        ("答案是《脾胃论》。", "《脾胃论》"),
        ("The answer is J. K. Rowling. She wrote it.", "J. K. Rowling"),
        (" nk", "nk"),
        ("A: nk", "nk"),
        ('The sorted list is:\n\n1. ant\n2. "bee"\n3. cow\n\nDone.', "ant bee cow"),
        ("The answer is:\n* ant\n* bee", "ant bee"),
        ("List:\n- ant", "- ant"),
        ("   \n", None),
        ('""', None),
    ],
)
def test_string(output, answer):
    assert read(output, STRING) == answer


@pytest.mark.parametrize(
    ("output", "answer"),
    [(' "nk".\n\nQ: next', "nk"), (" ant bee cow\nant", "ant bee cow"), (" The answer is nk. Since", "nk")],
)
def test_string_first(output, answer):
    assert read(output, STRING, where="first") == answer
