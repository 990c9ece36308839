#!/usr/bin/env bash
# dspy 3.4.1: `dspy.KNN`, and so KNNFewShot, takes the examples with the longest vectors, not the nearest ones.
#
# Versions: dspy 3.4.1, numpy 2.4.6.
# One would guess: k nearest neighbours by cosine or distance; an example whose text is the query itself is its nearest neighbour.
# Seen: examples are ranked by the plain inner product of whatever vectors the embedder returns. With vectors that are not of unit
#   length (bag of words, many hosted and local embedders) long texts win: for a query that stands in the training set word for
#   word the two longest examples are shown, and its own is not among them. With the same vectors at unit length it comes first.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check dspy==3.4.1 numpy==2.4.6 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import dspy
import numpy as np

WORDS = ("good", "bad", "film", "dull", "plot", "actor")
TEXTS = (
    "good film",
    "bad plot",
    "dull actor",
    "good good film film bad bad plot dull actor",
    "good film good film good film and a bad bad plot",
)


def counts(texts):
    return np.array([[text.split().count(word) for word in WORDS] for text in texts], dtype=float)


def unit(texts):
    vectors = counts(texts)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


examples = [dspy.Example(text=text, label="?").with_inputs("text") for text in TEXTS]


def nearest(embed):
    found = dspy.KNN(k=2, trainset=examples, vectorizer=dspy.Embedder(embed))(text="good film")
    return [example.text for example in found]


print("counts:     ", nearest(counts))
print("unit length:", nearest(unit))
assert TEXTS[0] not in nearest(counts), "the query itself is among its neighbours now"
assert nearest(unit)[0] == TEXTS[0], "with unit length it is"
PY
DSPY_CACHEDIR="$work/cache" "$work/venv/bin/python" "$work/look.py"
