"""The backend `vllm` against icl's own engine: the same requests, as token ids, in fp32.

    OMP_NUM_THREADS=1 python benchmarks/peers/vllm_agreement.py own FOLDER asked.json
    OMP_NUM_THREADS=1 VLLM_CPU_KVCACHE_SPACE=1 PYTHONPATH=. \\
        ENVIRONMENT_OF_VLLM/bin/python benchmarks/peers/vllm_agreement.py vllm FOLDER asked.json

FOLDER: a model as a plain folder (export_model.py). The first, in icl's environment, writes requests of a
small experiment on `questions` (labels, channel scoring, greedy texts) with the answers of icl's engine. The
second asks vLLM the same and prints how far they agree.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from icl.types import GenerateRequest, ScoreRequest, Scores

EXPERIMENT: dict[str, Any] = {
    "name": "agreement",
    "task": "questions",
    "pool": 100,
    "test": 12,
    "seeds": [0],
    "grid": {"selector": ["bm25"], "shots": [4], "method": ["direct", "channel"]},
}
WRITTEN = 12


def recorder(engine: Any) -> Any:
    """A `LanguageModel` in front of the engine that keeps what is asked of it, and the answers."""
    from icl.experiments.asking.infront import InFront

    class Recording(InFront):
        """Keeps what a run asks, and the answers."""

        def __init__(self) -> None:
            super().__init__(engine)
            self.asked: list[ScoreRequest] = []
            self.answers: list[Scores] = []

        def score(self, requests: Any, on_result: Any = None) -> list[Scores]:
            """As the engine does."""
            self.asked += requests
            found: list[Scores] = engine.score(requests, on_result)
            self.answers += found
            return found

        def generate(self, requests: Any, on_result: Any = None) -> Any:
            """As the engine does."""
            return engine.generate(requests, on_result)

    return Recording()


def own(folder: str, file: Path) -> None:
    """Asks icl's engine and keeps what was asked and answered."""
    import icl
    from icl.engine import load_model

    engine: Any = load_model(folder, dtype="float32")

    recording = recorder(engine)
    with tempfile.TemporaryDirectory() as scratch:
        icl.run({**EXPERIMENT, "model": folder}, output=scratch, model=recording)
    scores = recording.answers
    encoded = engine.encoded_scores(recording.asked)
    prompts = [e.prompt for e in encoded if len(e.continuations) > 1][:6]
    texts = engine.generate([GenerateRequest(p, max_tokens=WRITTEN) for p in prompts])
    # 64 tokens fill two blocks of the cache: what may follow is asked for place by place
    blocks = [p[-64:] for p in prompts]
    three = [
        t.samples[0].token_ids[:3]
        for t in engine.generate([GenerateRequest(p, max_tokens=3) for p in blocks])
    ]
    labels = [
        ScoreRequest(p, (made, (made[0], made[2], made[1]), (made[1], made[0])))
        for p, made in zip(blocks, three, strict=True)
    ]
    recording.asked += labels
    encoded += engine.encoded_scores(labels)
    scores += engine.score(labels)
    kept = {
        "scores": [
            {
                "prompt": e.prompt,
                "continuations": e.continuations,
                "relative": r.relative,
                "logprobs": s.token_logprobs,
            }
            for e, r, s in zip(encoded, recording.asked, scores, strict=True)
        ],
        "texts": [
            {"prompt": p, "ids": t.samples[0].token_ids, "logprobs": t.samples[0].logprobs}
            for p, t in zip(prompts, texts, strict=True)
        ],
    }
    file.write_text(json.dumps(kept), encoding="utf-8")
    print(f"{len(scores)} score requests, {len(texts)} texts in {file}")


def ids(value: Any) -> Any:
    """Lists of JSON as tuples."""
    return tuple(map(ids, value)) if isinstance(value, list) else value


def compared(kept: dict[str, Any], model: Any) -> list[str]:
    """Lines of a table: kind, requests, largest and mean difference, equal choices, tokens."""
    lines = []
    kinds = {
        "labels of one token": lambda item: all(len(c) == 1 for c in item["continuations"]),
        "the same again": lambda item: all(len(c) == 1 for c in item["continuations"]),
        "labels of several tokens": lambda item: (
            max(map(len, item["continuations"])) > 1 < len(item["continuations"])
        ),
        "channel scoring": lambda item: len(item["continuations"]) == 1,
    }
    for kind, belongs in kinds.items():
        items = [item for item in kept["scores"] if belongs(item)]
        if not items:
            continue
        asked = [ScoreRequest(ids(i["prompt"]), ids(i["continuations"]), i["relative"]) for i in items]
        found = model.score(asked)
        gaps = [
            abs(a - b)
            for one, item in zip(found, items, strict=True)
            for x, y in zip(one.token_logprobs, item["logprobs"], strict=True)
            for a, b in zip(x, y, strict=True)
        ]
        sums = [[sum(row) for row in item["logprobs"]] for item in items]
        pairs = [
            (best(one.logprobs), best(told)) for one, told in zip(found, sums, strict=True) if len(told) > 1
        ]
        flat, unique = (sum(getattr(r.usage, n) for r in found) for n in ("tokens_flat", "tokens_unique"))
        chosen = f"{sum(a == b for a, b in pairs)} of {len(pairs)}"
        mean = sum(gaps) / len(gaps)
        lines.append(
            f"| {kind} | {len(items)} | {max(gaps):.1e} | {mean:.1e} | {chosen} | {flat:,} | {unique:,} |"
        )
    asked_texts = [GenerateRequest(ids(t["prompt"]), max_tokens=WRITTEN) for t in kept["texts"]]
    texts = model.generate(asked_texts)
    same = sum(t.samples[0].token_ids == ids(k["ids"]) for t, k in zip(texts, kept["texts"], strict=True))
    lines.append(f"| greedy texts of {WRITTEN} tokens | {len(texts)} | | | {same} of {len(texts)} | | |")
    return lines


def best(values: Any) -> int:
    """Index of the largest."""
    return max(range(len(values)), key=values.__getitem__)


def main() -> None:
    side, folder, file = sys.argv[1:4]
    if side == "own":
        own(folder, Path(file))
        return
    from icl.backends.vllm.model import VllmModel

    model = VllmModel(model=folder, dtype="float32", context_length=2048, block=32, eager=True)
    kept = json.loads(Path(file).read_text(encoding="utf-8"))
    print("| | requests | largest gap | mean gap | same choice | tokens flat | forwarded |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(compared(kept, model)))


if __name__ == "__main__":
    main()
