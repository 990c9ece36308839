"""How fast a tuned model is scored, against the untuned one in the same run: ratios, not seconds.

    OMP_NUM_THREADS=1 python benchmarks/tuned_engine.py [--rounds 7] [--queries 24] [--json FILE]

Few-shot prompts of the bundled `questions` (four random demonstrations, all labels), on the embedded model.
Every round asks the untuned engine and the tuned one, one after the other; the ratio of a round is untuned
time / tuned time, of the process's own processor time, so that other programs count less. Roots: virtual
tokens are embeddings of real words, a prefix the keys and values of real words.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from transformers import DynamicCache

import icl
from icl.engine.loading.load import Opened, engine_on, open_network
from icl.protocols import LanguageModel
from icl.training import GivenKeysValues, Root, VirtualTokens
from icl.types import ScoreRequest

MODEL = "smollm2-135m-instruct"
WORDS = "Read each question and say which kind of answer it asks for, a person, a place, a number or a thing."


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queries", type=int, default=24)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    opened = open_network(MODEL, dtype="float32", device="cpu")
    untuned = engine_of(opened, opened.network)
    asked = requests(untuned, options.queries)
    found = {}
    for name in ("untuned again", "merged", "virtual 10", "virtual 20", "prefix 10"):
        tuned = tuned_engine(opened, name)
        found[name] = paired(untuned, tuned, asked, options.rounds)
        print(f"{name:14} {found[name]}", flush=True)
        del tuned
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def engine_of(opened: Opened, network: Any, root: Root | None = None) -> LanguageModel:
    """An engine on the network as it is."""
    return engine_on(
        network, opened.tokenizer, root=root,
        name=opened.name, context_length=opened.context_length, fingerprint=opened.fingerprint,
    )  # fmt: skip


def tuned_engine(opened: Opened, name: str) -> LanguageModel:
    """By name: merged, virtual n or prefix n."""
    kind, _, count = name.partition(" ")
    if kind == "untuned":
        return engine_of(opened, opened.network)
    if kind == "merged":
        return engine_of(opened, merged(opened.network))
    ids = torch.tensor([opened.tokenizer.encode(WORDS)[: int(count)]])
    with torch.no_grad():
        if kind == "virtual":
            embeddings = opened.network.get_input_embeddings()(ids)[0]
            return engine_of(opened, opened.network, VirtualTokens(embeddings.clone()))
        cache = DynamicCache()
        opened.network(input_ids=ids, past_key_values=cache, use_cache=True)
    keys = tuple(layer.keys[0].clone() for layer in cache.layers)
    values = tuple(layer.values[0].clone() for layer in cache.layers)
    return engine_of(opened, opened.network, GivenKeysValues(keys, values))


def merged(network: Any) -> Any:
    """A LoRA on all queries and values, merged; every other weight is shared with `network`."""
    other = copy.deepcopy(network, {id(p): p for p in network.parameters()})
    for layer in other.model.layers:
        for linear in (layer.self_attn.q_proj, layer.self_attn.v_proj):
            linear.weight = torch.nn.Parameter(linear.weight.detach().clone(), requires_grad=False)
    settings = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=8, init_lora_weights=False)
    return peft.get_peft_model(other, settings).merge_and_unload()


def requests(model: LanguageModel, queries: int) -> list[ScoreRequest]:
    """Prompts with four random demonstrations, and all labels."""
    data = icl.load_task("questions")
    split = data.split(pool=100, test=queries, seed=0)
    renderer = icl.PromptRenderer(
        task=data.task, tokenizer=model.tokenizer, context_length=model.context_length - 32
    )
    resources = icl.Resources(data.task, model=model, renderer=renderer)
    asked = [example.query for example in split.test]
    chosen = icl.selectors.create("random", {}).fit(split.pool, resources).select(asked, 4)
    answers = tuple(renderer.answer(label) for label in data.task.labels)
    return [
        ScoreRequest(renderer.prompt(query, shown).text, answers)
        for query, shown in zip(asked, chosen, strict=True)
    ]


def paired(
    untuned: LanguageModel, tuned: LanguageModel, asked: list[ScoreRequest], rounds: int
) -> dict[str, Any]:
    """Ratios of the rounds, and the tokens that each engine forwards."""
    ratios = []
    for engine in (untuned, tuned):
        engine.score(asked)
    for at in range(rounds):
        taken = {}
        for which in (("untuned", "tuned"), ("tuned", "untuned"))[at % 2]:
            began = time.process_time()
            scored = (untuned if which == "untuned" else tuned).score(asked)
            taken[which] = (time.process_time() - began, sum(s.usage.tokens_unique for s in scored))
        ratios.append(taken["untuned"][0] / taken["tuned"][0])
    return {
        "median": round(float(np.median(ratios)), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "seconds_untuned": round(taken["untuned"][0], 2),
        "forwarded_untuned": taken["untuned"][1],
        "forwarded_tuned": taken["tuned"][1],
        "engine": getattr(tuned, "engine", ""),
    }


if __name__ == "__main__":
    main()
