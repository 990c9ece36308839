"""What icl doctor says of a machine whose rates are given."""

from __future__ import annotations

import importlib.metadata
import json
from email.message import Message

import pytest
import torch

from icl.bench import doctor
from icl.bench.doctor import Speed, bound, diagnose, extras
from icl.cli.doctor import _size, lines
from icl.engine.measuring.roofline import Rates
from icl.errors import ConfigError

PLAIN = Speed("float32", 1e12, 1e11, packed=True, native=True)


def test_bounds_by_hand():
    """1e9 parameters: 4e9 bytes; 1e12 / 2e9 = 500 tokens a second read, 1e11 / 4e9 = 25 written."""
    found = bound(1e9, PLAIN, 10 * 2**30, gpu=False)
    assert (found.weights, found.read, found.write, found.fits) == (4e9, 500.0, 25.0, True)
    assert not bound(1e9, PLAIN, 4 * 10**9, gpu=False).fits
    assert bound(1e9, PLAIN, 4 * 10**9 + 1, gpu=True).fits
    half = bound(1e9, Speed("bfloat16", 1e10, 1e11, packed=False, native=False), 2**40, gpu=False)
    assert (half.weights, half.read, half.write) == (2e9, 5.0, 5.0)


@pytest.fixture
def measured(monkeypatch):
    """Two precisions, each asked for once."""
    asked = []

    def rates(shape, dtype, device, rows):
        asked.append(dtype)
        return Rates(1e12, 2e12, 1e11)

    monkeypatch.setattr(doctor, "measure_rates", rates)
    monkeypatch.setattr(doctor.packed, "widened", lambda dtype: dtype == torch.bfloat16)
    monkeypatch.setenv("ICL_DATA", "/nonexistent")
    found = diagnose([1e9])
    assert asked == [torch.float32, torch.bfloat16]
    return found


def test_a_diagnosis_in_words_and_as_json(measured):
    said = lines(measured)
    text = "\n".join(said)
    assert "float32      2,000 GFLOP/s (packed weights), 100.0 GB/s copied" in said
    assert "made in fp32" in next(line for line in said if line.startswith("bfloat16"))
    assert "1B float32  reads 1,000 tokens/s, writes one text at 25.0 tokens/s, weights 3.7 GiB" in text
    assert "/nonexistent: no such folder" in text
    assert f"torch {torch.__version__}" in text
    assert json.loads(json.dumps(measured.as_dict))["speeds"][0]["operations"] == 2e12


def test_extras_that_are_missing_or_too_old_have_their_line(monkeypatch):
    about = Message()
    for key, value in [
        ("Provides-Extra", "some"),
        ("Provides-Extra", "whole"),
        ("Requires-Dist", "numpy>=1"),
        ("Requires-Dist", "numpy>=999; extra == 'some'"),
        ("Requires-Dist", "no-such-package-here>=1.2; extra == 'some'"),
        ("Requires-Dist", "pytest>=1; extra == 'whole'"),
    ]:
        about[key] = value
    monkeypatch.setattr(importlib.metadata, "metadata", lambda package: about)
    some, whole = extras("icl")
    assert some.line == "pip install 'numpy>=999' 'no-such-package-here>=1.2'"
    assert whole.missing == ()


def test_a_package_that_is_not_installed_has_no_extras():
    assert extras("no-such-package-here") == ()


@pytest.mark.parametrize(("text", "size"), [("135m", 135e6), (" 1.5B ", 1.5e9), ("8e9", 8e9), ("1000", 1e3)])
def test_sizes_of_models(text, size):
    assert _size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1b", "0"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="write it like 135m or 8b"):
        _size(text)
