#!/usr/bin/env bash
# dspy 3.4.1: `dspy.majority` counts votes for -5 and for 5 as votes for one answer, and C++ with C.
#
# Versions: dspy 3.4.1.
# One would guess: the answer that most completions give wins; spelling (case, articles, a full stop) aside.
# Seen: before counting, every character of punctuation is removed without a space in its place, so that minus signs, decimal points,
#   fraction bars, comparisons and "++" are gone: two votes for -5 and two for 5 beat three for 7, 3.5 counts as 35, 1/2 as
#   12, x<y as x>y. Of what was merged the first spelling wins, so the order of the samples decides the sign.
#   `dspy.evaluate.answer_exact_match` compares in the same way, and calls each of these pairs equal.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check dspy==3.4.1 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import dspy
from dspy.evaluate.metrics import EM


def voted(*answers):
    return dspy.majority(dspy.Prediction.from_completions([{"answer": a} for a in answers])).answer


votes = {
    ("5", "5", "7"): "5",
    ("-5", "-5", "5", "5", "7", "7", "7"): "-5",
    ("5", "5", "-5", "-5", "7", "7", "7"): "5",
    ("3.5", "35", "7"): "3.5",
    ("1/2", "12", "7"): "1/2",
    ("C++", "C", "Java", "Java"): "C++",
    ("x<y", "x>y", "z"): "x<y",
}
for answers, winner in votes.items():
    print(f"{', '.join(answers):28} -> {voted(*answers)}")
    assert voted(*answers) == winner, "votes are counted otherwise now"
pairs = (("-5", "5"), ("3.5", "35"), ("1/2", "12"), ("C++", "C"), ("x<y", "x>y"))
assert all(EM(one, [other]) for one, other in pairs), "exact match tells them apart now"
assert not EM("7", ["5"])
PY
DSPY_CACHEDIR="$work/cache" "$work/venv/bin/python" "$work/look.py"
