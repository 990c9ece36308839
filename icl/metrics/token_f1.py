"""Token F1 of SQuAD."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from icl.metrics.shared.mean import mean_score
from icl.protocols import metrics
from icl.types import Task

_CJK = re.compile(r"([\u3400-\u9fff])")


def tokens(text: str) -> list[str]:
    """Lower-cased words without punctuation and the articles a, an, the; Chinese by character."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = "".join(c for c in text if not unicodedata.category(c).startswith(("P", "S")))
    text = re.sub(r"\b(?:a|an|the)\b", " ", text)
    return _CJK.sub(r" \1 ", text).split()


@metrics.register("token_f1", paper="Rajpurkar et al. 2016, SQuAD")
class TokenF1:
    """Overlap of the answer's and the gold's words: the harmonic mean of precision and recall."""

    def score(self, answer: str | None, gold: str, task: Task) -> float:
        """In [0, 1]; two texts without words are equal, a text without words matches no other."""
        if answer is None:
            return 0.0
        said, true = tokens(answer), tokens(gold)
        if not said or not true:
            return float(said == true)
        common = sum((Counter(said) & Counter(true)).values())
        return 2 * common / (len(said) + len(true))

    def aggregate(self, answers: Sequence[str | None], golds: Sequence[str], task: Task) -> float:
        """Mean score; ValueError without answers."""
        return mean_score(self.score, answers, golds, task)
