"""The decode loop: prompts prefilled through the trie, samples forked, slots refilled.

Prompts are admitted in DFS order while there are free slots. What an admission must prefill is
just the rows of the trie that the path stack does not hold yet. Every step forwards one row a slot.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention.contract import Attend
from icl.engine.attention.dense import PathStack
from icl.engine.decoding.ledger import Ledger
from icl.engine.decoding.memory import Capture, SharedNode, Tails, copy_from_stack
from icl.engine.decoding.runner import step_runner
from icl.engine.decoding.sampling import UniformStream, draw_batch
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.forward.chunks import ChunkRunner
from icl.engine.forward.resident import Kept, Loan, Resident
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.engine.trie.radix import Node, radix_nodes, slot_tokens
from icl.protocols import Tokenizer
from icl.types import GenerateRequest, TokenIds


@dataclass(slots=True)
class Slot:
    """One sample under way."""

    request: int
    sample: int
    sequence: int
    """Sorted index of its prompt."""
    position: int
    """Position of the next token to forward."""
    watcher: StopWatcher
    uniform: UniformStream
    context: TokenIds = ()
    """The prompt, kept only where n-gram bans need it."""


@dataclass(slots=True)
class Counters:
    """What a call forwarded."""

    prefilled: int = 0
    decoded: int = 0
    steps: int = 0
    peak_slots: int = 0


class DecodeLoop:
    """Runs generate requests whose prompts are already token ids."""

    def __init__(
        self,
        runner: ChunkRunner,
        requests: Sequence[GenerateRequest],
        prompts: Sequence[TokenIds],
        tokenizer: Tokenizer,
        resident: Resident,
    ) -> None:
        self.runner = runner
        self.trunk = runner.trunk
        self.requests = requests
        self.tokenizer = tokenizer
        self.counters = Counters()
        unique = list(dict.fromkeys(prompts))
        self.trie = build_trie(as_arrays(unique))
        self.layout = Layout(self.trie)
        rank = {unique[int(i)]: s for s, i in enumerate(self.trie.order)}
        self.prompt_of = [unique[int(i)] for i in self.trie.order]
        self.jobs: list[list[tuple[int, int]]] = [[] for _ in unique]
        for r, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            self.jobs[rank[prompt]] += [(r, request.first_sample + i) for i in range(request.n)]
        self.ledger = Ledger(len(requests), self.trie.starts, [jobs[0][0] for jobs in self.jobs])
        samples = [len(j) for j in self.jobs]
        self.nodes = radix_nodes(self.trie, samples)
        limits = [max(requests[r].max_tokens for r, _ in jobs) for jobs in self.jobs]
        self.slot_tokens = slot_tokens(self.nodes, samples, limits)
        self.paths = self._paths()
        self.resident = resident
        self.loans = self._loans()
        self.stack = PathStack(self.trie.depth + 1)
        self.tails = Tails(self.trunk.device)
        self.stepper = step_runner(self.trunk)
        self.shared: dict[int, SharedNode] = {}
        self.slots: list[Slot] = []
        self.first_logits: dict[int, Tensor] = {}
        self.next_sequence = 0
        self.rows_done = 0

    def _paths(self) -> list[list[int]]:
        """For each sorted sequence the indices of its nodes, root first."""
        paths: list[list[int]] = [[] for _ in self.prompt_of]
        for n, node in enumerate(self.nodes):
            for s in range(node.first, node.last):
                paths[s].append(n)
        for path in paths:
            path.sort(key=lambda n: self.nodes[n].depth)
        return paths

    def _loans(self) -> list[Loan]:
        """Rows that an earlier call has left behind: each prompt's own rows that a kept text covers."""
        loans = []
        for s, prompt in enumerate(self.prompt_of):
            found = self.resident.longest(prompt)
            low = int(self.trie.shared[s])
            if found is not None and min(found[0], len(prompt) - 1) > low:
                count = min(found[0], len(prompt) - 1) - low
                loans.append(Loan(int(self.trie.starts[s]), count, low, found[1]))
        return loans

    def _keep_for_later(self, b: int) -> None:
        """Leaves slot b's keys and values behind, put together from its shared nodes and its tail."""
        slot, length, row = self.slots[b], self.tails.lengths[b], self.tails.rows[b]
        places = self.tails.positions[row, :length]
        above = [self.shared[n] for n in self.paths[slot.sequence] if self.nodes[n].shared]
        keys, values = {}, {}
        # a text that ended at its first token may have no tail, nor any other have had one
        for layer, like in (self.tails.keys or above[0].keys).items():
            keys[layer] = like.new_empty((like.shape[-3], slot.position, like.shape[-1]))
            values[layer] = torch.empty_like(keys[layer])
            if length:
                keys[layer][:, places] = self.tails.keys[layer][row, :, :length]
                values[layer][:, places] = self.tails.values[layer][row, :, :length]
            for shared in above:
                part = slice(shared.node.depth, shared.node.depth + shared.node.length)
                keys[layer][:, part] = shared.keys[layer]
                values[layer][:, part] = shared.values[layer]
        tokens = (*self.prompt_of[slot.sequence], *slot.watcher.ids)[: slot.position]
        self.resident.add(tokens, Kept(keys, values))

    # -- admission ---------------------------------------------------------------------------

    def _admit(self, max_slots: int) -> list[tuple[Slot, Tensor]]:
        """Fills free slots in DFS order, prefilling what is missing; new slots with first logits."""
        free = max_slots - len(self.slots)
        chosen: list[tuple[int, int, int]] = []  # sequence, request, sample
        while free > len(chosen) and self.next_sequence < len(self.jobs):
            jobs = self.jobs[self.next_sequence]
            while jobs and free > len(chosen):
                chosen.append((self.next_sequence, *jobs.pop(0)))
            if jobs:
                break
            self.next_sequence += 1
        if not chosen:
            return []
        start = len(self.slots)
        self.tails.add(len(chosen))
        private = self._place(chosen, start)
        self._prefill([s for s, _, _ in chosen], private)
        new = []
        for s, r, sample in chosen:
            prompt, request = self.prompt_of[s], self.requests[r]
            slot = Slot(
                r, sample, s, len(prompt),
                StopWatcher(request, self.tokenizer),
                UniformStream(request.seed, prompt, sample),
                prompt if request.no_repeat_ngram else (),
            )  # fmt: skip
            self.slots.append(slot)
            new.append((slot, self.first_logits[s]))
        self.counters.peak_slots = max(self.counters.peak_slots, len(self.slots))
        for s in [s for s in self.first_logits if not self.jobs[s]]:
            del self.first_logits[s]
        return new

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
            shared = [self._shared(n, node) for n, node in self._shared_between(low, high)]
            return Capture(attend, chunk, shared, list(_clip(private, low, high)), self.tails)

        began = time.perf_counter()
        run = self.runner.run(self.layout, self.stack, self.rows_done, last, keep, self.loans)
        for chunk, computed, hidden in run:
            low, high = chunk.first, chunk.first + chunk.rows
            self.counters.prefilled += len(computed)
            rows = [row for row in ends if low <= row < high]
            if rows:
                logits = self.trunk.logits(
                    hidden[torch.searchsorted(computed, torch.tensor(rows) - low).to(self.trunk.device)]
                )
                for row, values in zip(rows, logits, strict=True):
                    self.first_logits[ends[row]] = values.clone()
            now = time.perf_counter()
            self.ledger.book_rows(low + computed.numpy(), now - began)
            began = now
        self.rows_done = last

    def _leaf_row(self, s: int) -> int:
        """Row of the last token of sorted sequence s."""
        node = self.nodes[self.paths[s][-1]]
        return node.row + int(self.trie.lengths[s]) - node.depth - 1

    def _shared_between(self, low: int, high: int) -> Iterator[tuple[int, Node]]:
        for n, node in enumerate(self.nodes):
            if node.shared and node.row < high and node.row + node.length > low:
                yield n, node

    def _shared(self, n: int, node: Node) -> SharedNode:
        if n not in self.shared:
            self.shared[n] = SharedNode(node)
        return self.shared[n]

    # -- steps -------------------------------------------------------------------------------

    def _choose(self, slots: Sequence[Slot], logits: Tensor) -> list[tuple[int, float]]:
        """The next token of each slot and its log-probability under the model."""
        requests = [self.requests[s.request] for s in slots]
        contexts = [(*s.context, *s.watcher.ids) if s.context else () for s in slots]
        return draw_batch(logits, requests, [s.uniform for s in slots], contexts)

    def _drop_finished(self) -> None:
        for b, slot in enumerate(self.slots):
            if slot.watcher.reason is not None and self.requests[slot.request].continued:
                self._keep_for_later(b)
        alive = [b for b, slot in enumerate(self.slots) if slot.watcher.reason is None]
        if len(alive) < len(self.slots):
            self.slots = [self.slots[b] for b in alive]
            self.tails.keep(alive)
            needed = {s.sequence for s in self.slots}
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

    def _step(self, newest: Sequence[int]) -> Tensor:
        """Forwards the newest token of every slot; logits [B, V]."""
        began = time.perf_counter()
        positions = [s.position for s in self.slots]
        logits = self.stepper.step(newest, positions, self.tails, self._spans())
        for b, slot in enumerate(self.slots):
            self.tails.lengths[b] += 1
            slot.position += 1
            self.ledger.bills[slot.request].tokens += 1
        self.ledger.book_time([s.request for s in self.slots], time.perf_counter() - began)
        self.counters.decoded += len(self.slots)
        self.counters.steps += 1
        return logits

    def run(self, max_slots: int) -> Iterator[tuple[int, int, StopWatcher]]:
        """Yields (request, sample index, what was written) as samples end; at most `max_slots` at once."""
        while True:
            new = self._admit(max_slots)
            if new:
                slots = [slot for slot, _ in new]
                yield from self._take(slots, torch.stack([logits for _, logits in new]))
                self._drop_finished()
                if len(self.slots) < max_slots and self.next_sequence < len(self.jobs):
                    continue
            if not self.slots:
                return
            logits = self._step([slot.watcher.ids[-1] for slot in self.slots])
            yield from self._take(self.slots, logits)
            self._drop_finished()

    def _take(self, slots: Sequence[Slot], logits: Tensor) -> Iterator[tuple[int, int, StopWatcher]]:
        began = time.perf_counter()
        chosen = self._choose(slots, logits)
        self.ledger.book_time([s.request for s in slots], time.perf_counter() - began)
        for slot, (token, logprob) in zip(list(slots), chosen, strict=True):
            if slot.watcher.push(token, logprob) is not None:
                yield slot.request, slot.sample, slot.watcher


def _clip(
    runs: Sequence[tuple[int, int, int, int]], low: int, high: int
) -> Iterator[tuple[int, int, int, int]]:
    """The parts of (slot, offset, row, rows) runs that lie in rows [low, high)."""
    for slot, at, row, count in runs:
        a, b = max(row, low), min(row + count, high)
        if a < b:
            yield slot, at + a - row, a, b - a
