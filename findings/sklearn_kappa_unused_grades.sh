#!/usr/bin/env bash
# scikit-learn 1.9.1: quadratic weighted kappa of two judges depends on whether a grade between was ever given.
#
# Versions: scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1.
# One would guess: with weights="quadratic" and numbers as grades, a disagreement of 2 against 5 costs (5 - 2)^2; a grade of the scale
#   that nobody gave has no part in it.
# Seen: the weights are squares of differences between places in the sorted list of the grades that occur, so on a scale of 1 to 5 of
#   which 3 and 4 were not given, 2 against 5 costs 1, as 1 against 2 does. Judges who use few grades of a scale are scored by another
#   rule than judges who use all: here kappa is 0.667, and 0.608 with labels=[1, 2, 3, 4, 5], which is what the formula with the
#   grades' values gives. Short lists of judged answers are where grades are missing.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import numpy as np
from sklearn.metrics import cohen_kappa_score

one = np.array([1, 1, 5, 5, 2, 1, 5, 2])
other = np.array([1, 2, 5, 5, 5, 1, 2, 1])


def by_value(a, b):
    seen = np.mean((a - b) ** 2)
    by_chance = np.mean((a[:, None] - b[None, :]) ** 2)
    return 1 - seen / by_chance


plain = cohen_kappa_score(one, other, weights="quadratic")
whole = cohen_kappa_score(one, other, weights="quadratic", labels=[1, 2, 3, 4, 5])
print(f"grades that occur {plain:.3f}  the whole scale {whole:.3f}  by the grades' values {by_value(one, other):.3f}")
assert abs(whole - by_value(one, other)) < 1e-9, "the whole scale: as the formula"
assert abs(plain - by_value(np.array([0, 0, 2, 2, 1, 0, 2, 1]), np.array([0, 1, 2, 2, 2, 0, 1, 0]))) < 1e-9
assert plain - whole > 0.05, "grades that were not given no longer matter"
PY
"$work/venv/bin/python" "$work/look.py"
