"""Families of causal language models of transformers, each as a tiny model through the ladder.

Texts longer than every window of the tiny models; scores and greedy continuations against one plain eager
forward a text and token, whichever engine the ladder takes. Which one that is, is part of the test. All that
transformers has, those left out here too: `python -m tests.engine.sweep` (docs/families.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.plain import plain_logits
from icl.engine.trunks import packed
from icl.types import GenerateRequest, ScoreRequest, TokenIds

from .tiny import IntegerTokenizer, ragged
from .zoo import LENGTH, WINDOW, families, tiny_model

TOLERANCE = 1e-4
WRITTEN = 3
TEXTS = ragged(seed=1, count=4, length=2 * WINDOW)
CONTINUATIONS = ((5, 6, 7), (8,))

FUSED = ["gemma2", "gemma3_text", "gpt-sw3", "gpt2", "gpt_neox", "olmo2", "opt", "phi3", "qwen2_moe"]
FUSED += ["qwen3_moe", "smollm3"]
TRIE = [
    "afmoe",
    "apertus",
    "arcee",
    "aria_text",
    "beam",
    "bert-generation",
    "biogpt",
    "bitnet",
    "cohere",
    "cohere2",
    "cohere2_moe",
    "cohere_compass_text",
    "ctrl",
    "cwm",
    "dots1",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone4",
    "exaone_moe",
    "flex_olmo",
    "flint",
    "gemma",
    "glm",
    "glm4",
    "glm4_moe",
    "gpt_bigcode",
    "gpt_oss",
    "granite",
    "granite_swa",
    "granitemoe",
    "granitemoe_swa",
    "granitemoeshared",
    "helium",
    "phimoe",
]
DEPTH_FIRST = [
    "axk1",
    "bart",
    "bert",
    "bloom",
    "codegen",
    "deepseek_v2",
    "deepseek_v3",
    "diffllama",
    "doge",
    "falcon",
    "gemma4_text",
    "glm4_moe_lite",
    "gpt_neo",
    "gpt_neox_japanese",
    "gptj",
    "llama4_text",
]
NAIVE = ["deepseek_v32", "glm_moe_dsa", "mamba", "mamba2", "minimax", "openai-gpt", "reformer", "rwkv"]
RUNGS = {
    **dict.fromkeys(FUSED, "fused trie engine" if packed.available(torch.float32) else "trie engine"),
    **dict.fromkeys(TRIE, "trie engine"),
    **dict.fromkeys(DEPTH_FIRST, "depth-first engine"),
    **dict.fromkeys(NAIVE, "naive engine"),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Products of tiny models are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(name: str) -> dict[str, Any]:
    return {"name": name, "context_length": LENGTH, "fingerprint": name}


@torch.inference_mode()
def plain_scores(network: Any, prompt: TokenIds, continuation: TokenIds) -> list[float]:
    """By the definition."""
    logits = plain_logits(network, (*prompt, *continuation[:-1]))
    logprobs = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 :]
    return [float(row[token]) for row, token in zip(logprobs, continuation, strict=True)]


@torch.inference_mode()
def plain_greedy(network: Any, prompt: TokenIds) -> TokenIds:
    """The whole text forwarded for every token."""
    ids = list(prompt)
    for _ in range(WRITTEN):
        ids.append(int(plain_logits(network, ids)[-1].argmax()))
    return tuple(ids[len(prompt) :])


def written(model: Any, prompts: Sequence[TokenIds]) -> list[TokenIds]:
    asked = [GenerateRequest(p, max_tokens=WRITTEN, ignore_eos=True) for p in prompts]
    return [generation.samples[0].token_ids for generation in model.generate(asked)]


def test_the_list_is_long_and_of_transformers() -> None:
    assert len(RUNGS) >= 60
    assert set(RUNGS) <= set(families())
    assert max(map(len, TEXTS)) > WINDOW + WRITTEN


@pytest.mark.parametrize("name", sorted(RUNGS))
def test_a_family_is_as_its_plain_forwards(name: str) -> None:
    network = tiny_model(name)
    model: Any = choose_engine(network, IntegerTokenizer(), **settings(name))
    assert model.engine.removesuffix(", native kernels") == RUNGS[name]
    for prompt, scores in zip(
        TEXTS, model.score([ScoreRequest(p, CONTINUATIONS) for p in TEXTS]), strict=True
    ):
        for continuation, found in zip(CONTINUATIONS, scores.token_logprobs, strict=True):
            assert list(found) == pytest.approx(plain_scores(network, prompt, continuation), abs=TOLERANCE)
    prompts = TEXTS[:2]
    expected = [plain_greedy(network, prompt) for prompt in prompts]
    assert written(model, prompts) == expected
    if not RUNGS[name].endswith(
        "trie engine"
    ):  # the oracle's cache, by which those families go that have an odd one
        naive = NaiveModel(network, IntegerTokenizer(), **settings(name))
        assert written(naive, prompts) == expected
