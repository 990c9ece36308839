"""Memory and pace of a model, reckoned from its configuration."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

import icl
from icl.engine.decoding.loop import DecodeLoop
from icl.engine.measuring.footprint import expected_memory
from icl.engine.measuring.pace import measure_pace
from icl.engine.measuring.sizes import Largest
from icl.engine.requests.encoding import encode_texts
from icl.engine.trunks.packed import widened
from icl.experiments.asking.models import TokenizerOnly
from icl.experiments.plan import RehearsalModel
from icl.types import GenerateRequest

PARAMETERS = 134_515_008


def test_weights_count_by_parameter_and_packed_ones_twice(embedded):
    single = expected_memory(embedded, "float32", Largest())
    half = expected_memory(embedded, "bfloat16", Largest())
    assert single.weights in (4 * PARAMETERS, 8 * PARAMETERS)
    packs = (2, 4) if not widened(torch.bfloat16) else (2 + 4,)
    assert half.weights in [size * PARAMETERS for size in packs]
    assert single.cache == 0
    assert single.total == single.process + single.weights + single.chunk


def test_keys_and_values_grow_with_length_and_slots_up_to_what_there_is(embedded):
    token = 2 * 30 * 3 * 64 * 4  # keys and values, layers, heads, size, bytes
    assert expected_memory(embedded, "float32", Largest(read=100)).cache == token * 100
    one = expected_memory(embedded, "float32", Largest(read=100, texts=1, alone=40))
    assert one.cache == token * (200 + 50)
    many = expected_memory(embedded, "float32", Largest(read=100, texts=10_000, alone=40))
    more = expected_memory(embedded, "float32", Largest(read=100, texts=20_000, alone=40))
    assert one.cache < many.cache == more.cache
    kept = expected_memory(embedded, "float32", Largest(read=100, texts=1, alone=40, kept=50))
    assert kept.cache - one.cache == token * 50


def test_a_pace_of_random_layers_is_within_reason(embedded):
    pace = measure_pace(embedded)
    assert pace.read > pace.write > 1
    assert 0 <= pace.others <= 1


def test_what_other_programs_take_meanwhile_is_told(embedded):
    spin = "while True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(max((os.cpu_count() or 1) // 2, 1))]
    try:
        assert measure_pace(embedded, samples=2).others > 0.1
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_what_memory_holds_for_one_sample_alone_is_as_the_engine_counts_it(embedded):
    model = icl.load_model(embedded)
    texts = ["Q: 1 + 1?\nA:", "Q: 1 + 1?\nA:", "Q: 2 + 2?\nA:", "Name a colour that you like, please:"]
    asked = [
        GenerateRequest(t, n=n, max_tokens=m)
        for t, n, m in zip(texts, (1, 2, 1, 4), (5, 9, 7, 3), strict=True)
    ]
    rehearsal = RehearsalModel(TokenizerOnly("m", model.tokenizer, lambda: 99))
    rehearsal.generate(asked)
    prompts = encode_texts(model.tokenizer, texts)
    loop = DecodeLoop(model.runner, asked, prompts, model.tokenizer, model.resident)
    assert rehearsal.largest.alone == loop.slot_tokens > 9
    assert rehearsal.largest.texts == 8
