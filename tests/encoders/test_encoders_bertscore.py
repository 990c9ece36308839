"""BERTScore: by hand, against the double loop, and over real token vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from icl.encoders import bertscore, load_encoder
from icl.encoders.bertscore import TokenStore, f1, naive_f1
from icl.encoders.cache import CachedEncoder
from icl.encoders.hashed import HashEncoder
from icl.errors import ConfigError
from icl.protocols import TokenEncoder
from icl.seeding import generator


def plane(*degrees: float) -> NDArray[np.float32]:
    """One token a number: the unit vector at that many degrees."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def random_texts(count: int) -> list[NDArray[np.float32]]:
    stream = generator(4, "tests.bertscore")
    rows = [stream.normal(size=(int(stream.integers(1, 9)), 5)) for _ in range(count)]
    return [(r / np.linalg.norm(r, axis=1, keepdims=True)).astype(np.float32) for r in rows]


def test_by_hand() -> None:
    """a = (0, 90) degrees, b = (0, 60, 90): every token of a is in b, so P(a, b) = 1.

    P(b, a) = (1 + cos 30 + 1) / 3 = 0.955342; F1 = 2 * 0.955342 / 1.955342 = 0.977161.
    c = (45,): P(a, c) = P(c, a) = cos 45 = F1. d = (180,) is opposite to 0: P(d, a) = cos 90 = 0.
    """
    a, b, c, d = plane(0, 90), plane(0, 60, 90), plane(45), plane(180)
    assert f1([a], [b])[0, 0] == pytest.approx(0.977161, abs=1e-6)
    assert f1([a, b], [c, a]) == pytest.approx(
        np.array([[np.sqrt(0.5), 1.0], [f1([b], [c])[0, 0], 0.977161]])
    )
    # P(c, b) = cos 15; P(b, c) = (cos 45 + cos 15 + cos 45) / 3.
    cos = lambda degrees: np.cos(np.radians(degrees))  # noqa: E731
    forth, back = cos(15), (2 * cos(45) + cos(15)) / 3
    assert f1([b], [c])[0, 0] == pytest.approx(2 * forth * back / (forth + back))
    assert f1([d], [a])[0, 0] == 0.0, "nothing alike is 0, not a division by zero"


@pytest.mark.parametrize("cells", [1, 7, 60, 1 << 23])
def test_all_pairs_are_as_one_by_one_whatever_the_block(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bertscore, "_CELLS", cells)
    left, right = random_texts(12)[:5], random_texts(12)[5:]
    expected = [[naive_f1(a, b) for b in right] for a in left]
    assert f1(left, right) == pytest.approx(np.array(expected), abs=1e-6)
    among = f1(left, left)
    assert among == pytest.approx(np.array([[naive_f1(a, b) for b in left] for a in left]), abs=1e-6)
    assert (among == among.T).all()
    assert np.diag(among) == pytest.approx(1.0)
    assert f1([], left).shape == (0, 5)


def test_words_of_the_hashed_encoder() -> None:
    """Two of three words are shared: P = 2 / 3 both ways, but for words that meet in a bucket."""
    one, two, none = HashEncoder(4096).encode_tokens(["a warm film", "a cold film", ""])
    assert one.shape == (3, 4096)
    assert none.shape == (1, 4096)
    assert f1([one], [two])[0, 0] == pytest.approx(2 / 3)


class Counting(HashEncoder):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(16)
        self.asked: list[str] = []

    def encode_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        self.asked += texts
        return super().encode_tokens(texts)


def test_the_store_asks_once_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bertscore, "_KEPT", 4)
    inner = Counting()
    store = TokenStore("selector 'mmr'", inner)
    rows = store.of(["one two", "three", "one two"])
    assert [len(tokens) for tokens in rows] == [2, 1, 2]
    store.of(["three", "one two"])
    assert inner.asked == ["one two", "three"]
    store.of(["four five", "one two"])
    store.of(["one two", "three"])
    assert inner.asked == ["one two", "three", "four five", "three"], "five vectors are one too many"


class SentencesOnly:
    """An encoder as the protocol asks for it, without tokens."""

    name = "plain"
    source = fingerprint = "test"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return HashEncoder(16).encode(texts)


def test_an_encoder_without_tokens_is_one_clear_line() -> None:
    assert not isinstance(SentencesOnly(), TokenEncoder)
    with pytest.raises(
        ConfigError, match=r"^selector 'mmr': encoder 'plain' has no vectors .*'minilm'"
    ) as bare:
        TokenStore("selector 'mmr'", SentencesOnly())
    with pytest.raises(ConfigError, match=r"^encoder 'plain' has no vectors of single tokens") as cached:
        CachedEncoder(SentencesOnly()).encode_tokens(["a"])
    assert "\n" not in str(bare.value) + str(cached.value)


def test_a_real_encoders_tokens() -> None:
    encoder = load_encoder("minilm")
    if not encoder.source.startswith("package"):
        pytest.skip("the packaged MiniLM is not installed")
    texts = ["A warm and funny film", "  a warm, funny film ", "", "word " * 600]
    tokens = encoder.encode_tokens(texts)
    # [CLS] and [SEP] are left out, except where there is nothing else; the last is cut at 256.
    assert [rows.shape for rows in tokens] == [(5, 384), (5, 384), (2, 384), (254, 384)]
    assert all(np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5) for rows in tokens)
    near, far = f1(tokens[:1], [tokens[1], *encoder.encode_tokens(["The stock market fell"])])[0]
    assert near > 0.8 > 0.5 > far
    assert near == pytest.approx(naive_f1(tokens[0], tokens[1]), abs=1e-5)
    assert encoder.encode_tokens([]) == []
