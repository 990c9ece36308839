#!/usr/bin/env bash
# datasets 5.2.0 (pyarrow 26.0.1, Python 3.11): the types of a JSONL file are guessed over all of its rows, so what
# a text is read as depends on rows far away from it.
#
# One would guess: a JSON string stays a string. JSON has types of its own; nothing needs guessing.
#
# Seen:
#   1. A column in which every text is a valid date becomes datetime. One text that is no date ("2024-02-30"), in
#      any row, and all of them stay texts. A template then writes "2024-01-05 00:00:00" into the prompt.
#   2. Lists of texts, ["007", "null"], become numbers and None, [7, None], when another row's list holds numbers.
#      Multiple-choice options are lost that way, and with them, perhaps, the right one.
#
# Exits with 1 when any of this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
cd "$work"
printf '%s\n' '{"when": "2024-01-05"}' '{"when": "2024-02-29"}' > all_dates.jsonl
printf '%s\n' '{"when": "2024-01-05"}' '{"when": "2024-02-30"}' > one_is_none.jsonl
printf '%s\n' '{"options": ["007", "null"]}' '{"options": ["x", "y"]}' > texts.jsonl
printf '%s\n' '{"options": ["007", "null"]}' '{"options": [7, 8]}' > mixed.jsonl
HF_HOME="$work/cache" "$work/venv/bin/python" - <<'PYTHON'
import datetime
import sys

from datasets import load_dataset


def first(name, column):
    value = load_dataset("json", data_files=name, split="train")[0][column]
    print(f"{name:20} {value!r}")
    return value


seen = [
    first("all_dates.jsonl", "when") == datetime.datetime(2024, 1, 5),
    first("one_is_none.jsonl", "when") == "2024-01-05",
    first("texts.jsonl", "options") == ["007", "null"],
    first("mixed.jsonl", "options") == [7, None],
]
sys.exit(0 if all(seen) else 1)
PYTHON
