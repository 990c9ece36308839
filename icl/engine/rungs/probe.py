"""The load-time probe: does an engine give what the model's own plain forward gives?

Reading a configuration can only rule a model out. What decides is a comparison: a small random
trie, scored and continued by the engine, against one plain eager forward a sequence; past every length at
which the configuration says that attention may change (icl.engine.rungs.lengths), or the engine is refused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.rungs.lengths import AT_MOST, AT_ONCE, Length, affordable, lengths
from icl.engine.rungs.plain import outside_the_layers, plain_logits
from icl.engine.rungs.root import PlantedRoot
from icl.engine.trie.preorder import as_arrays, count_unique
from icl.engine.trunks.contract import Trunk
from icl.engine.trunks.hooked import HookedTrunk
from icl.protocols import LanguageModel
from icl.types import GenerateRequest, ScoreRequest, TokenIds

LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})
MOVING_ROPE = frozenset({"dynamic", "longrope"})
"""Rotary positions whose frequencies depend on the longest position of the call."""
SHORT = 12
"""Tokens of a probe text, and tokens past a length that is crossed."""
WRITTEN = 3
"""Tokens that each probe sequence is continued by."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """`exact`: may the engine be used? `reason`: why not, in words. `difference`: largest one of
    log-probabilities to the plain forward (nan where nothing ran), allowed up to `tolerance`."""

    exact: bool
    reason: str = ""
    difference: float = float("nan")
    tolerance: float = float("nan")
    seconds: float = 0.0


def moving_positions(network: Any, context_length: int) -> str:
    """Why a token's rotation depends on what else is in the call; "" where it does not.

    Up to the length that the model was first trained for, such scalings are constant.
    """
    config = network.config.get_text_config()
    settings = getattr(config, "rope_parameters", None) or {}
    for group in [settings, *(v for v in settings.values() if isinstance(v, dict))]:
        kind = group.get("rope_type")
        if kind not in MOVING_ROPE:
            continue
        constant_up_to = (
            config.max_position_embeddings
            if kind == "dynamic"
            else group.get("original_max_position_embeddings", 0)
        )
        if context_length > constant_up_to:
            return (
                f"its rotary positions ({kind}) depend on the longest position of the call beyond "
                f"{constant_up_to} tokens, so a prefix is not the same in a short and in a long text"
            )
    return ""


def unsupported(network: Any, context_length: int) -> str:
    """Why the trie engine cannot run this model, read from its class and configuration; "" if it may."""
    family = type(network).__name__
    wrapped = outside_the_layers(network)
    if wrapped:
        return wrapped
    if not network._can_set_attn_implementation():
        return f"{family} does not use the attention interface of transformers"
    config = network.config.get_text_config()
    unknown = sorted(set(getattr(config, "layer_types", None) or ()) - LAYER_TYPES)
    if unknown:
        return f"it has layers of type {', '.join(unknown)}"
    return moving_positions(network, context_length)


def layer_calls(trunk: Trunk) -> list[LayerCall]:
    """What each layer tells its attention, from a forward of one token."""
    calls: list[LayerCall] = []

    def record(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        calls.append(call)
        return v.repeat_interleave(q.shape[0] // v.shape[0], dim=0)  # one key: its value is the result

    zero = torch.zeros(1, dtype=torch.long, device=trunk.device)
    trunk.forward(zero, zero, record)
    return calls


def wrong_calls(network: Any, calls: Sequence[LayerCall]) -> str:
    """Why these are not the attention calls that the configuration announces; "" if they are."""
    config = network.config.get_text_config()
    if sorted(c.layer for c in calls) != list(range(config.num_hidden_layers)):
        return f"{len(calls)} of its {config.num_hidden_layers} layers called the attention of the engine"
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return ""
    windows = {"full_attention": None, "sliding_attention": getattr(config, "sliding_window", None)}
    for call in calls:
        if call.window != windows[kinds[call.layer]]:
            return (
                f"layer {call.layer} ({kinds[call.layer]}) asks for a window of {call.window}, "
                f"the configuration says {windows[kinds[call.layer]]}"
            )
    return ""


def wrong_trunk(network: Any, trunk: Trunk) -> str:
    """Why a trunk's layers do not call their attention as the model's own do; "" if they do.

    This is what sees a long window that is lost: the comparison of logits is too short for it.
    """
    calls = layer_calls(trunk)
    reason = wrong_calls(network, calls)
    if reason or isinstance(trunk, HookedTrunk):
        return reason
    for ours, own in zip(calls, layer_calls(HookedTrunk(network)), strict=True):
        for what in ("layer", "window", "softcap"):
            if getattr(ours, what) != getattr(own, what):
                return (
                    f"layer {own.layer} asks for {what} {getattr(ours, what)} "
                    f"where the model's own asks for {getattr(own, what)}"
                )
    return ""


@contextlib.contextmanager
def attending(network: Any, implementation: str) -> Iterator[None]:
    """The model with another of its own attentions, and with the one that was set again afterwards."""
    before = network.config._attn_implementation
    if before == implementation:
        yield
        return
    network.set_attn_implementation(implementation)
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def plain_ways(network: Any) -> list[str]:
    """The attentions of the model's own that an engine is compared with.

    The reference is eager. Below fp32 it is not the better one: it rounds the scores, and where those are
    large (Qwen2's biases) that alone moves log-probabilities by one and more. So the attention that the
    model was loaded with counts too.
    """
    own: str = network.config._attn_implementation
    if not network._can_set_attn_implementation():
        return [own]
    rounded = next(network.parameters()).dtype.itemsize < torch.float32.itemsize
    return ["eager", own] if rounded and own != "eager" else ["eager"]


def known_lengths(network: Any, trunk: Trunk | None) -> set[int]:
    """Windows that the calls or the masks of the layers announce: what they say is checked by itself."""
    if trunk is not None:
        return {call.window for call in layer_calls(trunk) if call.window is not None}
    try:
        return {window for window in HookedTrunk(network).windows.values() if window is not None}
    except Exception:  # masks of another kind, or none that transformers makes: nothing is known
        return set()


def reach(network: Any, context_length: int, known: Collection[int]) -> tuple[int, list[Length]]:
    """How long probe texts must be, and the lengths that would be too dear to cross."""
    wanted, beyond = SHORT, []
    for length in lengths(network, context_length - WRITTEN):
        needed = length.named and length.value not in known
        tokens = length.value + SHORT
        if affordable(network, tokens, AT_MOST if needed else AT_ONCE):
            wanted = max(wanted, tokens)
        elif needed:
            beyond.append(length)
    return min(wanted, context_length - WRITTEN), beyond


def probe_sequences(network: Any, length: int) -> list[TokenIds]:
    """Three texts of at most `length` tokens that part at two depths."""
    config = network.config.get_text_config()
    length = max(length, 4)
    draw = torch.Generator().manual_seed(0)

    def fresh(n: int) -> TokenIds:
        return tuple(torch.randint(0, config.vocab_size, (n,), generator=draw).tolist())

    long = fresh(length)
    fork, later = length // 3, 2 * length // 3
    return [
        long,
        (*long[:fork], *fresh(length - fork)),
        (*long[:later], *fresh(2)),
    ]


@torch.inference_mode()
def compare(network: Any, candidate: LanguageModel, sequences: Sequence[TokenIds]) -> tuple[float, float]:
    """Largest difference of log-probabilities between candidate and plain forwards (the nearer one, where
    there are two), scored and decoded, and the difference that rounding explains."""
    scored = candidate.score([ScoreRequest(s[:1], (s[1:],)) for s in sequences])
    written = candidate.generate([GenerateRequest(s, max_tokens=WRITTEN, ignore_eos=True) for s in sequences])
    samples = [generation.samples[0] for generation in written]
    whole = [(*s, *sample.token_ids) for s, sample in zip(sequences, samples, strict=True)]
    found = [
        torch.tensor([*scores.token_logprobs[0], *sample.logprobs], dtype=torch.float64)
        for scores, sample in zip(scored, samples, strict=True)
    ]
    root: PlantedRoot | None = getattr(candidate, "root", None)
    plain, scale = [], 1.0
    for implementation in plain_ways(network):
        expected = []
        with attending(network, implementation):
            for ids in whole:
                logits = plain_logits(network, ids[:-1], root)
                chosen = torch.log_softmax(logits, dim=-1)[torch.arange(len(ids) - 1), list(ids[1:])]
                expected.append(chosen.double().cpu())
                scale = max(scale, float(logits.abs().max()))
        plain.append(expected)
    dtype = next(network.parameters()).dtype
    tolerance = scale * max(1e-4, 4 * torch.finfo(dtype).eps)
    return min(_largest(found, way) for way in plain), tolerance


def _largest(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest difference; infinite where anything is not a number."""
    gap = torch.cat([(x - y).abs() for x, y in zip(a, b, strict=True)])
    return float(gap.max()) if gap.isfinite().all() else float("inf")


def probe(network: Any, candidate: LanguageModel) -> ProbeReport:
    """Runs `candidate`, an engine over `network`, on small random tries.

    A model that cannot be run at all is a report too, not an error; running out of memory is raised.
    """
    started = time.perf_counter()
    try:
        reason, difference, tolerance = _compared(network, candidate)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a foreign model raises: it cannot be run this way
        reason, difference, tolerance = one_line(error), float("nan"), float("nan")
    return ProbeReport(not reason, reason, difference, tolerance, time.perf_counter() - started)


def one_line(error: Exception) -> str:
    """An error of a library as a reason."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _compared(network: Any, candidate: LanguageModel) -> tuple[str, float, float]:
    """(why it is not exact, largest difference, what rounding explains)."""
    trunk: Trunk | None = getattr(candidate, "trunk", None)
    reason = wrong_trunk(network, trunk) if trunk is not None else ""
    if reason:
        return reason, float("nan"), float("nan")
    limit = candidate.context_length
    root: PlantedRoot | None = getattr(candidate, "root", None)
    whole = limit + (root.length if root is not None else 0)
    longest, beyond = reach(network, whole, known_lengths(network, trunk))
    longest = min(longest, limit - WRITTEN)
    # the short one first: what is wrong at all costs little to find
    short = min(SHORT, limit - WRITTEN)
    difference = tolerance = 0.0
    for length in dict.fromkeys((short, longest)):
        gap, allowed = _on_chunks(network, candidate, probe_sequences(network, length))
        difference, tolerance = max(difference, gap), max(tolerance, allowed)
        if gap > allowed:
            told = f" on texts of {length} tokens" if length > short else ""
            off = f"log-probabilities are {gap:.2g} off a plain forward's{told} (allowed: {allowed:.2g})"
            return off, gap, allowed
    if beyond:
        first = beyond[0]
        reason = (
            f"its attention may change beyond {first.value} tokens ({first.key}), which takes too long to "
            f"compare; a context_length of {first.value} would do without"
        )
    return reason, difference, tolerance


def _on_chunks(network: Any, candidate: LanguageModel, sequences: list[TokenIds]) -> tuple[float, float]:
    """`compare` in two chunks, so that keys and values are handed on from one to the next."""
    rows = getattr(candidate, "chunk_rows", None)
    if rows is None:
        return compare(network, candidate, sequences)
    candidate.chunk_rows = min(rows, count_unique(as_arrays(sequences)) // 2 + 1)  # type: ignore[attr-defined]
    try:
        return compare(network, candidate, sequences)
    finally:
        candidate.chunk_rows = rows  # type: ignore[attr-defined]
