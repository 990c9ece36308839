"""BERTScore between many texts at once: how well each token of one finds its like in the other.

Zhang et al. 2020, BERTScore: Evaluating Text Generation with BERT. P(a, b) is the mean over the
tokens of a of the highest cosine with a token of b (greedy matching); F1 = 2 P(a, b) P(b, a) /
(P(a, b) + P(b, a)). Without idf weights and without rescaling by a baseline; the tokens' vectors are
those of the experiment's encoder, its special tokens left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icl.errors import ConfigError
from icl.protocols import Encoder, TokenEncoder

Tokens = NDArray[np.float32]
"""[n, d] unit rows, one a token of a text; n >= 1."""
_CELLS = 1 << 23
"""Token pairs looked at together: 32 MB of cosines."""
_KEPT = 1 << 17
"""Token vectors kept between calls: 200 MB at 384 floats."""


def f1(left: Sequence[Tokens], right: Sequence[Tokens]) -> NDArray[np.float64]:
    """[len(left), len(right)] BERTScore F1 of all pairs; 0 where nothing is alike.

    Memory: a block of at most 8 million token pairs, and [tokens of left, len(right)].
    """
    precision = _mean_best(left, right)
    recall = precision.T if left is right else _mean_best(right, left).T
    alike = (precision > 0) & (recall > 0)
    total = np.where(alike, precision + recall, 1.0)
    return np.where(alike, 2 * precision * recall / total, 0.0)


def _mean_best(left: Sequence[Tokens], right: Sequence[Tokens]) -> NDArray[np.float64]:
    """[len(left), len(right)] mean over the tokens of the one of the best cosine in the other."""
    if not left or not right:
        return np.zeros((len(left), len(right)))
    rows, columns = np.concatenate(left), np.concatenate(right)
    best = np.empty((len(rows), len(right)), dtype=np.float32)
    step = max(_CELLS // len(columns), 1)
    for start in range(0, len(rows), step):
        cosines = rows[start : start + step] @ columns.T
        np.maximum.reduceat(cosines, _starts(right), axis=1, out=best[start : start + step])
    sums = np.add.reduceat(best, _starts(left), axis=0, dtype=np.float64)
    return np.asarray(sums / np.array([[len(tokens)] for tokens in left]), dtype=np.float64)


def _starts(texts: Sequence[Tokens]) -> NDArray[np.int64]:
    """[len(texts)] where each text's first token stands among all of them."""
    lengths = np.array([len(tokens) for tokens in texts], dtype=np.int64)
    return np.cumsum(lengths) - lengths


def naive_f1(left: Tokens, right: Tokens) -> float:
    """F1 of one pair, token by token: the oracle of `f1`."""
    precision = sum(max(float(a @ b) for b in right) for a in left) / len(left)
    recall = sum(max(float(a @ b) for a in left) for b in right) / len(right)
    return 2 * precision * recall / (precision + recall) if min(precision, recall) > 0 else 0.0


class TokenStore:
    """Token vectors of texts, the latest used kept: neighbours of one query are often another's.

    `owner`: who asks, for the message. ConfigError where the encoder has no vectors of tokens.
    """

    def __init__(self, owner: str, encoder: Encoder) -> None:
        if not isinstance(encoder, TokenEncoder):
            raise ConfigError(f"{owner}: {no_tokens(encoder.name)}")
        self._encoder = encoder
        self._kept: OrderedDict[str, Tokens] = OrderedDict()
        self._rows = 0

    def of(self, texts: Sequence[str]) -> list[Tokens]:
        """One matrix a text, in order; those that are not known are encoded in one call."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._kept]
        for text, tokens in zip(unknown, self._encoder.encode_tokens(unknown), strict=True):
            self._kept[text] = tokens
            self._rows += len(tokens)
        found = [self._kept[text] for text in texts]
        for text in texts:
            self._kept.move_to_end(text)
        while self._rows > _KEPT and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._rows -= len(dropped)
        return found


def no_tokens(name: str) -> str:
    """What to say of an encoder without vectors of tokens."""
    return (
        f"encoder {name!r} has no vectors of single tokens, which BERTScore compares; take a "
        "sentence-transformers model such as 'minilm', or similarity: cosine"
    )
