"""Recorded decode steps against eager ones.

In place of a CUDA graph a tape: the operations that ran, repeated on the very tensors that they ran
on, without any Python of ours. What a graph would have frozen, the tape has frozen too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from icl.engine.decoding import graphed
from icl.engine.decoding import loop as decoding
from icl.engine.decoding.graphed import GraphedStep, Replay, row_bucket
from icl.engine.decoding.memory import SharedNode, Tails
from icl.engine.decoding.steps import EagerStep
from icl.engine.trie import radix
from icl.engine.trie.radix import Node
from icl.engine.trunks.hooked import HookedTrunk
from icl.types import GenerateRequest, Generation

from .tiny import ragged, tiny_network, tiny_pair

CPU = torch.device("cpu")
REFUSED = ("_local_scalar_dense", "nonzero", "lift_fresh")
"""Operations that wait for a value or bring one from the CPU: a CUDA graph cannot record them."""
FAMILIES = ("llama", "gpt2", "mistral", "gemma2", "gpt-oss")
"""Grouped heads, learned positions, windows, softcap, sinks."""


class Tape(TorchDispatchMode):
    """Keeps every operation with the tensors that went in and came out."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not any(name in str(func) for name in REFUSED), func
        out = func(*args, **(kwargs or {}))
        self.ran.append((func, args, kwargs or {}, out))
        return out

    def repeat(self) -> None:
        for func, args, kwargs, out in self.ran:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """A `make_capture` that counts."""

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0

    def __call__(self) -> Callable[[Callable[[], Tensor]], Replay]:
        return self.capture

    def capture(self, body: Callable[[], Tensor]) -> Replay:
        self.captures += 1
        with Tape() as tape:
            out = body()
        out.fill_(torch.nan)  # recording promises no result

        def replay() -> Tensor:
            self.replays += 1
            tape.repeat()
            return out

        return replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Every decode loop records its steps."""
    made = Recorder()
    monkeypatch.setattr(radix, "SHARE_TOKENS", 2)  # many shared nodes
    monkeypatch.setattr(decoding, "step_runner", lambda trunk: GraphedStep(trunk, made))
    return made


def requests() -> list[GenerateRequest]:
    """Prompts that share beginnings, some with several samples, of different lengths."""
    prompts = ragged(5, count=9, length=40)
    asked = [GenerateRequest(p, max_tokens=3 + 2 * i, ignore_eos=True) for i, p in enumerate(prompts)]
    return [*asked, GenerateRequest(prompts[2], n=5, max_tokens=12, temperature=1.0, seed=3)]


def same(found: list[Generation], expected: list[Generation]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert [s.token_ids for s in a.samples] == [s.token_ids for s in b.samples]
        for x, y in zip(a.samples, b.samples, strict=True):
            assert x.logprobs == pytest.approx(y.logprobs, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_slots", [1, 3, 64])
def test_recorded_steps_write_what_eager_ones_write(
    family: str, max_slots: int, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    pair = tiny_pair(family)
    with pytest.MonkeyPatch.context() as eager:
        eager.setattr(decoding, "step_runner", EagerStep)
        expected = pair.trie(max_slots=max_slots).generate(requests())
    same(pair.trie(max_slots=max_slots).generate(requests()), expected)
    assert recorder.captures > 0
    assert recorder.replays > recorder.captures
    assert not [
        r for r in caplog.records if r.levelno >= logging.WARNING
    ]  # an operation that cannot be recorded is a warning


def test_tails_that_grow_while_decoding(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed, "TAIL_BUCKET", 4)
    pair = tiny_pair("mistral")
    asked = [GenerateRequest(p, max_tokens=20, ignore_eos=True) for p in ragged(1, count=4)]
    same(pair.trie().generate(asked), pair.naive.generate(asked))
    assert 4 <= recorder.captures <= 12  # one a bucket of tails, not one a step


def test_a_text_that_is_gone_on_from(recorder: Recorder) -> None:
    """What is left behind for a later call is read out of the memory of the recorded steps."""
    pair = tiny_pair("llama")
    engine, prompts = pair.trie(), ragged(2, count=4)
    first = engine.generate(
        [GenerateRequest(p, max_tokens=9, ignore_eos=True, continued=True) for p in prompts]
    )
    longer = [(*p, *g.samples[0].token_ids, 7) for p, g in zip(prompts, first, strict=True)]
    second = [GenerateRequest(p, max_tokens=6, ignore_eos=True) for p in longer]
    found = engine.generate(second)
    same(found, pair.naive.generate(second))
    assert recorder.replays


def test_buckets_of_rows() -> None:
    assert [row_bucket(n) for n in (1, 2, 3, 4, 5, 8, 9, 16, 17, 256)] == [1, 2, 4, 4, 8, 8, 16, 16, 24, 256]


class Case:
    """Three slots, two of them below a shared node, over a random tiny network."""

    def __init__(self, slots: int = 3, device: torch.device = CPU) -> None:
        self.trunk = HookedTrunk(tiny_network("llama").to(device))
        self.slots = slots
        draw = torch.Generator().manual_seed(0)
        self.node = SharedNode(Node(0, 6, 0, 0, 2, True))
        self.tails = Tails(device)
        self.tails.add(slots)
        for layer in (0, 1):
            self.node.put(layer, 0, *torch.randn(2, 2, 6, 8, generator=draw).to(device))
            for buffer in self.tails.layer(layer, torch.empty(2, 1, 8, device=device)):
                buffer[:, :, :3] = torch.randn(slots, 2, 3, 8, generator=draw).to(device)
        self.tails.lengths = [1 + b % 3 for b in range(slots)]
        self.tails.positions[:, :3] = torch.arange(6, 9)
        self.spans = [(self.node, 0, 2)]

    def run(self, stepper: Any, steps: int = 6) -> list[Tensor]:
        found = []
        with torch.inference_mode():
            for step in range(steps):
                tokens = [(7 * step + b) % 60 for b in range(self.slots)]
                positions = [6 + n for n in self.tails.lengths]
                found.append(stepper.step(tokens, positions, self.tails, self.spans).clone())
                self.tails.lengths = [n + 1 for n in self.tails.lengths]
        return found


@torch.inference_mode()
def test_rows_that_pad_do_not_matter() -> None:
    """Three slots in a bucket of four, with rubbish where the fourth keeps its keys."""
    expected = Case().run(EagerStep(Case().trunk))
    case = Case()
    stepper = GraphedStep(case.trunk, Recorder())
    stepper.store.adopt(case.tails, 4)
    for buffers in (stepper.store.keys, stepper.store.values):
        for buffer in buffers.values():
            buffer[3] = 1e4
    for a, b in zip(case.run(stepper), expected, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_recorded_only_when_a_shape_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    case, recorder = Case(), Recorder()
    stepper = GraphedStep(case.trunk, recorder)
    with caplog.at_level(logging.DEBUG, logger="icl"):
        case.run(stepper, graphed.UNRECORDED)
        assert recorder.captures == 0
        case.run(stepper, 5)
    assert (recorder.captures, recorder.replays) == (1, 5)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    case.spans = [(case.node, 1, 3)]  # other slots below the node: data, not another shape
    case.run(stepper, 2)
    assert recorder.captures == 1


def test_what_was_recorded_is_forgotten_when_memory_moves() -> None:
    case, recorder = Case(), Recorder()
    stepper = GraphedStep(case.trunk, recorder)
    case.run(stepper, 4)
    case.tails.reserve(case.tails.capacity + 1)
    case.run(stepper, 1)
    assert not stepper._graphs
    case.run(stepper, 3)
    assert recorder.captures == 2


def test_few_graphs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed, "TAIL_BUCKET", 4)
    monkeypatch.setattr(graphed, "GRAPHS", 2)
    case = Case()
    stepper = GraphedStep(case.trunk, Recorder())
    case.run(stepper, 30)
    assert len(stepper._graphs) == 2


def test_what_cannot_be_recorded_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Any:
        def capture(body: Any) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

        return capture

    expected = Case().run(EagerStep(Case().trunk))
    case = Case()
    with caplog.at_level(logging.WARNING, logger="icl"):
        found = case.run(GraphedStep(case.trunk, make))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    [record] = caplog.records
    assert "not permitted when stream is capturing)" in record.getMessage()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_graphs_on_a_gpu() -> None:
    device = torch.device("cuda")
    expected = Case(device=device).run(EagerStep(Case(device=device).trunk), 12)
    case = Case(device=device)
    stepper = GraphedStep(case.trunk, graphed.cuda_capture)
    for a, b in zip(case.run(stepper, 12), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert stepper._graphs
