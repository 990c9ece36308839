"""Which of two answers is better, asked in both orders."""

from __future__ import annotations

from dataclasses import dataclass

from icl.components import check_flag, check_number
from icl.judges.shared.choices import NEAR, Choice, too_long, ungraded
from icl.judging import POSITION, TIE, Bench, Grading, Item, Verdict, judges

FIRST, SECOND = "first", "second"
SHOWN_FIRST, SHOWN_SECOND = "shown_first", "shown_second"
"""P that the item's first answer wins, in the order in which it is shown first, and second."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The fixed words, with the criterion where nobody gave one."""

    instruction: str
    criterion: str
    question: str
    one: str
    two: str
    ask: str


WORDS = {
    "en": Wording(
        "Two answers to a question are compared. Say which one is better: ",
        "more helpful, more accurate and more to the point.",
        "Question: ",
        "Answer A: ",
        "Answer B: ",
        "Better answer:",
    ),
    "zh": Wording(
        "比较同一问题的两个回答，指出哪一个更好：",
        "更有帮助、更准确、更切题。",
        "问题：",
        "回答A：",
        "回答B：",
        "更好的回答：",
    ),
}


@judges.register(
    "pairwise", paper="Zheng et al. 2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena"
)
class Pairwise:
    """Which of two answers is better: P(A) and P(B) from the labels' scores, in both orders.

    `criterion`: what better means, in words that end the first sentence. `tie_margin`: the two are a tie
    where the mean of the two orders is within it of one half. `position_ties`: the two are a tie, flagged
    position, where the two orders name different winners; false goes by the mean. `chat`: as the user's turn
    of the model's chat template.

    The verdict: label first, second or tie; score 1, 0 or 0.5, for the first answer; probabilities: first,
    the mean over the two orders of P(first wins), and its parts shown_first and shown_second; margin
    |first - 0.5|.
    """

    requires: frozenset[str] = frozenset({"other"})
    scores_labels = True
    labels = (FIRST, TIE, SECOND)
    single = True
    content = ""

    def __init__(
        self,
        *,
        criterion: str | None = None,
        tie_margin: float = 0.0,
        position_ties: bool = True,
        chat: bool = False,
    ) -> None:
        if criterion is not None and (not isinstance(criterion, str) or not criterion.strip()):
            raise ValueError(f"criterion is {criterion!r}; allowed: a text, such as 'more polite.'")
        check_number("tie_margin", tie_margin, low=0, high=0.5)
        check_flag("position_ties", position_ties)
        check_flag("chat", chat)
        self.criterion = criterion
        self.tie_margin = tie_margin
        self.position_ties = position_ties
        self.chat = chat

    def grade(self, item: Item, bench: Bench) -> Grading:
        """Two requests at once, one an order. ValueError for an item with one side."""
        if item.other is None:
            raise ValueError(f"item {item.id!r} has one side only")
        choices = [
            self._choice(item, item.answer, item.other),
            self._choice(item, item.other, item.answer),
        ]
        requests = [choice.request(bench, self.chat) for choice in choices]
        if too_long(requests, bench):
            return ungraded()
        responses = yield list(requests)
        ahead, behind = (c.probabilities(r)["A"] for c, r in zip(choices, responses, strict=True))
        found = {FIRST: (ahead + 1 - behind) / 2, SHOWN_FIRST: ahead, SHOWN_SECOND: 1 - behind}
        margin = abs(found[FIRST] - 0.5)
        disagree = (found[SHOWN_FIRST] - 0.5) * (found[SHOWN_SECOND] - 0.5) < 0
        flags = (POSITION,) * disagree + (("near_tie",) if margin < NEAR else ())
        if margin <= self.tie_margin or (disagree and self.position_ties):
            return Verdict(0.5, TIE, found, margin=margin, flags=(*flags, TIE))
        wins = found[FIRST] > 0.5
        return Verdict(float(wins), FIRST if wins else SECOND, found, margin=margin, flags=flags)

    def _choice(self, item: Item, one: str, two: str) -> Choice:
        words = WORDS["zh" if item.language.split("-")[0].lower() == "zh" else "en"]
        lines = [
            f"{words.instruction}{self.criterion or words.criterion}\n",
            f"{words.question}{item.question}",
            f"{words.one}{one}",
            f"{words.two}{two}",
            words.ask,
        ]
        return Choice("\n".join(lines), {"A": "A", "B": "B"})
