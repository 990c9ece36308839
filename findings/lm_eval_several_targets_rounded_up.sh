#!/usr/bin/env bash
# lm-eval 0.4.13 rounds a graded metric up to 1 where the rows have several targets, and hands it other input after exact_match.
#
# Versions: lm-eval 0.4.13, datasets 5.2.0, evaluate 0.4.6, sacrebleu 2.6.0, scikit-learn 1.9.1, numpy 2.4.6.
# One would guess: a `generate_until` task whose `doc_to_target` is a list of right answers scores a metric of one's own (the
#   token F1 of question answering, say) by the best target, and a metric's value does not depend on what stands beside it.
# Seen:
#   1. Any score above 0 becomes 1.0: one shared word ("the" in "the Rhine" for "the Danube") is full marks. The mean F1 with
#      the best target is 0.57; 1.0 is reported.
#   2. With exact_match before it in `metric_list` the same metric is handed a list of lists of texts, each text once a target,
#      instead of a list of texts; behind it in the list nothing changes.
#   Nothing is said in either case.
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
from pathlib import Path

from lm_eval.api.model import LM
from lm_eval.evaluator import simple_evaluate

FILE = Path(sys.argv[1]) / "rows.json"
ROWS = [
    {"question": "Who painted it?", "answers": ["Frida Kahlo", "Frida Kahlo de Rivera"],
     "said": "a painter from Mexico who was called Frida"},
    {"question": "Which river?", "answers": ["the Danube", "Danube"], "said": "the Rhine"},
    {"question": "Which sea?", "answers": ["the Baltic", "the Baltic Sea"], "said": "the Baltic"},
]
FILE.write_text(json.dumps(ROWS))
HANDED = []


class Said(LM):
    """Writes what the row holds."""

    def generate_until(self, requests):
        return [request.doc["said"] for request in requests]

    def loglikelihood(self, requests):
        return [(0.0, True) for _ in requests]

    def loglikelihood_rolling(self, requests):
        return [0.0 for _ in requests]


def f1(reference, text):
    gold, said = reference.lower().split(), text.lower().split()
    return 2 * sum(min(gold.count(word), said.count(word)) for word in set(gold)) / (len(gold) + len(said))


def token_f1(references, predictions, **_):
    HANDED.append(predictions)
    return f1(references[0], predictions[0]) if isinstance(predictions[0], str) else 0.0


def score(target, *metrics):
    HANDED.clear()
    task = {
        "task": "answers", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(FILE)}},
        "test_split": "test", "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": target,
        "generation_kwargs": {"until": ["\n"]}, "num_fewshot": 0,
        "metric_list": [{"metric": one, "aggregation": "mean", "higher_is_better": True} for one in metrics],
    }
    found = simple_evaluate(model=Said(), tasks=[task], bootstrap_iters=0)["results"]["answers"]
    return found["token_f1,none"], list(HANDED)


first, _ = score("{{answers[0]}}", token_f1)
best = sum(max(f1(answer, row["said"]) for answer in row["answers"]) for row in ROWS) / len(ROWS)
several, alone = score("answers", token_f1)
before, _ = score("answers", token_f1, "exact_match")
after, odd = score("answers", "exact_match", token_f1)
print(f"token F1: first target {first:.3f}, best of the targets by hand {best:.3f}, as reported {several:.3f}")
print(f"exact_match behind it {before:.3f}, before it {after:.3f}")
print("handed to the metric alone:", alone[0], "and after exact_match:", odd[0])

assert abs(first - 0.5667) < 1e-3 and best < 0.6, "what the rows hold"
assert several == before == 1.0, "the score is no longer rounded up"
assert all(isinstance(texts[0], str) for texts in alone), "the metric alone is handed texts"
assert all(texts == [[row["said"]] * 2] for texts, row in zip(odd[::2], ROWS)), "exact_match no longer changes what the next is handed"
PY
HF_HOME="$work/cache" "$work/venv/bin/python" "$work/look.py" "$work" 2> >(grep -v "it/s\|examples/s\|git repository" >&2)
