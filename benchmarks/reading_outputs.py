"""How long it takes to read answers: 25,000 outputs of 100 to 300 tokens, on one core.

    python benchmarks/reading_outputs.py            # every kind of task
    python benchmarks/reading_outputs.py numeric    # one of them

The outputs are put together from the sentences of tests/prompts/golden_outputs.jsonl (real chains of small
models) by a fixed seed, with an announcement in most. A token is taken for 4 characters. Nothing is cached
between outputs.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from icl.prompts.answers import parse
from icl.types import Query, Task, TaskKind, Template

OUTPUTS = 25_000
GOLDEN = Path(__file__).parents[1] / "tests" / "prompts" / "golden_outputs.jsonl"
ENDS: dict[TaskKind, list[str]] = {
    "numeric": [
        "The answer is 72.",
        "The answer is $1,234.50.",
        "\\boxed{\\frac{3}{4}}",
        "It comes to 12 * 3 = 36.",
    ],
    "multiple_choice": [
        "The answer is (B).",
        "So the best option is C, not A.",
        "That leaves populated areas.",
    ],
    "boolean": ["The answer is no.", "So it is not true.", "There is no evidence. Yes."],
    "classification": ["The answer is positive.", "Sentiment: negative", "It is not bad, rather neutral."],
    "string": ["The answer is nk.", 'Concatenating them is "nk".', "So the answer is (f (x))."],
}
LABELS: dict[TaskKind, tuple[str, ...]] = {
    "boolean": ("yes", "no"),
    "classification": ("negative", "neutral", "positive"),
}
CHOICES = {"A": "race track", "B": "populated areas", "C": "the desert", "D": "apartment", "E": "roadblock"}


def outputs(kind: TaskKind) -> list[str]:
    """Texts of 400 to 1,200 characters."""
    draw = random.Random(0)
    texts = [json.loads(line)["output"] for line in GOLDEN.open(encoding="utf-8")]
    sentences = [s.strip() for text in texts for s in text.split(". ") if 10 < len(s.strip()) < 200]
    made = []
    for _ in range(OUTPUTS):
        length, parts, size = draw.randint(400, 1200), [], 0
        while size < length:
            parts.append(draw.choice(sentences))
            size += len(parts[-1]) + 2
        made.append(". ".join([*parts, draw.choice([*ENDS[kind], ""])]))
    return made


def main() -> None:
    """Prints a line a kind: seconds, outputs a second, how many were read."""
    for kind in sys.argv[1:] or list(ENDS):
        asked = Task("t", kind, Template(query="Question: {{ q }}\nAnswer:"), ("q",), LABELS.get(kind, ()))
        query = Query("q", {"q": "?"}, CHOICES if kind == "multiple_choice" else {})
        texts = outputs(kind)
        parse(texts[0], asked, query, where="trigger")
        begin = time.perf_counter()
        read = sum(parse(text, asked, query, where="trigger").answer is not None for text in texts)
        seconds = time.perf_counter() - begin
        print(
            f"{kind:16} {seconds:6.1f} s  {OUTPUTS / seconds:7.0f} a second  {read} of {OUTPUTS} read",
            flush=True,
        )


if __name__ == "__main__":
    main()
