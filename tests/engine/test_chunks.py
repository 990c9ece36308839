"""How much memory the engine plans with, and what it makes of it."""

from __future__ import annotations

import pytest
import torch

from icl.engine.forward.chunks import (
    GPU_CHUNK_ROWS,
    GPU_MAX_SLOTS,
    default_sizes,
    engine_memory,
    free_memory,
    rows_for_memory,
    slots_for_memory,
)

from .tiny import tiny_network, tiny_pair

GB = 10**9
GPU = torch.device("cuda")


@pytest.fixture
def _gpu_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (40 * GB, 80 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 30 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20 * GB)


@pytest.mark.usefixtures("_gpu_memory")
def test_a_gpu_is_asked_for_its_own_memory() -> None:
    assert free_memory(GPU) == 50 * GB  # what torch holds unused can be used
    assert engine_memory(None, GPU) == 25 * GB
    assert engine_memory(3, GPU) == 3


def test_a_cpu_is_asked_for_its_own() -> None:
    assert 0 < engine_memory(None, torch.device("cpu")) < free_memory(torch.device("cpu")) * 0.6


def test_sizes_suit_the_device_and_are_bounded_by_memory() -> None:
    assert GPU_CHUNK_ROWS >= 8192
    assert default_sizes(GPU) == (GPU_CHUNK_ROWS, GPU_MAX_SLOTS)
    config = tiny_network("llama").config
    assert rows_for_memory(config, torch.float32, GPU_CHUNK_ROWS, 40 * GB) == GPU_CHUNK_ROWS
    assert 8 <= rows_for_memory(config, torch.float32, GPU_CHUNK_ROWS, 40_000_000) < GPU_CHUNK_ROWS
    assert slots_for_memory(config, torch.float32, GPU_MAX_SLOTS, 64, 40 * GB) == GPU_MAX_SLOTS
    assert slots_for_memory(config, torch.float32, GPU_MAX_SLOTS, 64, 1_000_000) < GPU_MAX_SLOTS


def test_an_engine_takes_the_defaults_of_its_device() -> None:
    pair = tiny_pair("llama")
    engine = pair.trie()
    assert (engine.chunk_rows, engine.max_slots) == default_sizes(torch.device("cpu"))
    asked = pair.trie(chunk_rows=9, max_slots=5)
    assert (asked.chunk_rows, asked.max_slots) == (9, 5)
