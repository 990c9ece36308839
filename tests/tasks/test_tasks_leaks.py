"""Test items within rows: exact, normalised, by a long n-gram; and what is not one."""

from __future__ import annotations

import pytest

from icl.instructions.rows import InstructionRow
from icl.tasks.leaks import LeakIndex
from icl.types import Example

LONG = (
    "The committee that was formed last spring has now decided to close the old library on the hill for "
    "good, whatever the neighbours say."
)
ITEMS = (
    Example("1", {"text": "A gripping film, from the first shot to the last!"}, "positive"),
    Example("2", {"premise": "A man is playing the guitar.", "hypothesis": "Nobody plays a thing here"}, "x"),
    Example("3", {"text": LONG}, "y"),
    Example("4", {"text": "So dull"}, "negative"),
    Example("5", {"text": "这部电影从头到尾都非常好看"}, "positive"),
)


def found(**fields: str) -> tuple[str, str] | None:
    row = InstructionRow("r", **fields)
    return LeakIndex({"films": ITEMS}).find(row.whole, row.fields)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"instruction": "Say what it is: A gripping film, from the first shot to the last!"}, "exact"),
        ({"instruction": "Label.", "input": "a gripping FILM from the first shot to the last"}, "normalised"),
        ({"output": "I wrote: A gripping film, from the first shot to the last! Then I left."}, "exact"),
        ({"text": "So it was. A gripping film, from the first shot to the last!"}, "exact"),
        (
            {"input": "A man is playing the guitar.\nHence: Nobody plays a thing here"},
            "exact",
        ),
        ({"output": "has now decided to close the old library on the hill for good, they say"}, "n-gram"),
        ({"instruction": "Say it.", "input": "So dull"}, "exact"),
        ({"instruction": "Say it.", "input": "so dull!"}, "normalised"),
        ({"instruction": "判断情感：", "input": "这部电影，从头到尾都非常好看！"}, "normalised"),
    ],
)
def test_an_item_in_a_row_is_found(fields: dict[str, str], kind: str) -> None:
    assert found(**fields) == ("films", kind)


@pytest.mark.parametrize(
    "fields",
    [
        {"instruction": "Write about a gripping film, from the first shot on."},
        {"instruction": "A man is playing the guitar.", "output": "Is he?"},  # one input of two
        {"instruction": "This was so dull that I slept."},  # a short item only counts as a whole field
        {"output": "decided to close the old library on the hill"},  # nine words in common
        {"text": "A gripping film, from the first shots to the lasting"},  # no border of a word
        {"instruction": "这部电影从头到尾都不好看"},
    ],
)
def test_what_is_near_is_not_one(fields: dict[str, str]) -> None:
    assert found(**fields) is None


def test_kinds_are_counted_by_task() -> None:
    index = LeakIndex({"films": ITEMS, "none": ()})
    for text in ("So dull", "so dull", "nothing at all of it"):
        index.find(f"Q\n{text}", ("Q", text))
    assert index.plain["films"] == {"test_items": 5, "exact": 1, "normalised": 1, "n-gram": 0}
    assert index.plain["none"]["test_items"] == 0
    assert index.fresh().plain["films"]["exact"] == 0


def _problem(number: int, name: str, rest: str = "") -> Example:
    text = f"{name} buys {number} crates of apples at the market of the old town and sells half of them{rest}"
    return Example(f"{name}{number}", {"text": text}, "1")


def test_a_frame_with_other_numbers_is_no_overlap() -> None:
    tests = [_problem(number, name) for number, name in ((3, "Ann"), (4, "Ben"), (5, "Cem"), (6, "Dan"))]
    row = _problem(3, "Eva").text
    assert LeakIndex({"few": tests[:3]}).find(row, (row,)) == ("few", "n-gram")
    index = LeakIndex({"problems": tests})
    assert index.find(row, (row,)) is None, "3 crates of apples, as Ann's, and nothing else of hers"
    assert index.find(f"Q: {tests[0].text}", ()) == ("problems", "exact")
    own = " to a friend who makes very good cider of them in a shed behind his house"
    longer = LeakIndex({"problems": [*tests, _problem(7, "Fay", own)]})
    assert longer.find(f"It went{own}", ()) == ("problems", "n-gram"), "what stands in one item alone"


def test_a_text_that_many_items_share_is_no_frame() -> None:
    items = [Example(str(n), {"premise": LONG, "hypothesis": f"Claim {n}"}, "x") for n in range(9)]
    assert LeakIndex({"nli": items}).find(LONG, (LONG,)) == ("nli", "n-gram")


def test_the_n_gram_has_a_least_length() -> None:
    with pytest.raises(ValueError, match="allowed: at least 5 words"):
        LeakIndex({}, ngram=3)
    shorter = LeakIndex({"films": ITEMS}, ngram=8)
    assert shorter.find("decided to close the old library on the hill", ()) == ("films", "n-gram")
    assert shorter.said() == "1 n-gram"
    assert shorter.fingerprint != LeakIndex({"films": ITEMS}).fingerprint
    assert LeakIndex({"none": ()}).fingerprint != LeakIndex({}).fingerprint, "its line stands in the card"
