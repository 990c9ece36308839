"""Keys and values of finished texts, kept for a next call that goes on from them.

Two-stage prompting asks first for reasoning and then for the answer after it. A request that says
`continued=True` leaves the keys and values of its prompt and output behind, within a budget of
bytes; a later prompt that begins with that text takes them over instead of forwarding it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from icl.engine.attention.contract import Attend, LayerCall
from icl.types import TokenIds


@dataclass(frozen=True, slots=True)
class Kept:
    """Keys and values [Hkv, length, D] of one text, by layer."""

    keys: dict[int, Tensor]
    values: dict[int, Tensor]

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(t.nbytes for t in (*self.keys.values(), *self.values.values()))


@dataclass(frozen=True, slots=True, eq=False)
class RootRows:
    """What stands before every text: the first rows of every trie, which are never forwarded.

    ids: their names there, beyond the vocabulary; kept: their keys and values.
    """

    ids: TokenIds = ()
    kept: Kept = field(default_factory=lambda: Kept({}, {}))

    @property
    def length(self) -> int:
        """n."""
        return len(self.ids)


class Resident:
    """Finished texts by their tokens; the oldest goes when the budget is full."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._texts: OrderedDict[TokenIds, Kept] = OrderedDict()
        self._lengths: dict[int, int] = {}
        self._bytes = 0

    def add(self, tokens: TokenIds, kept: Kept) -> None:
        """Keeps a text if it fits into the budget at all."""
        if tokens in self._texts or kept.bytes > self.budget:
            return
        while self._bytes + kept.bytes > self.budget:
            self._forget(next(iter(self._texts)))
        self._texts[tokens] = kept
        self._bytes += kept.bytes
        self._lengths[len(tokens)] = self._lengths.get(len(tokens), 0) + 1

    def _forget(self, tokens: TokenIds) -> None:
        self._bytes -= self._texts.pop(tokens).bytes
        self._lengths[len(tokens)] -= 1
        if not self._lengths[len(tokens)]:
            del self._lengths[len(tokens)]

    def clear(self) -> None:
        """Forgets all: memory is needed for what is at work."""
        self._texts.clear()
        self._lengths.clear()
        self._bytes = 0

    def longest(self, prompt: TokenIds) -> tuple[int, Kept] | None:
        """The longest kept text that `prompt` begins with, and its length."""
        for length in sorted(self._lengths, reverse=True):
            if length <= len(prompt) and prompt[:length] in self._texts:
                return length, self._texts[prompt[:length]]
        return None


@dataclass(frozen=True, slots=True)
class Loan:
    """Rows [row, row + count) of a trie are depths [depth, depth + count) of a kept text."""

    row: int
    count: int
    depth: int
    kept: Kept


class LoanedRows:
    """Attention of a chunk some of whose rows were not forwarded: their keys and values are on loan.

    The trunk sees only the rows that are computed; the inner attention sees all of them.
    """

    def __init__(self, inner: Attend, rows: int, computed: Tensor, loans: Sequence[tuple[int, Loan]]) -> None:
        self.inner = inner
        self.rows = rows
        self.computed = computed
        self.loans = loans
        """(first row within the chunk, loan clipped to the chunk)"""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        whole_q = q.new_zeros((q.shape[0], self.rows, q.shape[2]))
        whole_k, whole_v = (x.new_empty((x.shape[0], self.rows, x.shape[2])) for x in (k, v))
        whole_q[:, self.computed] = q
        whole_k[:, self.computed] = k
        whole_v[:, self.computed] = v
        for at, loan in self.loans:
            part = slice(loan.depth, loan.depth + loan.count)
            whole_k[:, at : at + loan.count] = loan.kept.keys[call.layer][:, part]
            whole_v[:, at : at + loan.count] = loan.kept.values[call.layer][:, part]
        return self.inner(whole_q, whole_k, whole_v, call)[:, self.computed]


def clip_loans(loans: Sequence[Loan], first: int, last: int) -> tuple[list[tuple[int, Loan]], Tensor]:
    """The loans within rows [first, last), each with its first row in the chunk, and the rows that
    are left to compute. The chunk's last row is always computed: a chunk needs one."""
    computed = torch.ones(last - first, dtype=torch.bool)
    clipped = []
    for loan in loans:
        low, high = max(loan.row, first), min(loan.row + loan.count, last - 1)
        if low < high:
            clipped.append((low - first, Loan(low, high - low, loan.depth + low - loan.row, loan.kept)))
            computed[low - first : high - first] = False
    return clipped, computed.nonzero()[:, 0]
