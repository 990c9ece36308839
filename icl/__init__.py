"""icl: which demonstrations, in which order, with which method, does a model need for a task?

    import icl
    run = icl.run("experiment.yaml")
    print(run.leaderboard().to_markdown())

Everything is imported when it is first used, so that `import icl` takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from icl.api import Run, build_corpus, compare_runs, reproduce, run, tune
    from icl.encoders import load_encoder
    from icl.engine import load_model
    from icl.experiments.file.config import Experiment
    from icl.experiments.redteam.calls import red_team
    from icl.experiments.study.calls import plan_study, study
    from icl.outside import allow_code
    from icl.prompts import PromptRenderer
    from icl.protocols import Resources
    from icl.tasks import load_task

_WHERE = {
    "Experiment": "icl.experiments.file.config",
    "PromptRenderer": "icl.prompts",
    "Resources": "icl.protocols",
    "Run": "icl.api",
    "allow_code": "icl.outside",
    "build_corpus": "icl.api",
    "compare_runs": "icl.api",
    "load_encoder": "icl.encoders",
    "load_model": "icl.engine",
    "load_task": "icl.tasks",
    "plan_study": "icl.experiments.study.calls",
    "red_team": "icl.experiments.redteam.calls",
    "reproduce": "icl.api",
    "run": "icl.api",
    "study": "icl.experiments.study.calls",
    "tune": "icl.api",
}
_PARTS = (
    "encoders",
    "engine",
    "leaderboard",
    "methods",
    "metrics",
    "orderers",
    "prompts",
    "selectors",
    "tasks",
)

__all__ = [  # noqa: RUF022
    "Experiment",
    "PromptRenderer",
    "Resources",
    "Run",
    "allow_code",
    "build_corpus",
    "compare_runs",
    "load_encoder",
    "load_model",
    "load_task",
    "plan_study",
    "red_team",
    "reproduce",
    "run",
    "study",
    "tune",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in _PARTS:
        return importlib.import_module(f"icl.{name}")
    raise AttributeError(f"module 'icl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PARTS])
