"""What a run was made with: versions, hardware, data and model, the leak report."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from icl.experiments.folder.versions import versions
from icl.experiments.grid.check import Checked
from icl.tasks import TaskData

SKIPPED_SHOWN = 20


def hardware() -> dict[str, Any]:
    """Processor, cores, memory, and graphics cards where torch is loaded already."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if hasattr(os, "sysconf"):
        found["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def now() -> str:
    """Local time with its offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _rows_of(data: TaskData) -> dict[str, Any]:
    """Where a task's rows come from, and what `skip_bad_rows` left out: how many rows, and the first ones."""
    found: dict[str, Any] = {"origin": data.origin}
    if data.skipped:
        found["skipped_rows"] = {
            split: {"count": len(lines), "first": list(lines[:SKIPPED_SHOWN])}
            for split, lines in data.skipped.items()
        }
    return found


def first_manifest(checked: Checked) -> dict[str, Any]:
    """The manifest as it is before a model is loaded."""
    leaks = {
        f"{task}, seed {seed}": {
            "summary": split.report.summary,
            "dropped": {kept_out: list(tests) for kept_out, tests in split.report.dropped.items()},
        }
        for (task, seed), split in checked.splits.items()
    }
    return {
        "created": now(),
        "source": checked.source.name,
        "folder": str(checked.source.folder.resolve()),
        "overrides": {item.dotted: item.value for item in checked.source.overrides},
        "versions": versions(),
        "hardware": hardware(),
        "tasks": {name: _rows_of(data) for name, data in checked.tasks.items()},
        "overlap": leaks,
        "models": {},
        "encoder": None,
        "sessions": [],
    }
