#!/usr/bin/env bash
# netcal 1.4.0 measures something else as ECE where there are two classes than where there are three.
#
# Versions: netcal 1.4.0, torch 2.13.0, numpy 2.4.6.
# One would guess: ECE of an [n, classes] matrix of probabilities compares the confidence of the predicted class with how often it is
#   right, for any number of classes, so that a third class that has probability 0 in all rows but its own changes nothing.
# Seen: for a matrix of two columns the first is thrown away, and ECE compares P(class 1) with the share of class 1, also where
#   class 0 is predicted. The same predictions have an ECE of 0.162 with two columns and 0.012 with such a third one, and a
#   table over tasks with two labels and tasks with more holds two quantities under one name.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check netcal==1.4.0 torch==2.13.0 numpy==2.4.6 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import numpy as np
from netcal.metrics import ECE

draws = np.random.default_rng(0)
positive = draws.uniform(0, 1, 5000)
gold = (draws.uniform(size=5000) < positive**2).astype(int)
two = np.stack([1 - positive, positive], axis=1)
three = np.concatenate([np.pad(two, ((0, 0), (0, 1))), [[0, 0, 1]]])  # and one row of the third class, sure and right
with_third = np.append(gold, 2)


def top_label(matrix, bins=10):
    confidence, right = matrix.max(1), matrix.argmax(1) == gold
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    cells = [(place == b) for b in range(bins) if (place == b).any()]
    return sum(c.mean() * abs(confidence[c].mean() - right[c].mean()) for c in cells)


found = {"two": ECE(10).measure(two, gold), "three": ECE(10).measure(three, with_third)}
print(f"by hand {top_label(two):.3f}  two columns {found['two']:.3f}  and a third class {found['three']:.3f}")
assert abs(found["three"] - top_label(two)) < 1e-3, "three columns: confidence of the predicted class"
assert abs(found["two"] - ECE(10).measure(positive, gold)) < 1e-9, "two columns: P(class 1) alone"
assert found["two"] > 3 * found["three"], "a third class no longer changes ECE"
PY
"$work/venv/bin/python" "$work/look.py"
