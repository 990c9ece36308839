"""The decode loop: prompts prefilled through the trie, samples forked, slots refilled.

Prompts are admitted in DFS order while there are free slots. What an admission must prefill is
just the rows of the trie that the path stack does not hold yet. Every step forwards one row a slot.
Where memory ends, half of the slots wait with what they have computed, and the work goes on; it is an
error only where one text alone does not fit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention.contract import Attend
from icl.engine.attention.dense import PathStack
from icl.engine.decoding.alone import AloneStep
from icl.engine.decoding.keeping import loans, plant, whole_text
from icl.engine.decoding.ledger import Ledger
from icl.engine.decoding.memory import Capture, SharedNode, Tails, copy_from_stack
from icl.engine.decoding.runner import step_runner
from icl.engine.decoding.sampling import UniformStream, draw_batch
from icl.engine.decoding.slots import Counters, Slot, Waiting, clip, in_pieces
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.forward.chunks import ChunkRunner, MemoryEnds, out_of_memory, release
from icl.engine.forward.resident import Resident, RootRows
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.engine.trie.radix import node_paths, radix_nodes, slot_tokens, split_at
from icl.protocols import Tokenizer
from icl.types import GenerateRequest, TokenIds

log = logging.getLogger("icl")


class DecodeLoop:
    """Runs generate requests whose prompts are already token ids; `alone`: each sample as if it were the
    only one (see `AloneStep`), and prompts share nothing but the root."""

    def __init__(
        self,
        runner: ChunkRunner,
        requests: Sequence[GenerateRequest],
        prompts: Sequence[TokenIds],
        tokenizer: Tokenizer,
        resident: Resident,
        alone: bool = False,
        root: RootRows | None = None,
    ) -> None:
        self.root = root or RootRows()
        self.runner = runner
        self.trunk = runner.trunk
        self.requests = requests
        self.tokenizer = tokenizer
        self.counters = Counters()
        prompts = [(*self.root.ids, *prompt) for prompt in prompts]
        unique = list(dict.fromkeys(prompts))
        self.trie = build_trie(as_arrays(unique), share=not alone, root=self.root.length)
        self.layout = Layout(self.trie)
        rank = {unique[int(i)]: s for s, i in enumerate(self.trie.order)}
        self.prompt_of = [unique[int(i)] for i in self.trie.order]
        self.jobs: list[list[tuple[int, int]]] = [[] for _ in unique]
        for r, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            self.jobs[rank[prompt]] += [(r, request.first_sample + i) for i in range(request.n)]
        self.ledger = Ledger(len(requests), self.trie.starts, [jobs[0][0] for jobs in self.jobs])
        samples = [len(j) for j in self.jobs]
        self.nodes = radix_nodes(self.trie, samples)
        if alone:
            apart = split_at(self.nodes, self.root.length)
            self.nodes = [replace(node, shared=True) for node in apart]
        limits = [max(requests[r].max_tokens for r, _ in jobs) for jobs in self.jobs]
        self.slot_tokens = slot_tokens(self.nodes, samples, limits)
        self.paths = node_paths(self.nodes, len(unique))
        self.resident = resident
        self.loans = loans(self.trie, self.prompt_of, resident)
        self.stack = PathStack(self.trie.depth + 1)
        self.tails = Tails(self.trunk.device)
        self.stepper = AloneStep(self.trunk) if alone else step_runner(self.trunk)
        self.shared: dict[int, SharedNode] = {}
        self.slots: list[Slot] = []
        self.waiting = Waiting()
        self.limit = 1
        """Samples side by side, at most; it only ever shrinks."""
        self.first_logits: dict[int, Tensor] = {}
        self.next_sequence = 0
        self.rows_done = self.root.length
        plant(self.root, self.stack, self._shared_between(0, self.rows_done))

    def _keep_for_later(self, b: int) -> None:
        """Leaves slot b's text behind for a later call, where there is memory for it."""
        slot = self.slots[b]
        above = [self.shared[n] for n in self.paths[slot.sequence] if self.nodes[n].shared]
        tokens = (*self.prompt_of[slot.sequence], *slot.watcher.ids)[: slot.position]
        try:
            self.resident.add(tokens, whole_text(self.tails, b, above, slot.position))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            self.resident.clear()

    def _admit(self) -> list[tuple[Slot, Tensor]]:
        """Fills free slots in DFS order, prefilling what is missing; new slots with first logits."""
        chosen = self._next_jobs(self.limit - len(self.slots))
        if not chosen:
            return []
        start, placed = len(self.slots), False
        try:
            self.tails.add(len(chosen))
            private = self._place(chosen, start)
            placed = True
            self._prefill([s for s, _, _ in chosen], private)
        except (RuntimeError, MemoryError, MemoryEnds) as error:
            if not out_of_memory(error):
                raise
            self._less(start + len(chosen), error)
            # whose prompt has been read to its end goes on; the stack holds what the others have begun
            done = [c for c in chosen if placed and self.trie.starts[c[0] + 1] <= self.rows_done]
            self._give_back(chosen[len(done) :])
            self.tails.keep(range(start + len(done)))
            chosen = done
        new = []
        for s, r, sample in chosen:
            prompt, request = self.prompt_of[s][self.root.length :], self.requests[r]
            watcher = StopWatcher(request, self.tokenizer)
            uniform = UniformStream(request.seed, prompt, sample)
            context = prompt if request.no_repeat_ngram else ()
            slot = Slot(r, sample, s, int(self.trie.lengths[s]), watcher, uniform, context)
            self.slots.append(slot)
            new.append((slot, self.first_logits[s]))
        self.counters.peak_slots = max(self.counters.peak_slots, len(self.slots))
        for s in [s for s in self.first_logits if not self.jobs[s]]:
            del self.first_logits[s]
        return new

    def _next_jobs(self, free: int) -> list[tuple[int, int, int]]:
        """(sequence, request, sample) of the next samples, `free` at most."""
        chosen: list[tuple[int, int, int]] = []
        while free > len(chosen) and self.next_sequence < len(self.jobs):
            jobs = self.jobs[self.next_sequence]
            while jobs and free > len(chosen):
                chosen.append((self.next_sequence, *jobs.pop(0)))
            if jobs:
                break
            self.next_sequence += 1
        return chosen

    def _give_back(self, jobs: Sequence[tuple[int, int, int]]) -> None:
        """Samples that could not be begun are the next again."""
        for s, r, sample in reversed(jobs):
            self.jobs[s].insert(0, (r, sample))
        if jobs:
            self.next_sequence = jobs[0][0]

    def _place(self, chosen: Sequence[tuple[int, int, int]], start: int) -> list[tuple[int, int, int, int]]:
        """Gives every private node of the chosen sequences its place in their tails.

        Rows already prefilled come from the stack now; the others are returned as
        (slot, offset in tail, first row, rows) for the prefill to capture.
        """
        runs = []
        longest = 0
        for s, r, _ in chosen:
            private = [self.nodes[n] for n in self.paths[s] if not self.nodes[n].shared]
            longest = max(longest, sum(n.length for n in private) + self.requests[r].max_tokens)
        self.tails.reserve(max(longest, max(self.tails.lengths, default=0)))
        for slot, (s, _, _) in enumerate(chosen, start=start):
            for n in self.paths[s]:
                node = self.nodes[n]
                if node.shared:
                    continue
                at = self.tails.lengths[slot]
                done = min(max(self.rows_done - node.row, 0), node.length)
                if done:
                    copy_from_stack(self.stack, self.tails, slot, at, node.depth, done)
                if done < node.length:
                    runs.append((slot, at + done, node.row + done, node.length - done))
                self.tails.positions[self.tails.rows[slot], at : at + node.length] = torch.arange(
                    node.depth, node.depth + node.length, device=self.trunk.device
                )
                self.tails.lengths[slot] += node.length
        return runs

    def _prefill(self, sequences: Sequence[int], private: Sequence[tuple[int, int, int, int]]) -> None:
        """Forwards the rows up to the last of `sequences` and keeps each one's first logits."""
        last = int(self.trie.starts[max(sequences) + 1])
        ends = {self._leaf_row(s): s for s in set(sequences) if s not in self.first_logits}
        if last <= self.rows_done:
            return

        def keep(chunk: Chunk, attend: Attend) -> Attend:
            low, high = chunk.first, chunk.first + chunk.rows
            shared = list(self._shared_between(low, high))
            return Capture(attend, chunk, shared, list(clip(private, low, high)), self.tails)

        began = time.perf_counter()
        run = self.runner.run(self.layout, self.stack, self.rows_done, last, keep, self.loans)
        for chunk, computed, hidden in run:
            low, high = chunk.first, chunk.first + chunk.rows
            self.counters.prefilled += len(computed)
            rows = [row for row in ends if low <= row < high]
            if rows:
                at = torch.searchsorted(computed, torch.tensor(rows) - low).to(self.trunk.device)
                for row, values in zip(rows, self._first_logits(hidden[at]), strict=True):
                    self.first_logits[ends[row]] = values
            self.rows_done = high
            now = time.perf_counter()
            self.ledger.book_rows(low + computed.numpy(), now - began)
            began = now

    def _leaf_row(self, s: int) -> int:
        """Row of the last token of sorted sequence s."""
        node = self.nodes[self.paths[s][-1]]
        return node.row + int(self.trie.lengths[s]) - node.depth - 1

    def _shared_between(self, low: int, high: int) -> Iterator[SharedNode]:
        for n, node in enumerate(self.nodes):
            if node.shared and node.row < high and node.row + node.length > low:
                if n not in self.shared:
                    self.shared[n] = SharedNode(node)
                yield self.shared[n]

    def _first_logits(self, hidden: Tensor) -> list[Tensor]:
        """Logits [V] of each row of hidden [n, d]."""

        def some(low: int, high: int) -> list[Tensor]:
            return [values.clone() for values in self.trunk.logits(hidden[low:high])]

        return in_pieces(some, len(hidden), "the logits")

    def _choose(self, slots: Sequence[Slot], logits: Tensor) -> list[tuple[int, float]]:
        """The next token of each slot and its log-probability under the model."""
        requests = [self.requests[s.request] for s in slots]
        contexts = [(*s.context, *s.watcher.ids) if s.context else () for s in slots]
        uniforms, written = [s.uniform for s in slots], [s.watcher.ids for s in slots]

        def some(low: int, high: int) -> list[tuple[int, float]]:
            at = slice(low, high)
            return draw_batch(logits[at], requests[at], uniforms[at], contexts[at], written[at])

        return in_pieces(some, len(slots), "a draw", self._less)

    def _drop_finished(self) -> None:
        for b, slot in enumerate(self.slots):
            if slot.watcher.reason is not None and self.requests[slot.request].continued:
                self._keep_for_later(b)
        alive = [b for b, slot in enumerate(self.slots) if slot.watcher.reason is None]
        if len(alive) < len(self.slots):
            self.slots = [self.slots[b] for b in alive]
            self.tails.keep(alive)
            needed = {s.sequence for s in self.slots} | self.waiting.sequences
            for n in list(self.shared):
                node = self.nodes[n]
                if node.last <= self.next_sequence and not any(node.first <= s < node.last for s in needed):
                    del self.shared[n]

    def _spans(self) -> list[tuple[SharedNode, int, int]]:
        """For each stored node the contiguous slots below it."""
        sequences = np.array([s.sequence for s in self.slots])
        spans = []
        for shared in self.shared.values():
            low, high = np.searchsorted(sequences, [shared.node.first, shared.node.last])
            if high > low:
                spans.append((shared, int(low), int(high)))
        return spans

    def _step(self) -> Tensor:
        """Forwards the newest token of every slot that memory has room for; logits [B, V]."""
        began = time.perf_counter()
        self._set_aside()
        while True:
            newest, positions = zip(*((s.watcher.ids[-1], s.position) for s in self.slots), strict=True)
            try:
                logits = self.stepper.step(newest, positions, self.tails, self._spans())
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self._less(len(self.slots), error)
                self._set_aside()
        for b, slot in enumerate(self.slots):
            self.tails.lengths[b] += 1
            slot.position += 1
            self.ledger.bills[slot.request].tokens += 1
        self.ledger.book_time([s.request for s in self.slots], time.perf_counter() - began)
        self.runner.told(len(self.slots))
        self.counters.decoded += len(self.slots)
        self.counters.steps += 1
        return logits

    def _less(self, count: int, error: BaseException) -> None:
        """Half as many slots, after `count` were too many. MemoryEnds where there was one."""
        if count <= 1:
            raise MemoryEnds(f"not enough memory to write one text: {error}") from error
        self.limit = min(self.limit, count // 2)
        log.warning("out of memory with %d texts side by side; going on with %d", count, self.limit)
        self.resident.clear()
        release()

    def _set_aside(self) -> None:
        """Slots beyond the limit wait, with what they have computed."""
        if len(self.slots) <= self.limit:
            return
        try:
            self.slots = self.waiting.set_aside(self.slots, self.tails, self.limit)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise MemoryEnds(f"not enough memory to set texts aside: {error}") from error

    def _resume(self) -> None:
        """Brings back what waits, as far as there are slots for it."""
        while self.waiting and len(self.slots) < self.limit:
            count = min(len(self.waiting), self.limit - len(self.slots))
            try:
                self.slots += self.waiting.resume(self.tails, count)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self._less(len(self.slots) + count, error)

    def run(self, max_slots: int) -> Iterator[tuple[int, int, StopWatcher]]:
        """Yields (request, sample index, what was written) as samples end; at most `max_slots` at once."""
        self.limit = max_slots
        while self.slots or self.waiting or self.next_sequence < len(self.jobs):
            self._resume()
            new = [] if self.waiting else self._admit()
            if new:
                slots = [slot for slot, _ in new]
                yield from self._take(slots, torch.stack([logits for _, logits in new]))
                self._drop_finished()
                if len(self.slots) < self.limit and self.next_sequence < len(self.jobs):
                    continue
            if self.slots:
                logits = self._step()
                yield from self._take(self.slots, logits)
                self._drop_finished()

    def _take(self, slots: Sequence[Slot], logits: Tensor) -> Iterator[tuple[int, int, StopWatcher]]:
        began = time.perf_counter()
        chosen = self._choose(slots, logits)
        self.ledger.book_time([s.request for s in slots], time.perf_counter() - began)
        for slot, (token, logprob) in zip(list(slots), chosen, strict=True):
            if slot.watcher.push(token, logprob) is not None:
                yield slot.request, slot.sample, slot.watcher
