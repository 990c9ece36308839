"""Rotary positions as a GGUF file states them, in the words of transformers.

transformers reads the base of the frequencies and drops what changes them: `rope_freqs.weight` (Llama 3.1 and
later), `rope.scaling.*` (linear, YaRN), the long and short factors of Phi-3, the width that is rotated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.engine.loading.gguf.file import GGUFFile
from icl.errors import ModelError

BASE = 10_000.0
"""Of a file that does not say."""
FREQUENCIES, LONG, SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
TENSORS = frozenset({FREQUENCIES, LONG, SHORT})
AGREE = 1e-4
"""Largest relative difference at which a formula is the file's list of factors."""
LLAMA3_CONTEXTS = tuple(2**n for n in range(9, 18))


def set_rope(file: GGUFFile, config: Any) -> None:
    """Writes the file's rotary positions into a transformers configuration, in place.

    Raises ModelError for a scaling that transformers has no words for.
    """
    known = getattr(config, "rope_parameters", None)
    if not known:
        if any(key.startswith("rope.scaling") for key in file.settings) or TENSORS & file.shapes.keys():
            raise ModelError(
                f"{file.path.name}: rotary positions in a model that has none ({file.architecture})"
            )
        return
    base = float(file.settings.get("rope.freq_base", BASE))
    width = _rotated(file, config, known)
    said = {"rope_theta": base, **width, **_scaling(file, config, base)}
    original = said.get("original_max_position_embeddings")
    if original and hasattr(config, "original_max_position_embeddings"):
        config.original_max_position_embeddings = original  # Phi-3's own would win
    if "sliding_attention" in known:  # a base of its own for the layers with a window, which are never scaled
        near = {"rope_type": "default", "rope_theta": float(file.settings.get("rope.freq_base_swa", BASE))}
        config.rope_parameters = {"sliding_attention": near, "full_attention": said}
        return
    if "rope.freq_base_swa" in file.settings and file.settings["rope.freq_base_swa"] != base:
        raise ModelError(
            f"{file.path.name}: rope.freq_base_swa has no place in transformers' {config.model_type}"
        )
    config.rope_parameters = said


def _rotated(file: GGUFFile, config: Any, known: dict[str, Any]) -> dict[str, float]:
    """The part of a head that is rotated, where a model may rotate a part."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rotated = int(file.settings.get("rope.dimension_count", head))
    if rotated == head:
        return {"partial_rotary_factor": 1.0} if "partial_rotary_factor" in known else {}
    if "partial_rotary_factor" in known or hasattr(config, "rotary_dim"):
        return {"partial_rotary_factor": rotated / head}
    raise ModelError(
        f"{file.path.name}: rope.dimension_count is {rotated} of heads of {head}, and transformers' "
        f"{config.model_type} rotates whole heads only"
    )


def _scaling(file: GGUFFile, config: Any, base: float) -> dict[str, Any]:
    """The entries of `rope_parameters` beside the base."""
    said = file.settings
    factor = float(said.get("rope.scaling.factor") or said.get("rope.scale_linear") or 0.0) or 1.0
    kind = str(said.get("rope.scaling.type", "linear"))  # as llama.cpp: a factor alone is a linear one
    length = int(said.get("rope.scaling.original_context_length") or config.max_position_embeddings)
    if LONG in file.shapes or SHORT in file.shapes:
        factors = {name: file.tensor(name).ravel() for name in (LONG, SHORT) if name in file.shapes}
        if len(factors) < 2 or kind == "yarn":
            raise ModelError(f"{file.path.name}: {LONG} and {SHORT} go together, without another scaling")
        return _listed(
            factors[SHORT], factors[LONG], length, float(said.get("rope.scaling.attn_factor", 1.0))
        )
    if FREQUENCIES in file.shapes:
        if factor != 1.0:
            raise ModelError(f"{file.path.name}: {FREQUENCIES} and rope.scaling.factor at once")
        return _by_frequency(file.tensor(FREQUENCIES).ravel(), base, config)
    if kind == "yarn" and factor != 1.0:
        return _yarn(file, config, factor, length)
    if kind not in ("none", "linear", "yarn"):
        raise ModelError(
            f"{file.path.name}: rope.scaling.type {kind!r} is not known; allowed: none, linear, yarn, or the "
            f"tensors {', '.join(sorted(TENSORS))}"
        )
    if kind == "linear" and factor != 1.0:
        return {"rope_type": "linear", "factor": factor}
    return {"rope_type": "default"}


def _yarn(file: GGUFFile, config: Any, factor: float, length: int) -> dict[str, Any]:
    said = file.settings
    if said.get("rope.scaling.yarn_ext_factor", 1.0) not in (1.0, -1.0):
        raise ModelError(
            f"{file.path.name}: rope.scaling.yarn_ext_factor other than 1 has no place in transformers"
        )
    scale = float(said.get("rope.scaling.attn_factor", 1.0)) * float(
        said.get("rope.scaling.yarn_attn_factor", 1.0)
    )
    # mscale over all dimensions, as DeepSeek has it: one divides the other
    divisor = 1.0 + 0.1 * float(said.get("rope.scaling.yarn_log_multiplier", 0.0)) * math.log(factor)
    found = {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": length,
        "attention_factor": scale * (1.0 + 0.1 * math.log(factor)) / divisor,
        "beta_fast": float(said.get("rope.scaling.yarn_beta_fast", 32.0)),
        "beta_slow": float(said.get("rope.scaling.yarn_beta_slow", 1.0)),
    }
    known = config.rope_parameters
    return {**found, "truncate": known["truncate"]} if "truncate" in known else found


def _by_frequency(factors: NDArray[np.float32], base: float, config: Any) -> dict[str, Any]:
    """A divisor for each frequency: Llama 3's formula where it is one, else the list itself."""
    if np.allclose(factors, 1.0, atol=AGREE):
        return {"rope_type": "default"}
    found = _llama3(factors.astype(np.float64), base)
    if found is not None:
        return found
    return _listed(factors, factors, config.max_position_embeddings, 1.0)


def _listed(
    short: NDArray[np.float32], long: NDArray[np.float32], length: int, attention: float
) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "short_factor": [float(f) for f in short],
        "long_factor": [float(f) for f in long],
        "original_max_position_embeddings": length,
        "attention_factor": attention,
    }


def llama3_factors(
    base: float, size: int, factor: float, low: float, high: float, length: float
) -> NDArray[np.float64]:
    """[size] divisors of the frequencies by the formula of Llama 3.1, size being half a head's width."""
    waves = 2 * math.pi * base ** (np.arange(size) / size)
    smooth = np.clip((length / waves - low) / (high - low), 0.0, 1.0)
    return np.asarray(1.0 / ((1.0 - smooth) / factor + smooth))


def _llama3(factors: NDArray[np.float64], base: float) -> dict[str, Any] | None:
    """The formula's numbers, or None where the factors are not its.

    Between the two plateaus the formula is a line over 1/wavelength; two points give the line. Its three
    numbers give the same line for any lower bound, so that is 1, as in every published model.
    """
    size, factor = len(factors), float(factors.max())
    if factor <= 1.0:
        return None
    waves = 2 * math.pi * base ** (np.arange(size) / size)
    smooth = (1.0 / factors - 1.0 / factor) / (1.0 - 1.0 / factor)
    between = np.flatnonzero((smooth > 1e-3) & (smooth < 1 - 1e-3))
    lone = [round(float(waves[i] * (3.0 * smooth[i] + 1.0))) for i in between[:1]]
    candidates = [(4.0, float(length)) for length in (*lone, *LLAMA3_CONTEXTS)]
    if len(between) >= 2:
        slope, offset = np.polyfit(1.0 / waves[between], smooth[between], 1)
        if offset < 0 < slope:
            high = 1.0 - 1.0 / float(offset)
            candidates.insert(0, (high, float(slope) * (high - 1.0)))
            candidates.insert(0, (float(round(high)), float(round(float(slope) * (high - 1.0)))))
    for high, length in candidates:
        if high > 1.0 and np.allclose(
            llama3_factors(base, size, factor, 1.0, high, length), factors, rtol=AGREE
        ):
            return {
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": 1.0,
                "high_freq_factor": high,
                "original_max_position_embeddings": round(length),
            }
    return None
