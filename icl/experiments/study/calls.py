"""Studies from Python: `icl.study(...)` and `icl.plan_study(...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from icl.experiments.file.overrides import Override
from icl.experiments.running.progress import Meter
from icl.experiments.study.check import check_study
from icl.experiments.study.file import read_study
from icl.experiments.study.plan import StudyPlan
from icl.experiments.study.plan import plan_study as measured
from icl.experiments.study.running import Studied, Studying
from icl.mechanism.contract import Decoder
from icl.outside import allow_code as allowing_code
from icl.outside import code_is_allowed


def study(
    file: str | Path | Mapping[str, Any],
    *,
    output: str | Path = Path("studies"),
    model: Decoder | None = None,
    max_memory: int | None = None,
    meter: Meter | None = None,
    restart: bool = False,
    allow_code: bool = False,
    overrides: Sequence[Override] = (),
) -> Studied:
    """Runs a study of the mechanism in `output`/<name>, or goes on with it, and returns its report.

    model: a decoder that is open already, in place of the file's; overrides: values in place of the file's,
    which give the study a name of its own; other arguments as of `run`. Steps that are done are not done
    again. Raises IclError.
    """
    with allowing_code(allow_code or code_is_allowed()):
        made = _studying(
            file, output, overrides, model=model, max_memory=max_memory, meter=meter, restart=restart
        )
        return made.run()


def plan_study(
    file: str | Path | Mapping[str, Any],
    *,
    output: str | Path = Path("studies"),
    model: Decoder | None = None,
    max_memory: int | None = None,
    meter: Meter | None = None,
    allow_code: bool = False,
    overrides: Sequence[Override] = (),
) -> StudyPlan:
    """What a study would take: the pace of each step that is left, measured here on a few units, times its
    units. Arguments as of `study`."""
    with allowing_code(allow_code or code_is_allowed()):
        made = _studying(file, output, overrides, model=model, max_memory=max_memory, meter=meter)
        try:
            return measured(made)
        finally:
            made.meter.stop()


def _studying(
    file: str | Path | Mapping[str, Any],
    output: str | Path,
    overrides: Sequence[Override],
    *,
    model: Decoder | None,
    **options: Any,
) -> Studying:
    checked = check_study(*read_study(file, overrides), with_model=model is not None)
    return Studying(checked, Path(output), decoder=model, **options)
