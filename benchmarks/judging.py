"""Tokens that judging 1,000 answers by eight rules forwards, against those of a plain engine.

    python -m benchmarks.judging                          # the fake model's tokens: bytes
    python -m benchmarks.judging smollm2-135m-instruct    # a model's own tokenizer; no weights are read

Rules are those of the shipped file `house`; the answers are pairs of a question and an answer of the bundled
rows, 1,000 different ones. Counted by the plan's own model, which forwards nothing.
"""

from __future__ import annotations

import itertools
import sys

from icl.engine import load_tokenizer
from icl.engine.fake import FakeModel
from icl.experiments.asking.judging import grade
from icl.experiments.asking.models import TokenizerOnly
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.graded import read_labelled
from icl.experiments.plan import RehearsalModel
from icl.judges.rules import ORDERS, Rules
from icl.judging import Item
from icl.types import Usage

ANSWERS = 1_000
CONTEXT = 1 << 20


def items(count: int = ANSWERS) -> list[Item]:
    """Different pairs of the bundled questions and answers."""
    rows = [row.item for row in read_labelled("violations")]
    questions = list(dict.fromkeys(item.question for item in rows))
    pairs = itertools.product((item.answer for item in rows), questions)
    return [Item(str(at), q, a) for at, (a, q) in enumerate(itertools.islice(pairs, count))]


def counted(order: str, model: str, count: int = ANSWERS) -> Usage:
    """Flat and forwarded tokens of `count` answers by all rules, the answer or the rule first."""
    tokenizer = FakeModel().tokenizer if model == "fake" else load_tokenizer(model)
    rehearsal = RehearsalModel(TokenizerOnly(model, tokenizer, lambda: CONTEXT))
    grade(Rules(order=order), items(count), rehearsal, ResponseStore())
    return rehearsal.total


def main(model: str = "fake") -> None:
    """A line an order."""
    for order in ORDERS:
        used = counted(order, model)
        ratio = used.tokens_flat / used.tokens_unique
        print(
            f"{order}: {used.requests:,} requests, {used.tokens_flat:,} tokens flat, "
            f"{used.tokens_unique:,} forwarded, {ratio:.1f} times fewer"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
