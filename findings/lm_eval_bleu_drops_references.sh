#!/usr/bin/env bash
# One row with a single reference takes all further references from every other row in lm-eval 0.4.13's bleu, chrf and ter.
#
# Versions: lm-eval 0.4.13, datasets 5.2.0, evaluate 0.4.6, sacrebleu 2.6.0, scikit-learn 1.9.1, numpy 2.4.6.
# One would guess: rows may have lists of references of any length (sacrebleu itself scores such a corpus, padded with None), or
#   a corpus of unequal lists is refused.
# Seen: the lists are cut to the shortest of the corpus, in silence. Two texts that equal the second of their two references, and
#   a third one that equals its only reference: bleu of the first two rows is 100, of the third 100, of all three 36.6. One more
#   row, right itself, takes 63 points. With None put in by hand it is 100, and so it is when the third row names its
#   reference twice.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check lm-eval==0.4.13 datasets==5.2.0 evaluate==0.4.6 sacrebleu==2.6.0 \
  scikit-learn==1.9.1 numpy==2.4.6 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
from lm_eval.api.registry import get_aggregation
from sacrebleu import corpus_bleu, corpus_chrf, corpus_ter

SAID = ["the cat sat on the mat today", "there is a dog in the old garden", "we went home late in the evening"]
REFERENCES = [
    ["a cat was sitting upon a mat", "the cat sat on the mat today"],
    ["a hound is within the garden", "there is a dog in the old garden"],
    ["we went home late in the evening"],
]
PADDED = [row + [None] * (2 - len(row)) for row in REFERENCES]
FIRST = [row[:1] for row in REFERENCES]
TWICE = [*REFERENCES[:2], REFERENCES[2] * 2]

for name, by_sacrebleu in (("bleu", corpus_bleu), ("chrf", corpus_chrf), ("ter", corpus_ter)):
    metric = get_aggregation(name)

    def score(references, said=SAID):
        return round(metric(list(zip(references, said, strict=True))), 3)

    parts = score(REFERENCES[:2], SAID[:2]), score(REFERENCES[2:], SAID[2:])
    whole, first, padded, twice = (score(references) for references in (REFERENCES, FIRST, PADDED, TWICE))
    right = round(by_sacrebleu(SAID, list(zip(*PADDED))).score, 3)
    print(f"{name}: rows 1-2 {parts[0]}, row 3 {parts[1]}, all {whole}; first references only {first}")
    print(f"{name}: padded with None {padded}, sacrebleu itself {right}, row 3's reference twice {twice}")
    assert parts == (right, right) and padded == twice == right, "whole lists are scored"
    assert whole == first and abs(whole - right) > 30, "further references are no longer dropped"
PY
HF_HOME="$work/cache" "$work/venv/bin/python" "$work/look.py" 2> >(grep -v "it/s\|examples/s" >&2)
