"""Memory that ends while texts are written: fewer side by side, the same texts, nothing forwarded twice."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

import icl.engine.decoding.loop as loop_module
from icl.engine.forward.chunks import out_of_memory
from icl.engine.native import library
from icl.engine.rungs.trie_model import TrieModel
from icl.errors import ModelError
from icl.types import GenerateRequest, Generation

from .tiny import ragged, tiny_pair

FAULTS: list[Callable[[], BaseException]] = [
    lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    lambda: RuntimeError("CUDA error: out of memory"),
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError,
]


class ShortTrunk:
    """A trunk with memory for `rows` rows at once, the steps from `steps` on; it counts what it did."""

    def __init__(
        self, inner: Any, fault: Callable[[], BaseException], rows: int, first_call: int = 0
    ) -> None:
        self.inner, self.fault, self.rows, self.first_call = inner, fault, rows, first_call
        self.calls = self.failed = self.forwarded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def forward(self, tokens: Any, positions: Any, attend: Any) -> Any:
        self.calls += 1
        if self.calls > self.first_call and len(tokens) > self.rows:
            self.failed += 1
            if self.failed % 2:  # half of the times on the way, with some keys already written
                self.inner.forward(tokens, positions, attend)
            raise self.fault()
        self.forwarded += len(tokens)
        return self.inner.forward(tokens, positions, attend)


def asked() -> list[GenerateRequest]:
    prompts = ragged(5, count=9)
    return [
        GenerateRequest(p, n=1 + i % 3, max_tokens=4 + i % 5, temperature=float(i % 2), seed=i)
        for i, p in enumerate(prompts)
    ]


def texts(generations: list[Generation]) -> list[list[tuple[int, ...]]]:
    return [[s.token_ids for s in g.samples] for g in generations]


def shortened(model: TrieModel, fault: Callable[[], BaseException], rows: int, first_call: int) -> ShortTrunk:
    trunk = ShortTrunk(model.trunk, fault, rows, first_call)
    model.trunk = model.runner.trunk = trunk
    return trunk


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("first_call", [0, 5])
def test_the_same_texts_with_less_memory(
    fault: Callable[[], BaseException], first_call: int, caplog: pytest.LogCaptureFixture
) -> None:
    pair = tiny_pair("llama")
    whole = pair.trie(max_slots=16)
    expected = whole.generate(asked())
    model = pair.trie(max_slots=16)
    trunk = shortened(model, fault, 8, first_call)
    seen: dict[int, Generation] = {}
    with caplog.at_level(logging.WARNING, logger="icl"):
        found = model.generate(asked(), seen.__setitem__)
    assert trunk.failed
    assert texts(found) == texts(expected)
    for a, b in zip(found, expected, strict=True):
        for x, y in zip(a.samples, b.samples, strict=True):
            assert x.logprobs == pytest.approx(y.logprobs, abs=1e-4)
    assert [seen[i] for i in range(len(found))] == found
    # every row once, although steps and chunks failed
    assert trunk.forwarded == sum(g.usage.tokens_unique for g in expected)
    assert "out of memory" in caplog.text
    assert model.engine.endswith("for want of memory")
    assert whole.engine.removesuffix(", native kernels") == "trie engine"


def test_one_text_at_a_time_is_the_least() -> None:
    """Below that it is an error that says so."""
    pair = tiny_pair("llama")
    expected = texts(pair.trie().generate(asked()))
    model = pair.trie(max_slots=16)
    model.chunk_rows = 1
    trunk = shortened(model, MemoryError, 1, 0)
    assert texts(model.generate(asked())) == expected
    assert model.max_slots == 1
    trunk.rows = 0
    with pytest.raises(ModelError, match=r"not enough memory (for|to write one text)"):
        model.generate(asked())
    assert trunk.failed < 40


def test_draws_that_fail_are_repeated_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = tiny_pair("llama")
    expected = texts(pair.trie(max_slots=16).generate(asked()))
    inner = loop_module.draw_batch
    failed = 0

    def short(logits: Any, requests: Any, uniforms: Any, *rest: Any) -> Any:
        nonlocal failed
        drawn = inner(logits, requests, uniforms, *rest)
        if len(logits) > 3:
            failed += 1
            for request, uniform, (token, _) in zip(requests, uniforms, drawn, strict=True):
                assert token >= 0
                if request.temperature > 0:
                    uniform.give_back(lasts[id(uniform)])
            raise MemoryError
        return drawn

    lasts: dict[int, float] = {}
    stream = loop_module.UniformStream

    class Noted(stream):  # type: ignore[misc, valid-type]
        def __next__(self) -> float:
            lasts[id(self)] = super().__next__()
            return lasts[id(self)]

    monkeypatch.setattr(loop_module, "UniformStream", Noted)
    monkeypatch.setattr(loop_module, "draw_batch", short)
    assert texts(pair.trie(max_slots=16).generate(asked())) == expected
    assert failed


@pytest.mark.parametrize("kernels", [False, True])
def test_numbers_of_a_failed_draw_come_again(kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two groups fails after the first has drawn; the kernels draw all at once."""
    import icl.engine.decoding.sampling as sampling

    if kernels and not library.available():
        pytest.skip(library.why_not())
    requests = [GenerateRequest((1,), temperature=t) for t in (0.5, 1.0)]
    uniforms = [sampling.UniformStream(0, (1,), i) for i in range(2)]
    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    place, name, fails_at = (sampling.draws, "draw_tokens", 1) if kernels else (sampling, "draw", 2)
    works, calls = getattr(place, name), 0

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise MemoryError
        return works(*arguments)

    monkeypatch.setattr(place, name, failing)
    with contextlib.nullcontext() if kernels else library.left_out():
        with pytest.raises(MemoryError):
            sampling.draw_batch(logits, requests, uniforms, [(), ()])
        again = sampling.draw_batch(logits, requests, uniforms, [(), ()])
        fresh = [sampling.UniformStream(0, (1,), i) for i in range(2)]
        assert again == sampling.draw_batch(logits, requests, fresh, [(), ()])


def test_growing_tails_that_fail_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second copy of a tail does not fit: some layers had grown already."""
    import icl.engine.decoding.memory as memory

    pair = tiny_pair("llama")
    expected = texts(pair.trie(max_slots=16).generate(asked()))
    padded, copies = memory._padded, 0

    def failing(tensor: Any, rows: int, capacity: int, dim: int = 1) -> Any:
        nonlocal copies
        copies += rows > 4
        if rows > 4 and copies % 2 == 0:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return padded(tensor, rows, capacity, dim)

    monkeypatch.setattr(memory, "_padded", failing)
    monkeypatch.setattr(memory, "TAIL_STEP", 4)
    assert texts(pair.trie(max_slots=16).generate(asked())) == expected
    assert copies > 2


def test_other_errors_are_not_taken_for_memory() -> None:
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    assert all(out_of_memory(fault()) for fault in FAULTS)
    model = tiny_pair("llama").trie()
    trunk = shortened(model, lambda: RuntimeError("shapes cannot be multiplied"), 3, 0)
    with pytest.raises(RuntimeError, match="shapes"):
        model.generate(asked())
    assert trunk.failed == 1
