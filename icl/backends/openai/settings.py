"""The options of the backend, checked. Nothing here connects, and nothing here holds a key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, get_args
from typing import Literal as L
from urllib.parse import urlsplit

from icl.backends.openai.budget import Budget
from icl.errors import ConfigError, unknown_name

HOSTED = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
Endpoint = L["auto", "completions", "chat"]
Scoring = L["auto", "echo", "prompt_logprobs", "token_ids", "forced", "top_k", "choice"]
Samples = L["auto", "single", "together"]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Settings:
    """See `OpenAIModel` for what each means. Raises ValueError naming option, value and what is allowed."""

    model: str
    base_url: str
    tokenizer: str
    api_key_env: str | None
    concurrency: int
    timeout: float
    deadline: float | None
    retries: int
    budget: Mapping[str, Any] | None
    scoring: Scoring
    endpoint: Endpoint
    samples: Samples
    context_length: int | None
    identity: str | None

    def __post_init__(self) -> None:
        for field in ("model", "base_url", "tokenizer"):
            _text(field, getattr(self, field))
        if self.identity is not None:
            _text("identity", self.identity)
        _check_url(self.base_url)
        if self.api_key_env is not None and not (
            isinstance(self.api_key_env, str) and NAME.fullmatch(self.api_key_env)
        ):
            # the value may be a key: it is not repeated
            raise ValueError(
                "api_key_env is no name of an environment variable; allowed: a name such as MY_KEY"
            )
        _whole("concurrency", self.concurrency, 1, 1024)
        _whole("retries", self.retries, 0, 100)
        _seconds("timeout", self.timeout)
        if self.deadline is not None:
            _seconds("deadline", self.deadline)
        if self.context_length is not None:
            _whole("context_length", self.context_length, 8, 1 << 30)
        for field, kind in (("scoring", Scoring), ("endpoint", Endpoint), ("samples", Samples)):
            value = getattr(self, field)
            if value not in get_args(kind):
                raise ValueError(unknown_name(field, str(value), get_args(kind)))
        Budget.of(self.budget)
        if find_spec("openai") is None:
            raise ConfigError("the openai backend needs the openai package: pip install 'icl[openai]'")
        self.key()

    @property
    def root(self) -> str:
        """The server without /v1, where calls beside OpenAI's API live."""
        return self.base_url.rstrip("/").removesuffix("/v1")

    def key(self) -> str:
        """The key, read from the environment now and kept nowhere. "" where the default variable is not set
        and the server is not OpenAI's own. Raises ConfigError naming the variable."""
        name = self.api_key_env or KEY
        found = os.environ.get(name, "").strip()
        if not found and (self.api_key_env or self.base_url.rstrip("/") == HOSTED):
            raise ConfigError(
                f"{self.base_url} wants a key: the environment variable {name} is not set (export {name}=...)"
            )
        if not (found.isascii() and found.isprintable()):
            # the key itself is not repeated
            raise ConfigError(
                f"the environment variable {name} holds what no key has: letters beyond ASCII or line breaks"
            )
        return found


CIRCUMSTANCES = frozenset(
    {"base_url", "api_key_env", "concurrency", "timeout", "deadline", "retries", "budget"}
)
"""Options that say how to ask, not what: they may change between two sessions of one run. The address is
among them since the fingerprint holds it."""
assert {f.name for f in fields(Settings)} > CIRCUMSTANCES


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)  # whose `port` raises for one that there cannot be
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or " " in url
        held = any((parts.username, parts.password, parts.query, parts.fragment))
    except ValueError:
        wrong, held = True, False
    if held:
        raise ValueError(
            "base_url holds a user, a password or a query; allowed: http(s)://HOST[:PORT]/v1, the key from "
            "the environment (api_key_env)"
        )
    if wrong:
        raise ValueError(f"base_url is {url!r}; allowed: http(s)://HOST[:PORT]/v1")


def _text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{field} is {value!r}; allowed: a text that can be printed")


def _whole(field: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{field} is {value!r}; allowed: a whole number from {low} to {high}")


def _seconds(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise ValueError(f"{field} is {value!r}; allowed: seconds, more than 0")
