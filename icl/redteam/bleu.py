"""Self-BLEU (Zhu et al. 2018): how far texts of a set are like the others. Higher is less diverse."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from icl.instructions.similarity import rouge_words

ORDER = 4
Gram: TypeAlias = tuple[str, ...]


def self_bleu(texts: Sequence[str]) -> float | None:
    """The mean over texts of BLEU-4 with all others as references, 0 to 100; None of fewer than two.

    BLEU of a sentence as sacrebleu's (Post 2018): clipped precisions of 1 to 4 words, those of length 0 left
    out, exponential smoothing where one is 0, and the closest reference length in the brevity penalty. Words
    are those of ROUGE-L here: in lower case, a CJK character each one. A text without words scores 0.

    No pair is compared: a count is clipped by the largest one of any other text, for which the two largest
    of each n-gram are kept. It grows with the number of texts: compare sets of one size.
    """
    if len(texts) < 2:
        return None
    words = [rouge_words(text) for text in texts]
    grams = [[_grams(one, n) for n in range(1, ORDER + 1)] for one in words]
    largest = _two_largest(grams)
    lengths = sorted(map(len, words))
    scores = []
    for own, counted in zip(words, grams, strict=True):
        matches, totals = [], []
        for counts in counted:
            totals.append(counts.total())
            matches.append(sum(min(count, _other(largest[gram], count)) for gram, count in counts.items()))
        scores.append(_bleu(matches, totals, len(own), _closest(lengths, len(own))))
    return sum(scores) / len(scores)


def _grams(words: Sequence[str], n: int) -> Counter[Gram]:
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _two_largest(grams: Sequence[Sequence[Counter[Gram]]]) -> dict[Gram, tuple[int, int]]:
    """N-gram -> its largest count in a text, and the largest in any other."""
    found: dict[Gram, tuple[int, int]] = {}
    for counted in grams:
        for counts in counted:
            for gram, count in counts.items():
                first, second = found.get(gram, (0, 0))
                found[gram] = (max(first, count), max(second, min(first, count)))
    return found


def _other(largest: tuple[int, int], own: int) -> int:
    """The largest count in another text than one that has `own`."""
    return largest[1] if own == largest[0] else largest[0]


def _closest(lengths: Sequence[int], own: int) -> int:
    """The length of another text that is closest; of two the shorter. lengths: of all, sorted."""
    at = bisect_left(lengths, own)
    near = [lengths[other] for other in (at - 1, at + 1) if 0 <= other < len(lengths)]
    return min(near, key=lambda length: (abs(length - own), length))


def _bleu(matches: Sequence[int], totals: Sequence[int], length: int, reference: int) -> float:
    if not any(matches):
        return 0.0
    logs, smoothing = [], 1.0
    for hit, total in zip(matches, totals, strict=True):
        if not total:
            break
        if not hit:
            smoothing *= 2
        logs.append(math.log(hit / total if hit else 1 / (smoothing * total)))
    brevity = 1 - reference / length if length < reference else 0.0
    return 100 * math.exp(brevity + sum(logs) / len(logs))
