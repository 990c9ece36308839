"""Sentence vectors without a model: hashed bags of words. For tests and for machines without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from icl.encoders.words import words


class HashEncoder:
    """Counts of words, hashed into `dimension` signed buckets and scaled to unit length.

    Two texts with the same words have the same vector; texts that share none are almost
    orthogonal. Deterministic across machines and processes.
    """

    source = "built in"

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension

    @property
    def name(self) -> str:
        """What an experiment calls it."""
        return "hashed"

    @property
    def fingerprint(self) -> str:
        """Changes whenever a vector may change."""
        return f"hashed-{self.dimension}-1"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, dimension] unit rows. A text without words gets the first axis."""
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(analyzer=words, n_features=self.dimension, norm="l2", dtype=np.float32)
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        rows = cast("NDArray[np.float32]", vectorizer.transform(list(texts)).toarray())
        rows[~rows.any(axis=1), 0] = 1.0
        return rows

    def encode_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """For each text [words, dimension]: the vector of each word alone."""
        listed = [words(text) or [""] for text in texts]
        vocabulary = list(dict.fromkeys(word for found in listed for word in found))
        vectors = dict(zip(vocabulary, self.encode(vocabulary), strict=True))
        return [np.stack([vectors[word] for word in found]) for found in listed]
