"""Which way decode steps are run on a device."""

from __future__ import annotations

from icl.engine.decoding.graphed import GraphedStep, cuda_capture
from icl.engine.decoding.native_step import native_step
from icl.engine.decoding.steps import EagerStep, StepRunner
from icl.engine.trunks.contract import Trunk


def step_runner(trunk: Trunk) -> StepRunner:
    """The fastest way to run steps on this device."""
    if trunk.device.type != "cuda":
        return native_step(trunk) or EagerStep(trunk)
    return GraphedStep(trunk, cuda_capture)
