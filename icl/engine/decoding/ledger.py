"""What each request of a decode call has cost, where many are forwarded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(slots=True)
class Bill:
    """What one request has cost: the rows of its samples, and those of its prompt that no request
    before it in the trie's order has had forwarded; of the model's time and of drawing tokens, its share."""

    tokens: int = 0
    seconds: float = 0.0


class Ledger:
    """The bills of `count` requests.

    starts: first row of each sorted sequence of the trie, and the end; owners: for each sorted sequence
    the request that its own rows are booked on.
    """

    def __init__(self, count: int, starts: np.ndarray, owners: Sequence[int]) -> None:
        self.bills = [Bill() for _ in range(count)]
        self._starts = starts
        self._owners = np.array(owners, dtype=np.int64)

    def book_rows(self, rows: np.ndarray, seconds: float) -> None:
        """Prefilled rows of the trie, each on the request that owns its sequence."""
        sequences = np.searchsorted(self._starts, rows, side="right") - 1
        for request, count in zip(*np.unique(self._owners[sequences], return_counts=True), strict=True):
            self.bills[request].tokens += int(count)
            self.bills[request].seconds += seconds * int(count) / len(rows)

    def book_time(self, requests: Sequence[int], seconds: float) -> None:
        """Time of what was done at once for a sample of each of these requests."""
        for request in requests:
            self.bills[request].seconds += seconds / len(requests)
