#!/usr/bin/env bash
# lm-eval 0.4.13 lets chains without an answer vote in self-consistency, and splits the votes for one number by its spelling.
#
# Versions: lm-eval 0.4.13, datasets 5.2.0, evaluate 0.4.6, sacrebleu 2.6.0, scikit-learn 1.9.1, numpy 2.4.6.
# One would guess: the filters of the task gsm8k_cot_self_consistency (its "maj@8", read from the package) take the answer that
#   most of the chains with an answer give; answers that its exact_match holds for equal (it ignores "," and more) are one.
# Seen:
#   1. The regex filter writes "[invalid]" for every chain without an answer, and those are alike: four such chains, whatever
#      each of them says, beat three that say 18, and the row is wrong.
#   2. Votes are counted before exact_match drops the commas: "1,800" twice and "1800" twice lose to "20" three times, although
#      either spelling alone is scored as right.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check lm-eval==0.4.13 datasets==5.2.0 evaluate==0.4.6 sacrebleu==2.6.0 \
  scikit-learn==1.9.1 numpy==2.4.6 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import json
import sys
from collections import Counter
from pathlib import Path

import lm_eval
import yaml
from lm_eval.api.model import LM
from lm_eval.evaluator import simple_evaluate

FILE = Path(sys.argv[1]) / "rows.json"
SHIPPED = Path(lm_eval.__file__).parent / "tasks" / "gsm8k"
VOTE = yaml.safe_load((SHIPPED / "gsm8k-cot-self-consistency.yaml").read_text())["filter_list"]
METRICS = yaml.safe_load((SHIPPED / "gsm8k-cot.yaml").read_text())["metric_list"]


def says(*answers):
    return [f"The answer is {answer}" for answer in answers]


CHAINS = {
    "unreadable": [*says(18, 18, 18, 20), "I do not know.", "So it is 7.", "We need the price first.", "Let me begin again."],
    "spellings": [*says("1,800", "1,800", "1800", "1800", 20, 20, 20), "I do not know."],
    "plain": [*says("1,800", "1,800", "1,800", "1,800", 20, 20, 20), "I do not know."],
}
GOLD = {"unreadable": "18", "spellings": "1800", "plain": "1800"}
FILE.write_text(json.dumps([{"question": name, "answer": gold} for name, gold in GOLD.items()]))


class Said(LM):
    """Writes the chains of a row one after the other."""

    def generate_until(self, requests):
        asked = Counter()
        texts = []
        for request in requests:
            name = request.doc["question"]
            texts.append(CHAINS[name][asked[name]])
            asked[name] += 1
        return texts

    def loglikelihood(self, requests):
        return [(0.0, True) for _ in requests]

    def loglikelihood_rolling(self, requests):
        return [0.0 for _ in requests]


task = {
    "task": "chains", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(FILE)}}, "test_split": "test",
    "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "{{answer}}", "num_fewshot": 0,
    "repeats": 8, "generation_kwargs": {"until": ["Q:"], "do_sample": True, "temperature": 0.7},
    "metric_list": METRICS, "filter_list": VOTE,
}
out = simple_evaluate(model=Said(), tasks=[task], bootstrap_iters=0, log_samples=True)
found = {
    (row["filter"], row["doc"]["question"]): (row["filtered_resps"][0], row["exact_match"])
    for row in out["samples"]["chains"]
}
for (by, name), (answer, right) in sorted(found.items()):
    print(f"{name:10} right {GOLD[name]:>4}  {by:11} {answer:>9}  exact_match {right}")
assert found["score-first", "spellings"] == ("1,800", 1.0) and found["maj@8", "plain"] == ("1,800", 1.0), "commas are ignored"
assert found["maj@8", "unreadable"] == ("[invalid]", 0.0), "chains without an answer no longer vote"
assert found["maj@8", "spellings"] == ("20", 0.0), "spellings of one number no longer split its votes"
PY
HF_HOME="$work/cache" "$work/venv/bin/python" "$work/look.py" "$work" 2> >(grep -v "it/s\|examples/s\|git repository" >&2)
