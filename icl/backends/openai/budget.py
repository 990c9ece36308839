"""What a session may spend, in tokens or in money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.errors import ModelError, unknown_name

KEYS = ("tokens", "money", "prices")
PRICES = ("input", "output")
PER = 1_000_000
"""Prices are for so many tokens, as providers list them."""


class Spent(ModelError):
    """The next request might go beyond the budget: nothing more is asked."""


@dataclass
class Budget:
    """A limit on what is asked together; a request that might go beyond it is not begun.

    A request is counted at its worst case (prompt and all tokens that it may write) until its answer says
    what it took. tokens: prompt and written together. money: in the currency of `prices`, a million tokens.
    """

    tokens: int | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    read: int = 0
    written: int = 0
    waiting: int = 0
    """Requests that are under way."""
    _held: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Budget:
        """From the option. Raises ValueError naming key, value and what is allowed."""
        if given is None:
            return cls()
        if not isinstance(given, Mapping) or not given:
            raise ValueError(f"budget is {given!r}; allowed: {{tokens: N}}, {{money: X, prices: {{...}}}}")
        for key in given:
            if key not in KEYS:
                raise ValueError(unknown_name("key of budget", str(key), KEYS))
        tokens, money, prices = (given.get(key) for key in KEYS)
        if tokens is not None and (type(tokens) is not int or tokens < 1):
            raise ValueError(f"budget.tokens is {tokens!r}; allowed: a whole number, at least 1")
        if money is not None and not _amount(money):
            raise ValueError(f"budget.money is {money!r}; allowed: a number above 0")
        if (money is None) != (prices is None):
            raise ValueError("budget: money and prices: {input: ..., output: ...} go together")
        if prices is None:
            return cls(tokens)
        if not isinstance(prices, Mapping) or set(prices) != set(PRICES):
            raise ValueError(
                f"budget.prices is {prices!r}; allowed: {{input: ..., output: ...}}, a million tokens"
            )
        for key in PRICES:
            if prices[key] != 0 and not _amount(prices[key]):
                raise ValueError(f"budget.prices.{key} is {prices[key]!r}; allowed: a number, at least 0")
        return cls(tokens, float(money), float(prices["input"]), float(prices["output"]))  # type: ignore[arg-type]

    def cost(self, read: int, written: int) -> float:
        """Of so many tokens, in the currency of the prices."""
        return (read * self.price_in + written * self.price_out) / PER

    def fits(self, read: int, written: int) -> bool:
        """Whether a request of this worst case can be begun beside those that are under way."""
        inside, outside = self.read + self._held[0] + read, self.written + self._held[1] + written
        if self.tokens is not None and inside + outside > self.tokens:
            return False
        return self.money is None or self.cost(inside, outside) <= self.money

    def hold(self, read: int, written: int) -> None:
        """A request is begun."""
        self.waiting += 1
        self._held = (self._held[0] + read, self._held[1] + written)

    def settle(self, held: tuple[int, int], took: tuple[int, int]) -> None:
        """It has come back, or was given up, having taken (0, 0)."""
        self.waiting -= 1
        self._held = (self._held[0] - held[0], self._held[1] - held[1])
        self.read += took[0]
        self.written += took[1]

    def lose(self, held: tuple[int, int]) -> None:
        """An answer did not arrive, which a provider may bill all the same: it counts at its worst."""
        self.read += held[0]
        self.written += held[1]

    def spent(self) -> Spent:
        """The error that ends the session."""
        limits = []
        if self.tokens is not None:
            limits.append(f"{self.tokens:,} tokens ({self.read + self.written:,} are spent)")
        if self.money is not None:
            limits.append(f"{self.money:g} ({self.cost(self.read, self.written):.4g} is spent)")
        return Spent(
            f"the budget of {' and '.join(limits)} does not hold another request. What came back is kept; "
            "the same command goes on with a budget of the same size, or raise it"
        )


def _amount(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 < value < float("inf")
