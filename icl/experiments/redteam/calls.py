"""Red teamings from Python: `icl.red_team(...)`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl.experiments.redteam.check import check_red_team
from icl.experiments.redteam.file import read_red_team
from icl.experiments.redteam.running import RedTeamed, Session
from icl.experiments.running.progress import Meter
from icl.protocols import LanguageModel


def red_team(
    file: str | Path | Mapping[str, Any],
    *,
    output: str | Path = Path("redteam"),
    models: Mapping[str, LanguageModel] | None = None,
    max_memory: int | None = None,
    meter: Meter | None = None,
    restart: bool = False,
) -> RedTeamed:
    """Has a model write test questions, another answer them and a judge say which rules the answers break, in
    `output`/<name>, or goes on with it; the report has hit rates beside the diversity of the questions.

    models: red, target, judge -> a model in place of that which the file names; other arguments as of `run`.
    Raises IclError; nothing is written half.
    """
    checked = check_red_team(*read_red_team(file))
    session = Session(
        checked, Path(output), models=models, max_memory=max_memory, meter=meter, restart=restart
    )
    return session.run()
