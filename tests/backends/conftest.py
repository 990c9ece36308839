from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from icl.backends.openai import model as backend
from icl.backends.openai.model import OpenAIModel
from tests.backends.http_server import serving
from tests.backends.server import NAME, Server


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what a probe of another found, nor a key of the machine."""
    monkeypatch.setattr(backend, "_seen", {})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def started() -> Iterator[Callable[..., Server]]:
    """started(**behaviour) -> a server that is gone when the test ends."""
    with ExitStack() as stack:
        yield lambda **does: stack.enter_context(serving(**does))


def opened(server: Server, **options: Any) -> OpenAIModel:
    """The backend on a server, with icl's byte tokenizer unless it is said otherwise."""
    return OpenAIModel(NAME, **{"base_url": server.url, "tokenizer": "fake", "retries": 2, **options})
