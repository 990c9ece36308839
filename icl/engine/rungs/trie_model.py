"""The trie engine: a `LanguageModel` that forwards each shared token once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from icl.engine.attention.dense import PathStack, has_kernel
from icl.engine.attention.paths import PathChunkAttention
from icl.engine.decoding.alone import SLOTS
from icl.engine.decoding.loop import DecodeLoop
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.forward.chunks import (
    ChunkRunner,
    default_sizes,
    engine_memory,
    resident_bytes,
    rows_for_memory,
    slots_for_memory,
)
from icl.engine.forward.resident import Resident, RootRows
from icl.engine.forward.scoring import plan_scores, score_rows
from icl.engine.native import library
from icl.engine.requests.finite import NotFinite, blame
from icl.engine.rungs.identity import Identity
from icl.engine.rungs.probe import probe, unsupported
from icl.engine.trunks import fused
from icl.engine.trunks.contract import Trunk
from icl.engine.trunks.fixed import FixedTrunk
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.hooked import HookedTrunk
from icl.errors import ConfigError, ModelError
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.training import Root
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, Usage

log = logging.getLogger("icl")

FIXED_ROWS = 256
"""Rows of every chunk, filled or not, where results may not depend on the batch."""


class TrieModel(Identity):
    """LanguageModel over a transformers causal LM.

    chunk_rows: rows forwarded at once; max_slots: samples decoded side by side. They change memory and
    speed, and a result by rounding only; by default they suit the device. trunk: how rows are forwarded;
    default: by transformers' own modules (HookedTrunk). batch_invariant: not even rounding depends on what
    else is asked, at a price; CPU only, and both sizes are then fixed. Raises ConfigError elsewhere. root:
    what stands before every text: the first rows of every trie, whose keys and values are there already.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        name: str,
        context_length: int,
        fingerprint: str,
        chunk_rows: int | None = None,
        max_slots: int | None = None,
        max_memory: int | None = None,
        trunk: Trunk | None = None,
        root: Root | None = None,
        batch_invariant: bool = False,
    ) -> None:
        super().__init__(
            model.eval(),
            tokenizer,
            name=name,
            context_length=context_length,
            fingerprint=fingerprint,
            root=root,
        )
        self._followed = self.fingerprint
        self._root_rows = self._planted()
        self.trunk: Trunk = trunk or HookedTrunk(model)
        rows, slots = default_sizes(self.trunk.device)
        self.max_slots = slots if max_slots is None else max_slots
        self._fewer_slots = False
        self.max_memory = max_memory
        memory = engine_memory(max_memory, self.trunk.device)
        self.resident = Resident(resident_bytes(memory))
        self._config = model.config.get_text_config()
        self._dtype: torch.dtype = model.dtype
        self.batch_invariant = batch_invariant
        if batch_invariant:
            if self.trunk.device.type != "cpu" or not has_kernel():
                raise ConfigError(
                    f"batch_invariant works on CPU with torch's attention kernel, not on {self.trunk.device}"
                )
            self.max_slots = min(self.max_slots, SLOTS)
            self.resident = Resident(0)
            self.runner = ChunkRunner(FixedTrunk(self.trunk, FIXED_ROWS), FIXED_ROWS, PathChunkAttention)
            return
        self.runner = ChunkRunner(
            self.trunk,
            rows_for_memory(self._config, self._dtype, rows if chunk_rows is None else chunk_rows, memory),
        )

    def _planted(self) -> RootRows:
        """The root's rows as the network is now."""
        if self.root is None:
            return RootRows()
        return RootRows(tuple(range(self.vocabulary, self.vocabulary + self.root.length)), self.root.kept())

    @property
    def engine(self) -> str:
        """What computes, for the manifest of a run, and what it had to do with for want of memory."""
        native = ["native kernels"] if self.trunk.device.type == "cpu" and library.available() else []
        less = [f"chunks of {self.runner.rows} rows"] if self.runner.halved else []
        less += [f"{self.max_slots} texts side by side"] if self._fewer_slots else []
        return ", ".join([self.runner.trunk.engine, *native, *less]) + (" for want of memory" if less else "")

    @property
    def chunk_rows(self) -> int:
        """Rows forwarded at once; smaller than asked where memory is short."""
        return self.runner.rows

    @chunk_rows.setter
    def chunk_rows(self, rows: int) -> None:
        """For the calls that follow; where chunks are filled up, so far."""
        trunk = FixedTrunk(self.trunk, rows) if self.batch_invariant else self.trunk
        self.runner = ChunkRunner(trunk, rows, self.runner.attention)

    def report_to(self, told: Callable[[int], None]) -> None:
        """See Reporting."""
        self.runner.told = told

    def _follow(self) -> None:
        """Before every call: goes by the network as it is now, which may have been trained meanwhile.

        Raises ModelError where the changed network cannot be run this way.
        """
        now = self.fingerprint
        if now == self._followed:
            return
        self._followed = now
        self.resident.clear()
        self._root_rows = self._planted()
        if isinstance(self.trunk, FusedTrunk):
            reason = fused.against(self._network)
            self.trunk = HookedTrunk(self._network) if reason else FusedTrunk(self._network)
            fixed = self.batch_invariant
            self.runner.trunk = FixedTrunk(self.trunk, FIXED_ROWS) if fixed else self.trunk
            if reason:
                log.warning("%s goes on on the %s: %s", self.name, self.trunk.engine, reason)
        runner = self.runner
        limit = self.context_length + self.root_length
        reason = unsupported(self._network, limit) or probe(self._network, self).reason
        self.runner = runner  # the probe runs in chunks of its own
        if reason:
            raise ModelError(
                f"{self.name} has changed since it was loaded and cannot run on the {self.engine} any more: "
                f"{reason}. Load it again"
            )

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel.score. Results arrive at `on_result` chunk by chunk."""
        self._follow()
        try:
            return self._score(requests, on_result)
        except NotFinite as error:
            raise blame(error, "score", requests, self._score) from None

    def _score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        if not requests:
            return []
        encoded = self.encoded_scores(requests)
        root = self._root_rows
        plan = plan_scores(encoded, root.ids)
        values = np.zeros(len(plan.targets.slots))
        stack = PathStack(plan.layout.trie.depth + 1)
        stack.begin(root.kept.keys, root.kept.values)
        results: list[Scores | None] = [None] * len(requests)
        waiting = np.argsort(plan.targets.last_row, kind="stable").tolist()[::-1]
        started = time.perf_counter()
        for chunk, _, hidden in self.runner.run(plan.layout, stack, root.length, plan.layout.trie.rows):
            score_rows(hidden, chunk.first, plan.targets, self.runner.trunk.logits, values)
            now = time.perf_counter()
            per_row, started = (now - started) / chunk.rows, now
            while waiting and plan.targets.last_row[waiting[-1]] < chunk.first + chunk.rows:
                r = waiting.pop()
                rows = tuple(
                    tuple(values[offset : offset + len(c)].tolist())
                    for offset, c in zip(plan.offsets[r], encoded[r].continuations, strict=True)
                )
                unique = int(plan.unique[r])
                flat = encoded[r].flat + len(rows) * self.root_forwarded
                result = Scores(rows, Usage(flat, unique, 0, per_row * unique))
                results[r] = result
                if on_result is not None:
                    on_result(r, result)
        return _all(results)

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel.generate. A request is final when its last sample ends."""
        self._follow()
        try:
            return self._generate(requests, on_result)
        except NotFinite as error:
            short = [replace(r, n=1, max_tokens=1) for r in requests]
            raise blame(error, "generate", short, self._generate) from None

    def _generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        if not requests:
            return []
        prompts = self.encoded_prompts(requests)
        loop = DecodeLoop(
            self.runner,
            requests,
            prompts,
            self.tokenizer,
            self.resident,
            self.batch_invariant,
            self._root_rows,
        )
        memory = engine_memory(self.max_memory, self.trunk.device)
        slots = slots_for_memory(self._config, self._dtype, self.max_slots, loop.slot_tokens, memory)
        results: list[Generation | None] = [None] * len(requests)
        done: list[dict[int, StopWatcher]] = [{} for _ in requests]
        for r, sample, watcher in loop.run(slots):
            done[r][sample] = watcher
            if len(done[r]) < requests[r].n:
                continue
            samples = tuple(
                Sample(w.text, tuple(w.ids), tuple(w.logprobs), w.reason or "length")
                for _, w in sorted(done[r].items())
            )
            generated = sum(len(s.token_ids) for s in samples)
            flat = requests[r].n * (len(prompts[r]) - 1 + self.root_forwarded) + generated
            bill = loop.ledger.bills[r]
            result = Generation(samples, Usage(flat, bill.tokens, generated, bill.seconds))
            results[r] = result
            if on_result is not None:
                on_result(r, result)
        if loop.limit < slots:
            self.max_slots, self._fewer_slots = loop.limit, True
        return _all(results)


def _all(results: Sequence[Any]) -> list[Any]:
    missing = [i for i, r in enumerate(results) if r is None]
    if missing:
        raise ModelError(f"the engine lost requests {missing[:5]}: this is a bug of icl")
    return list(results)
