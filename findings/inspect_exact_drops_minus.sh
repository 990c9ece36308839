#!/usr/bin/env bash
# inspect-ai 0.3.285: its scorers `exact` and `f1` hold -5 for a right answer where 5 is asked.
#
# Versions: inspect-ai 0.3.285.
# One would guess: `exact` scores answers that are equal to the target, up to case, articles and punctuation around words, and a
#   library that handles numbers apart (it does: "1.0" is right for "1") keeps their sign.
# Seen: punctuation is stripped before a text is tried as a number, and the minus sign is punctuation: "-5" is right for "5" under
#   exact, and scores 1.0 under f1. `match(numeric=True)` tells them apart.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check inspect-ai==0.3.285 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import asyncio

from inspect_ai.model import ModelName, ModelOutput
from inspect_ai.scorer import Target, exact, f1, match
from inspect_ai.solver import TaskState


def said(text, target):
    output = ModelOutput.from_content("mock/none", text)
    return TaskState(
        model=ModelName("mock/none"), sample_id=1, epoch=1, input="What is 3 - 8?", messages=[], output=output, target=target
    )


async def scores(text, gold):
    target = Target(gold)
    scorers = (exact(), f1(), match(numeric=True))
    return tuple([(await scorer(said(text, target), target)).value for scorer in scorers])


cases = (("5", "5"), ("1.0", "1"), ("-5", "5"), ("5", "-5"), ("6", "5"))
found = {case: asyncio.run(scores(*case)) for case in cases}
for (text, gold), values in found.items():
    print(f"said {text:>4}  gold {gold:>3}  exact, f1, match(numeric): {values}")
assert found["1.0", "1"][0] == "C" and found["6", "5"] == ("I", 0.0, "I"), "numbers are read as such"
assert found["-5", "5"] == ("C", 1.0, "I") and found["5", "-5"] == ("C", 1.0, "I"), "the sign counts now"
PY
"$work/venv/bin/python" "$work/look.py"
