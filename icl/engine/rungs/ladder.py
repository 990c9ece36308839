"""Which engine can run a model exactly: the fastest first, each step down said in the log.

0. fused trie: the same on packed weights, on CPU, of families with a reader (icl.engine.trunks.fused)
1. trie: shared tokens once, batched (icl.engine.rungs.trie_model)
2. depth-first: shared tokens once, one path at a time, the model's own attention
   (icl.engine.rungs.depth_first)
3. naive: nothing shared (icl.engine.rungs.naive)

Every step is decided by the probe, on the model that was loaded. The naive one, what the others are compared
with, is checked by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from icl.engine.rungs.depth_first import CachedDfsModel
from icl.engine.rungs.invariance import varies
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.plain import outside_the_layers
from icl.engine.rungs.probe import ProbeReport, moving_positions, one_line, probe, unsupported
from icl.engine.rungs.root import PlantedRoot
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import fused
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.hooked import HookedTrunk
from icl.protocols import LanguageModel, Tokenizer
from icl.training import Root

log = logging.getLogger("icl")

NOTHING_SHARED = "one plain forward a text, nothing shared"


@dataclass(frozen=True, slots=True)
class Step:
    """One rung. `against()`: why it cannot be taken, "" if nothing speaks against trying it."""

    name: str
    means: str
    against: Callable[[], str]
    make: Callable[[], LanguageModel]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a rung. `reason`: why it was not taken, "" of the one that was; `report`: of the probe, if
    it came to that."""

    name: str
    means: str
    reason: str
    report: ProbeReport | None = None


def choose_engine(
    network: Any,
    tokenizer: Tokenizer,
    *,
    name: str,
    context_length: int,
    fingerprint: str,
    root: Root | None = None,
    max_memory: int | None = None,
    tried: Callable[[Tried], None] = lambda one: None,
    **options: Any,
) -> LanguageModel:
    """The fastest engine that agrees with plain forwards of `network`.

    root: what stands before every text; it takes its part of `context_length`. tried: is told of every rung
    down to the one that is taken.
    options: chunk_rows, max_slots and batch_invariant as in TrieModel; the other engines take what they
    know. Where batch_invariant is asked, an engine whose results depend on the batch is stepped down from.

    Raises ConfigError for a root that does not fit the network, ModelError where even plain forwards fail.
    """
    if root is not None:
        PlantedRoot(root, network, context_length)  # where it does not fit, no rung is to blame
    common: dict[str, Any] = {
        "name": name, "context_length": context_length, "fingerprint": fingerprint, "root": root,
    }  # fmt: skip
    steps = _rungs(network, tokenizer, max_memory=max_memory, options=options, **common)
    refused = ""
    for step in steps:
        if refused:
            level = logging.INFO if step is steps[1] else logging.WARNING
            log.log(level, "%s; trying the %s: %s", refused, step.name, step.means)
        candidate, found = _tried(network, step, invariant=bool(options.get("batch_invariant")))
        tried(found)
        if candidate is not None:
            return candidate
        refused = f"{name} ({network.config.model_type}) cannot run on the {step.name}: {found.reason}"
    naive = NaiveModel(network, tokenizer, **common)
    log.warning("%s; trying the %s: %s", refused, naive.engine, NOTHING_SHARED)
    naive.check()  # it is what the others are compared with
    tried(Tried(naive.engine, NOTHING_SHARED, ""))
    return naive


def _tried(network: Any, step: Step, *, invariant: bool) -> tuple[LanguageModel | None, Tried]:
    """The engine of a step if it is exact, and batch-invariant where that is asked; and what came of it.
    Whatever a network raises on the way is a reason."""
    report = None
    try:
        candidate, reason = None, step.against()
        if not reason:
            candidate = step.make()
            report = probe(network, candidate)
            reason = report.reason
            if invariant and report.exact:
                reason = varies(network, candidate)
    except (MemoryError, torch.OutOfMemoryError) as error:
        reason = f"there is not enough memory for it ({one_line(error)})"
    except Exception as error:  # an architecture or a kind of layer that it cannot read
        reason = one_line(error)
    found = Tried(step.name, step.means, reason, report)
    if reason or candidate is None or report is None:
        return None, found
    log.info(
        "%s runs on the %s (probed in %.2f s; largest difference to plain forwards %.1e)",
        candidate.name, step.name, report.seconds, report.difference,
    )  # fmt: skip
    return candidate, found


def _rungs(
    network: Any, tokenizer: Tokenizer, *, max_memory: int | None, options: dict[str, Any], **common: Any
) -> list[Step]:
    """All but the naive one, the fastest first. common: name, context_length, fingerprint, root."""
    limit: int = common["context_length"]
    chunk = {"chunk_rows": options["chunk_rows"]} if "chunk_rows" in options else {}
    return [
        Step(
            fused.NAME,
            "every shared prefix once, in batches, on packed weights",
            lambda: _against_fused(network, limit, options),
            lambda: TrieModel(
                network, tokenizer, max_memory=max_memory, trunk=FusedTrunk(network), **common, **options
            ),
        ),
        Step(
            HookedTrunk.engine,
            "every shared prefix once, in batches",
            lambda: unsupported(network, limit),
            lambda: TrieModel(network, tokenizer, max_memory=max_memory, **common, **options),
        ),
        Step(
            CachedDfsModel.engine,
            "every shared prefix once, one text at a time over a key-value cache",
            lambda: _against_depth_first(network, limit, options),
            lambda: CachedDfsModel(network, tokenizer, **common, **chunk),
        ),
    ]


def _against_depth_first(network: Any, context_length: int, options: dict[str, Any]) -> str:
    if options.get("batch_invariant"):
        return "where a text is cut into forwards depends on the others"
    return outside_the_layers(network) or moving_positions(network, context_length)


def _against_fused(network: Any, context_length: int, options: dict[str, Any]) -> str:
    family = fused.FAMILIES.get(network.config.get_text_config().model_type)
    if options.get("batch_invariant") and family is not None and family.grouped:
        return "how many rows meet an expert depends on the others"
    return fused.against(network) or unsupported(network, context_length)
