"""Correct, incorrect or not attempted: SimpleQA's grades."""

from __future__ import annotations

from icl.components import check_choice, check_flag, check_number
from icl.judges.shared.choices import Choice, margin_of, too_long, ungraded
from icl.judges.shared.grades import (
    CORRECT,
    INCORRECT,
    LETTERS,
    NOT_ATTEMPTED,
    read_as_published,
    read_grade,
    wording,
)
from icl.judging import UNREADABLE, Bench, Grading, Item, Verdict, judges
from icl.types import GenerateRequest, Generation

READ = ("labels", "text")


@judges.register("simpleqa", paper="Wei et al. 2024, SimpleQA; He et al. 2024, Chinese SimpleQA")
class SimpleQA:
    """Whether an answer is correct, incorrect or not attempted, held against a reference.

    `read`: labels, P(A), P(B), P(C) from their scores; or text, a written grade that is read strictly: one
    that cannot be read has no label and is flagged unreadable. `as_published`, of text: as published, the
    first capital A, B or C anywhere, none of them being not attempted. `max_tokens`: of a written grade.
    `chat`: as the user's turn of the model's chat template. Asked in Chinese where the item's language is zh.

    The verdict: label, score 1 for correct and 0 for the others, probabilities of the three labels, margin
    between the first and the second. An empty answer is not attempted; nobody is asked.
    """

    requires: frozenset[str] = frozenset({"golds"})
    labels = (CORRECT, INCORRECT, NOT_ATTEMPTED)
    single = True
    content = ""

    def __init__(
        self, *, read: str = "labels", as_published: bool = False, max_tokens: int = 16, chat: bool = False
    ) -> None:
        check_choice("read", read, READ)
        check_flag("as_published", as_published)
        check_number("max_tokens", max_tokens, low=1, whole=True)
        check_flag("chat", chat)
        if as_published and read != "text":
            raise ValueError("as_published is true, which is about written grades; it needs read: text")
        self.read = read
        self.as_published = as_published
        self.max_tokens = max_tokens
        self.chat = chat

    @property
    def scores_labels(self) -> bool:
        """See Judge."""
        return self.read == "labels"

    def grade(self, item: Item, bench: Bench) -> Grading:
        """One request: of scores for the three letters, or of a written grade."""
        if not item.answer.strip():
            return Verdict(0.0, NOT_ATTEMPTED, reasons=("empty",), flags=("empty",))
        choice = Choice(wording(item.language).text(item.question, item.golds, item.answer), LETTERS)
        request = choice.request(bench, self.chat)
        if too_long([request], bench, 1 if self.read == "labels" else self.max_tokens):
            return ungraded()
        if self.read == "labels":
            (response,) = yield [request]
            found = choice.probabilities(response)
            label, margin, flags = margin_of(found)
            return Verdict(float(label == CORRECT), label, found, margin=margin, flags=flags)
        (written,) = yield [GenerateRequest(request.prompt, max_tokens=self.max_tokens)]
        assert isinstance(written, Generation)
        text = written.samples[0].text
        read = read_as_published(text) if self.as_published else read_grade(text)
        if read is None:
            return ungraded(UNREADABLE, text)
        return Verdict(float(read == CORRECT), read, output=text)
