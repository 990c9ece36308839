#!/usr/bin/env bash
# datasets 5.2.0 gives whole-number labels other numbers in `class_encode_column`: they are sorted as texts, split by split.
#
# Versions: datasets 5.2.0, pyarrow 26.0.1, pandas 3.1.1, Python 3.11.
# One would guess: labels that are 0, 1, ..., n - 1 already (what `train_test_split(stratify_by_column=)` refuses until they
#   are a ClassLabel) keep their numbers and only gain the type; the splits of a DatasetDict share one numbering.
# Seen:
#   1. With twelve classes 2 becomes 4, 10 becomes 2 and 11 becomes 3 (the order 0, 1, 10, 11, 2, ...). With ten classes or
#      fewer nothing moves, so that a task with few classes does not show it. `cast_column` to a ClassLabel moves none.
#   2. A split without class 0 is numbered anew on its own: label 1 is 1 in "train" and 0 in "test" of one DatasetDict.
#   Nothing is said; a trained head or a list of verbalisers in the old order is then scored against other classes.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 \
  2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import warnings

from datasets import ClassLabel, Dataset, DatasetDict


def labels(values):
    return Dataset.from_dict({"label": values})


def encoded(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return data.class_encode_column("label")


few, many = list(range(10)), list(range(12))
seen = {len(values): encoded(labels(values))["label"][:] for values in (few, many)}
for count, numbers in seen.items():
    print(f"{count} classes: {list(range(count))} become {numbers}")
cast = labels(many).cast_column("label", ClassLabel(names=[str(at) for at in many]))["label"][:]
print("cast_column to a ClassLabel:", cast)
splits = encoded(DatasetDict(train=labels([0, 1, 2]), test=labels([1, 2, 2])))
parts = {name: (split["label"][:], split.features["label"].names) for name, split in splits.items()}
print("splits [0, 1, 2] and [1, 2, 2] become", parts)

assert seen[10] == few and cast == many, "what kept the numbers no longer does"
assert seen[12] == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3], "the finding no longer holds"
assert parts == {"train": ([0, 1, 2], ["0", "1", "2"]), "test": ([0, 1, 1], ["1", "2"])}, "the finding no longer holds"
PY
HF_HOME="$work/cache" "$work/venv/bin/python" "$work/look.py" 2> >(grep -v "it/s\|examples/s" >&2)
