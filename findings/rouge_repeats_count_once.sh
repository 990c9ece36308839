#!/usr/bin/env bash
# rouge 1.0.1 and rouge-chinese 1.0.3 compare sets: a text that repeats itself loses nothing, not even by ROUGE-L of rouge.
#
# Versions: rouge 1.0.1, rouge-chinese 1.0.3, rouge-score 0.1.2 beside them.
# One would guess: ROUGE counts n-grams with repetition, clipped as published, so that "the the the the cat" held against
#   "the cat" has a precision of 2 of 5 for single words and for the longest common subsequence. rouge-score says 0.4 for both.
# Seen: rouge gives a precision of 1.0 for ROUGE-1 and for ROUGE-L, rouge-chinese 1.0 for ROUGE-1 (0.4 for ROUGE-L). That is
#   the default (exclusive=True). Degenerate, looping generations score as if they were perfect, and a filter that drops near
#   repeats by ROUGE-L takes a chant for its single line.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check rouge==1.0.1 rouge-chinese==1.0.3 rouge-score==0.1.2 \
  2> >(grep -v WARNING >&2)
"$work/venv/bin/python" - <<'PY'
from rouge import Rouge
from rouge_chinese import Rouge as RougeChinese
from rouge_score.rouge_scorer import RougeScorer

written, reference = "the the the the cat", "the cat"
plain = Rouge().get_scores(written, reference)[0]
chinese = RougeChinese().get_scores(written, reference)[0]
published = RougeScorer(["rouge1", "rougeL"]).score(reference, written)
seen = {
    "rouge": (plain["rouge-1"]["p"], plain["rouge-l"]["p"]),
    "rouge-chinese": (chinese["rouge-1"]["p"], chinese["rouge-l"]["p"]),
    "rouge-score": (published["rouge1"].precision, published["rougeL"].precision),
}
for name, (single, longest) in seen.items():
    print(f"{name}: precision of ROUGE-1 {single:.2f}, of ROUGE-L {longest:.2f}")
expected = {"rouge": (1.0, 1.0), "rouge-chinese": (1.0, 0.4), "rouge-score": (0.4, 0.4)}
raise SystemExit(any(abs(a - b) > 1e-9 for name in seen for a, b in zip(seen[name], expected[name])))
PY
