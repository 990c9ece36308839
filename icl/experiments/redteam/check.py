"""Everything that can be wrong with a red teaming, before a model loads and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from icl.errors import ConfigError, DataError
from icl.experiments.asking.judging import check_judge, check_labels
from icl.experiments.asking.models import check_models, only_model
from icl.experiments.file.config import Experiment, Source
from icl.experiments.file.judges import JudgeChoice, digest_of, judge_choice
from icl.experiments.file.placed import placed
from icl.experiments.redteam.file import RedTeam
from icl.instructions.contract import Place
from icl.judges.rules import Rules
from icl.redteam.writing import WRITTEN
from icl.tasks import load_task

RED, TARGET, JUDGE = "red", "target", "judge"
QUESTION = "question"


@dataclass(frozen=True)
class CheckedRedTeam:
    """A red teaming whose files, judge and models are there."""

    file: RedTeam
    source: Source
    place: Place
    judge: Rules
    choice: JudgeChoice
    written: tuple[str, ...]
    """Questions of people."""
    models: Mapping[str, Experiment]
    """red, target, judge -> the model."""

    @property
    def labels(self) -> dict[str, str]:
        """red, target, judge -> what it is called."""
        return {role: experiment.model_label for role, experiment in self.models.items()}

    @property
    def judge_digest(self) -> str:
        """Changes with whatever decides verdicts, its model's weights apart."""
        return digest_of(self.judge, self.choice.label)


def check_red_team(file: RedTeam, source: Source) -> CheckedRedTeam:
    """Builds the judge, looks for the models and reads questions of people. ConfigError with file, line and
    key."""
    place = Place(source.folder, lambda name: load_task(source.task_path(name)))
    models = {role: only_model(named) for role, named in ((RED, file.red), (TARGET, file.target)) if named}
    for role, experiment in models.items():
        try:
            check_models(experiment, Source("", Path(), {}))
        except ConfigError as error:
            raise source.error((role,), str(error).removeprefix(": model: ")) from error
    with placed(source, (JUDGE,)):
        choice = judge_choice(file.judge, source.folder)
        judge = check_judge(choice)
        if not isinstance(judge, Rules):
            raise ConfigError(f"a hit is a broken rule; allowed: rules, not {choice.component.name!r}")
        check_labels(choice, judge)
    written: tuple[str, ...] = ()
    if file.written is not None:
        with placed(source, (WRITTEN,)):
            written = read_questions(place, file.written)
    return CheckedRedTeam(file, source, place, judge, choice, written, {**models, JUDGE: choice.experiment})


def read_questions(place: Place, name: str) -> tuple[str, ...]:
    """The texts under `question`. ConfigError where there is no file, DataError for a row without one."""
    found = []
    for row in place.rows(name, WRITTEN):
        if row.problem:
            raise DataError(f"{row.where}: {row.problem}")
        text = row.values.get(QUESTION)
        if not isinstance(text, str) or not text.strip():
            said = "is missing" if QUESTION not in row.values else f"is {str(text)[:60]!r}; allowed: a text"
            raise DataError(f"{row.where}: {QUESTION} {said}")
        found.append(" ".join(text.split()))
    if not found:
        raise DataError(f"{name}: holds no question")
    return tuple(found)
