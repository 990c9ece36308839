"""Which way of running decode steps a device gets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from icl.engine.decoding.graphed import GraphedStep
from icl.engine.decoding.runner import step_runner
from icl.engine.decoding.steps import EagerStep


def test_a_gpu_gets_graphs_and_a_cpu_does_not(monkeypatch: Any) -> None:
    assert isinstance(step_runner(SimpleNamespace(device=torch.device("cpu"))), EagerStep)  # type: ignore[arg-type]
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device, **rest: zeros(*shape, **rest))
    assert isinstance(step_runner(SimpleNamespace(device=torch.device("cuda"))), GraphedStep)  # type: ignore[arg-type]
