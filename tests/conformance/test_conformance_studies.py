"""What holds for every study of the mechanism in each of its presets; none is run here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from icl.experiments.study.folder import file_name
from icl.experiments.study.plain import plain
from icl.mechanism.contract import Report, studies


def test_presets_are_quick_and_paper_and_name_parameters(study_case: Any) -> None:
    entry = studies.entry(study_case.name)
    presets = entry.factory.presets
    assert {"quick", "paper"} <= set(presets)
    allowed = {parameter.name.rstrip("_") for parameter in entry.parameters}
    assert all(set(given) <= allowed for given in presets.values())
    assert entry.paper


def test_parameters_can_be_kept_in_the_folder(study_case: Any) -> None:
    assert json.loads(json.dumps(plain(study_case.parameters))) == plain(study_case.parameters)


def test_steps_are_named_apart_and_have_units(study_case: Any) -> None:
    study = study_case.build()
    steps = study.steps()
    assert steps
    names = [step.name for step in steps]
    assert len({file_name(name).lower() for name in names}) == len(names)
    assert all(step.units >= 1 and step.unit for step in steps)
    allowed = {parameter.name.rstrip("_") for parameter in studies.entry(study_case.name).parameters}
    for at, step in enumerate(steps):
        assert set(step.parameters or ()) <= allowed
        assert set(step.after or ()) <= set(names[:at])
    assert study.steps() == steps


def test_before_anything_is_done_the_report_claims_nothing(study_case: Any) -> None:
    report = study_case.build().report({})
    assert isinstance(report, Report)
    assert json.dumps(plain(asdict(report)), allow_nan=False)
    assert [claim.said for claim in report.claims if claim.holds is not None] == []


def test_tasks_are_asked_by_name(study_case: Any) -> None:
    study = study_case.build()
    assert all(isinstance(name, str) and name for name in study.tasks())
    assert isinstance(study.needs_model, bool)
