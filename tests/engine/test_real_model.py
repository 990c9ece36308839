"""The embedded model: real weights, a real tokenizer, the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from icl.cache import cache_folder
from icl.engine.loading.files import local_folder
from icl.engine.loading.load import load_model
from icl.engine.loading.sources import resolve
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.types import GenerateRequest, ScoreRequest

from .tiny import largest_difference

TOLERANCE = 1e-4
SHOTS = (
    "Review: a moving, funny film\nSentiment: positive\n\n"
    "Review: dull and far too long\nSentiment: negative\n\n"
)
QUERIES = ("I laughed from start to end", "the plot has more holes than a net", "it was fine")
LABELS = (" positive", " negative", " neither good nor bad")


@pytest.fixture(scope="module")
def networks(embedded: str) -> tuple[TrieModel, NaiveModel]:
    """The engine, and the oracle over the same weights."""
    engine = load_model(embedded)
    naive = load_model(embedded, engine="naive")
    assert isinstance(engine, TrieModel)
    assert isinstance(naive, NaiveModel)
    return engine, naive


def prompts() -> list[str]:
    return [f"{SHOTS}Review: {q}\nSentiment:" for q in QUERIES]


def test_scores_are_those_of_plain_forwards(networks: tuple[TrieModel, NaiveModel]) -> None:
    engine, naive = networks
    asked = [ScoreRequest(p, LABELS) for p in prompts()]
    expected = naive.score(asked)
    for chunk_rows in (31, 512):
        engine.chunk_rows = chunk_rows
        found = engine.score(asked)
        assert largest_difference(found, expected) < TOLERANCE
    shared = sum(s.usage.tokens_unique for s in found)
    assert shared < sum(s.usage.tokens_flat for s in found) / 4
    assert found[0].logprobs[0] > found[0].logprobs[1]


def test_greedy_text_is_that_of_plain_generate(networks: tuple[TrieModel, NaiveModel]) -> None:
    engine, naive = networks
    asked = [GenerateRequest(p, max_tokens=8) for p in prompts()]
    found = engine.generate(asked)
    for request, generation in zip(asked, found, strict=True):
        ids = engine.tokenizer.encode(str(request.prompt))
        tokens = torch.tensor([ids])
        out = naive.model.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=False
        )
        assert generation.samples[0].token_ids == tuple(out[0, len(ids) :].tolist())


def test_samples_are_those_of_the_oracle(networks: tuple[TrieModel, NaiveModel]) -> None:
    """Rounding moves the cumulative distribution by about 1e-6, so about one draw in a million may fall
    on the other side of an edge; these seeds do not."""
    engine, naive = networks
    asked = [
        GenerateRequest(prompts()[0], n=3, max_tokens=8, temperature=0.8, seed=2),
        GenerateRequest(prompts()[1], max_tokens=8, temperature=1.0, top_p=0.9, stop=("\n",)),
    ]
    for found, expected in zip(engine.generate(asked), naive.generate(asked), strict=True):
        for a, b in zip(found.samples, expected.samples, strict=True):
            assert (a.text, a.token_ids, a.stop_reason) == (b.text, b.token_ids, b.stop_reason)
            assert a.logprobs == pytest.approx(b.logprobs, abs=TOLERANCE)


def test_weights_are_read_from_the_cache(
    networks: tuple[TrieModel, NaiveModel], embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once dequantised, the GGUF file is not opened by transformers again."""
    from transformers import AutoModelForCausalLM

    folder, weights = local_folder(resolve(embedded))
    assert Path(folder).is_relative_to(cache_folder())
    assert list(Path(folder).glob("*.safetensors"))
    plain = AutoModelForCausalLM.from_pretrained
    read: list[str] = []

    def from_pretrained(source: str, **options: Any) -> Any:
        assert "gguf_file" not in options
        read.append(source)
        return plain(source, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    again = load_model(embedded, engine="naive")
    assert read == [folder]
    assert again.fingerprint == networks[0].fingerprint
    assert again.fingerprint.startswith(weights)
