"""The lower bound against cases counted by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GptOssConfig, LlamaConfig

from icl.engine.forward.scoring import plan_scores
from icl.engine.measuring.roofline import (
    Shape,
    Work,
    _windows,
    best_seconds,
    generate_bound,
    measure_bandwidth,
    measure_rates,
    operations,
    score_bound,
    score_work,
    shape_of,
    step_bound,
)
from icl.engine.requests.encoding import EncodedScore
from icl.types import GenerateRequest

HAND = Shape(
    layers=2, heads=3, head_size=4, hidden=10, vocabulary=7, block_parameters=100,
    windows=(None, None), linears=((10, 10, 1),), itemsize=4, kv_bytes=16,
)  # fmt: skip


def llama() -> torch.nn.Module:
    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=113,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def test_operations_by_hand() -> None:
    # [1 2 3] -> 4 or 5 6, and [1 2 9] -> 4: forwarded 1 2 3 5 9, at depths 0 1 2 3 2
    plan = plan_scores([EncodedScore((1, 2, 3), ((4,), (5, 6))), EncodedScore((1, 2, 9), ((4,),))])
    work = score_work(plan, HAND, chunk_rows=2)
    # rows that predict: 3 (both 4 and 5), 5 (6), 9 (4)
    assert work == Work(unique=5, attended=1 + 2 + 3 + 4 + 3, vocabulary_rows=3, chunks=3)
    # 2 P U + 4 L H d A + 2 d V R
    assert operations(HAND, work) == 2 * 100 * 5 + 4 * 2 * 3 * 4 * 13 + 2 * 10 * 7 * 3
    assert operations(HAND, Work(0, 0, 0, label_products=6)) == 2 * 10 * 6


def test_the_slower_of_arithmetic_and_memory_bounds() -> None:
    work = Work(unique=5, attended=13, vocabulary_rows=3, chunks=3)
    assert HAND.weight_bytes == (100 + 70) * 4
    assert score_bound(HAND, work, gemm=10.0, bandwidth=1e9) == operations(HAND, work) / 10
    assert score_bound(HAND, work, gemm=1e9, bandwidth=10.0) == 3 * 680 / 10
    # a step of 2 rows that reads 6 keys and sees 9
    assert step_bound(HAND, 2, 6, 9, gemm=1e9, bandwidth=1.0) == 680 + 16 * 6
    assert step_bound(HAND, 2, 6, 9, gemm=1.0, bandwidth=1e9) == 2 * 2 * 170 + 4 * 2 * 3 * 4 * 9


def test_windows_bound_what_a_token_sees() -> None:
    half = SimpleNamespace(sliding_window=2, layer_types=["sliding_attention", "full_attention"])
    assert _windows(half, 2) == (2, None)
    assert _windows(SimpleNamespace(sliding_window=5), 3) == (5, 5, 5)
    narrow = Shape(2, 3, 4, 10, 7, 100, (2, None), (), 4, 16)
    # positions 0..3 see 1 2 3 4 keys, or 1 2 2 2 through the window
    assert narrow.attended(np.arange(4)) == (10 + 7) / 2


def test_generation_by_hand() -> None:
    requests = [GenerateRequest((1, 2), n=2, max_tokens=3), GenerateRequest((1, 2, 3), n=1, max_tokens=3)]
    seconds, unique = generate_bound(HAND, requests, slots=8, chunk_rows=8, rates=(1.0, 1e12))
    assert unique == 3 + 3 * 2
    prefill = 2 * 100 * 3 + 96 * (1 + 2 + 3) + 2 * 70 * 2
    # in step 1 the first new token of each sample is forwarded: at positions 2, 2, 3
    steps = [2 * 3 * 170 + 96 * (3 + 3 + 4), 2 * 3 * 170 + 96 * (4 + 4 + 5)]
    assert seconds == pytest.approx(prefill + sum(steps))
    read, _ = generate_bound(HAND, requests, slots=8, chunk_rows=8, rates=(1e12, 1.0))
    assert read == pytest.approx(680 + (680 + 16 * (3 + 3)) + (680 + 16 * (3 + 6)))


def test_fewer_slots_read_the_weights_more_often() -> None:
    requests = [GenerateRequest((1, 2), n=4, max_tokens=2)]
    one, _ = generate_bound(HAND, requests, slots=4, chunk_rows=8, rates=(1e12, 1.0))
    two, _ = generate_bound(HAND, requests, slots=2, chunk_rows=8, rates=(1e12, 1.0))
    assert two - one == pytest.approx(680)


def test_shape_of_a_llama() -> None:
    shape = shape_of(llama())
    # q and o 32x32, k and v 32x16, gate, up and down 32x48
    assert shape.block_parameters == 2 * (2 * 1024 + 2 * 512 + 3 * 1536)
    assert sorted(shape.linears) == [(32, 16, 4), (32, 32, 4), (32, 48, 4), (48, 32, 2)]
    assert (shape.hidden, shape.vocabulary, shape.head_size) == (32, 113, 8)
    assert shape.kv_bytes == 2 * 2 * 2 * 8 * 4


def test_shape_of_turned_weights_and_of_experts() -> None:
    gpt = shape_of(
        AutoModelForCausalLM.from_config(
            GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=32)
        )
    )
    assert sorted(gpt.linears) == [(16, 16, 1), (16, 48, 1), (16, 64, 1), (64, 16, 1)]
    settings = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 50, "num_local_experts": 8,
    }  # fmt: skip

    def parameters(chosen: int) -> int:
        config = GptOssConfig(**settings, num_experts_per_tok=chosen)
        return shape_of(AutoModelForCausalLM.from_config(config)).block_parameters

    # gate and up [16, 48], down [24, 16], and their biases: of each expert that is chosen
    assert parameters(4) - parameters(2) == 2 * (16 * 48 + 24 * 16 + 48 + 16)


def test_rates_are_measured() -> None:
    rates = measure_rates(shape_of(llama()), torch.float32, torch.device("cpu"), rows=16)
    assert rates.gemm > 0
    assert rates.best_gemm >= max(rates.gemm, rates.packed_gemm)
    assert 1e6 < rates.bandwidth < 1e13
    assert measure_bandwidth(torch.device("cpu"), 2**20) > 1e6


def test_best_seconds_skips_the_first_run() -> None:
    calls = []
    assert best_seconds(lambda: calls.append(0), torch.device("cpu")) < 0.1
    assert len(calls) > 3
