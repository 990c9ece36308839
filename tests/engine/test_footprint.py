"""Memory and pace of a model, reckoned from its configuration."""

from __future__ import annotations

import torch

from icl.engine.footprint import Largest, expected_memory
from icl.engine.pace import measure_pace
from icl.engine.packed import widened

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
    one = expected_memory(embedded, "float32", Largest(read=100, texts=1, tail=40))
    assert one.cache == token * (200 + 50)
    many = expected_memory(embedded, "float32", Largest(read=100, texts=10_000, tail=40))
    more = expected_memory(embedded, "float32", Largest(read=100, texts=20_000, tail=40))
    assert one.cache < many.cache == more.cache
    kept = expected_memory(embedded, "float32", Largest(read=100, texts=1, tail=40, kept=50))
    assert kept.cache - one.cache == token * 50


def test_a_pace_of_random_layers_is_within_reason(embedded):
    pace = measure_pace(embedded)
    assert pace.read > pace.write > 1
