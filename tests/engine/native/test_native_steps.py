"""A decode step in one call against EagerStep, on tiny models of every family and ragged, forked prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from icl.engine.decoding import loop
from icl.engine.decoding.memory import Tails
from icl.engine.decoding.native_step import NativeStep, native_step
from icl.engine.decoding.runner import step_runner
from icl.engine.decoding.steps import EagerStep, Spans
from icl.engine.native import library
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import packed
from icl.engine.trunks.fused import FusedTrunk
from icl.types import GenerateRequest, Generation
from tests.engine.tiny import CONTEXT, IntegerTokenizer, ragged, tiny_network

pytestmark = [
    pytest.mark.usefixtures("kernels"),
    pytest.mark.skipif(not packed.available(torch.float32), reason="no packed weights here"),
]
FAMILIES = [
    *("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "phi3", "olmo2", "smollm3"),
    *("gpt-neox", "gpt2", "opt"),
]


class Both:
    """Runs each step both ways over the same tails and notes how far apart they are."""

    def __init__(self, trunk: Any, gaps: list[float]) -> None:
        found = native_step(trunk)
        assert found is not None
        self.native, self.eager, self.gaps = found, EagerStep(trunk), gaps

    def step(self, tokens: Sequence[int], positions: Sequence[int], tails: Tails, spans: Spans) -> Tensor:
        """The native one's logits."""
        with library.left_out():
            wanted = self.eager.step(tokens, positions, tails, spans)
        found = self.native.step(tokens, positions, tails, spans)
        self.gaps.append(float((found - wanted).abs().max() / wanted.abs().max()))
        return found


def model_of(family: str, dtype: torch.dtype = torch.float32, **options: Any) -> TrieModel:
    network = tiny_network(family).to(dtype)
    return TrieModel(
        network, IntegerTokenizer(), name=family, context_length=CONTEXT, fingerprint=family,
        trunk=FusedTrunk(network), **options,
    )  # fmt: skip


def asked(seed: int = 0, tokens: int = 12) -> list[GenerateRequest]:
    """Prompts that share, forked; greedy and drawn; longer than the windows."""
    prompts = ragged(seed, count=8, length=30)
    return [
        GenerateRequest(p, n=1 + i % 3, max_tokens=tokens, temperature=float(i % 2), ignore_eos=i % 4 == 0)
        for i, p in enumerate(prompts)
    ]


def texts(found: Sequence[Generation]) -> list[Any]:
    return [sample.token_ids for one in found for sample in one.samples]


@pytest.mark.parametrize("panels", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_step_is_eager_steps(family: str, panels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "in_panels", lambda make: panels)
    gaps: list[float] = []
    monkeypatch.setattr(loop, "step_runner", lambda trunk: Both(trunk, gaps))
    model = model_of(family, max_slots=7, chunk_rows=16)
    for seed in range(3):
        model.generate(asked(seed))
    assert len(gaps) > 30
    assert max(gaps) < 1e-5


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_texts_are_those_of_the_python_path_whatever_the_slots(family: str) -> None:
    model = model_of(family)
    found = model.generate(asked())
    assert texts(model_of(family, max_slots=3).generate(asked())) == texts(found)
    with library.left_out():
        wanted = model_of(family).generate(asked())
    assert texts(found) == texts(wanted)
    for a, b in zip(found, wanted, strict=True):
        for x, y in zip(a.samples, b.samples, strict=True):
            assert x.logprobs == pytest.approx(y.logprobs, abs=1e-4)
            assert x.stop_reason == y.stop_reason


@pytest.mark.skipif(not packed.available(torch.bfloat16), reason="no packed bf16 here")
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3"])
def test_half_precision_is_no_further_from_fp32_than_eager_steps_are(
    family: str, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not wide and not packed.native(torch.bfloat16):
        pytest.skip("this processor has no products of bf16")
    monkeypatch.setattr(packed, "widened", lambda dtype: wide and dtype != torch.float32)
    greedy = [replace(r, temperature=0.0, n=1) for r in asked()]
    exact = model_of(family).generate(greedy)
    forced = [
        GenerateRequest((*r.prompt, *g.samples[0].token_ids[:5]), max_tokens=4)  # type: ignore[misc]
        for r, g in zip(greedy, exact, strict=True)
    ]
    wanted = model_of(family).generate(forced)
    half = model_of(family, torch.bfloat16)
    found = half.generate(forced)
    with library.left_out():
        eager = half.generate(forced)

    def gap(other: list[Generation]) -> float:
        """Mean over the texts of the first token's log-probability, of those that agree on it."""
        gaps = [
            abs(a.samples[0].logprobs[0] - b.samples[0].logprobs[0])
            for a, b in zip(other, wanted, strict=True)
            if a.samples[0].token_ids[:1] == b.samples[0].token_ids[:1]
        ]
        return sum(gaps) / len(gaps)

    assert gap(found) < 1.5 * gap(eager) + 0.01


def test_a_row_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts alone and among others, in fp32: log-probabilities within rounding."""
    model = model_of("llama")
    many = model.generate(asked())
    for request, among in zip(asked(), many, strict=True):
        [alone] = model.generate([request])
        assert texts([alone]) == texts([among])
        for x, y in zip(alone.samples, among.samples, strict=True):
            assert x.logprobs == pytest.approx(y.logprobs, abs=2e-5)


def test_which_trunks_have_it() -> None:
    assert isinstance(step_runner(FusedTrunk(tiny_network("llama"))), NativeStep)
    assert isinstance(step_runner(FusedTrunk(tiny_network("qwen2-moe"))), EagerStep)  # experts
    odd = FusedTrunk(tiny_network("qwen3", head_dim=12))
    assert isinstance(step_runner(odd), EagerStep)
    with library.left_out():
        assert isinstance(step_runner(FusedTrunk(tiny_network("llama"))), EagerStep)


def test_slots_without_room_are_refused() -> None:
    trunk = FusedTrunk(tiny_network("llama"))
    runner = step_runner(trunk)
    tails = Tails(trunk.device)
    tails.add(2)
    runner.step([3, 4], [0, 0], tails, [])
    tails.rows = [0, 5]
    with pytest.raises(IndexError, match="slot 1 has no room in its tail"):
        runner.step([3, 4], [0, 0], tails, [])
