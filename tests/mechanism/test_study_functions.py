"""`functions` as a study: a decoder learns, controls do not, the report reads both ways, wrong values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from icl.mechanism.contract import Found, Work, studies
from icl.mechanism.functions import Functions
from icl.mechanism.shared.functions.classes import Shape
from icl.mechanism.shared.functions.learner import Lesson, errors, predictions
from icl.mechanism.shared.functions.prompts import SHUFFLED, prompts
from icl.mechanism.shared.functions.reading import report
from icl.mechanism.shared.functions.rivals import least_squares
from icl.mechanism.shared.small import Size, VectorDecoder
from icl.seeding import generator
from icl.tuning.shared import checkpoint

SMALL: dict[str, Any] = {
    "kinds": ["linear"], "dimension": 1, "points": 4, "many_points": 4, "sparsity": 1, "hidden": 4,
    "layers": 2, "width": 16, "heads": 2, "deviation": 0.25, "training_steps": 400, "batch_size": 64,
    "learning_rate": 0.01, "warmup": 10, "first_dimension": 1, "grow_every": 0, "prompts": 200,
    "scales": [2.0], "resamples": 100,
}  # fmt: skip


def work(folder: Path, told: Callable[[int], None] = lambda _: None) -> Work:
    return Work(seed=0, folder=folder, progress=told, note=print)


def studied(study: Functions, folder: Path) -> dict[str, Found]:
    return {step.name: study.run(step, work(folder)) for step in study.steps()}


def test_a_decoder_learns_to_learn_a_line_and_the_controls_do_not(tmp_path: Path) -> None:
    found = studied(Functions(**SMALL), tmp_path)
    learned, others = found["learn linear"], found["rivals linear"]["shifts"]
    ours = {shift: one["mean"][-1] for shift, one in learned["shifts"].items()}
    assert ours["none"] < 0.45 < 0.7 < ours[SHUFFLED]
    assert learned["untrained"]["mean"][-1] > 0.7
    # (w x)^2 has mean 1 and variance 8: four standard errors of 200 prompts.
    assert others["none"]["least squares"]["mean"][0] == pytest.approx(1.0, abs=4 * (8 / 200) ** 0.5)
    assert max(others["none"]["least squares"]["mean"][1:]) < 1e-6
    claims = {claim.said: claim.holds for claim in report(found, 1, 100).claims}
    assert claims["linear: the decoder reads which label belongs to which x"] is True


def test_a_killed_study_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)  # after every step
    study = Functions(**{**SMALL, "training_steps": 12})
    step = study.steps()[0]
    seen: list[int] = []

    def killed(done: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.run(step, work(tmp_path / "cut", killed))
    again = study.run(step, work(tmp_path / "cut", seen.append))
    assert seen[0] == 7
    assert again == study.run(step, work(tmp_path / "whole"))


def test_prompts_grow_with_the_curriculum_as_published() -> None:
    """5 to 20 dimensions by 1, 11 to 41 and 26 to 101 points by 2 and 5, each 2,000 steps."""
    few = Lesson("linear", Shape(20, 3, 100, 4), 41, 64, 5, 2000, generator_of)
    many = Lesson("tree", Shape(20, 3, 100, 4), 101, 64, 5, 2000, generator_of)
    at = (0, 1999, 2000, 29_999, 30_000, 499_999)
    assert [few.active(step) for step in at] == [5, 5, 6, 19, 20, 20]
    assert [few.length(step) for step in at] == [11, 11, 13, 39, 41, 41]
    assert [many.length(step) for step in at] == [26, 26, 31, 96, 101, 101]


def generator_of(purpose: str, item: str) -> np.random.Generator:
    return generator(0, purpose, item)


def test_the_loss_is_that_of_each_label_given_what_stands_before_it() -> None:
    lesson = Lesson("linear", Shape(2, 1, 4, 1), 5, 8, 2, 0, generator_of)

    class Peeking(torch.nn.Module):
        """Says what stands one place later: the label itself, if it is asked at inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.nothing = torch.nn.Parameter(torch.zeros(1))

        def forward(self, vectors: torch.Tensor) -> torch.Tensor:
            return vectors.roll(-1, dims=1) + self.nothing

    assert lesson.loss(Peeking(), 3).item() == 0.0


def test_errors_by_hand_and_in_pairs() -> None:
    asked = prompts("linear", "none", generator(0, "test"), 300, 3, Shape(2, 1, 4, 1), 1.0)
    nothing = errors(lambda of: torch.zeros(300), asked, range(4), 2.0, 100)
    expected = float((asked.target.double() ** 2).mean()) / 2
    assert nothing["mean"] == pytest.approx([expected] * 4)
    assert np.mean(nothing["rows"]) == pytest.approx(expected)
    exact = errors(least_squares, asked, [2, 3], 2.0, 100)
    assert max(exact["rows"]) < 1e-3


def test_predictions_do_not_depend_on_how_many_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = VectorDecoder(Size(1, 8, 2, 10), 2, 1, 0)
    asked = prompts("tree", "none", generator(0, "test"), 50, 4, Shape(2, 1, 4, 1), 1.0)
    whole = predictions(network, asked)
    monkeypatch.setattr("icl.mechanism.shared.functions.learner.ROWS", 7)
    torch.testing.assert_close(predictions(network, asked), whole)
    assert whole.shape == (50,)


def planted(ours: float, rival: float, shuffled: float, kind: str = "linear") -> dict[str, Found]:
    """Findings in which errors are what is said, for 40 prompts and 3 examples."""

    def one(level: float) -> dict[str, Any]:
        rows = [level + 0.001 * (-1) ** at for at in range(40)]
        return {"mean": [level] * 4, "low": [level] * 4, "high": [level] * 4, "rows": rows}

    shifts = {"none": one(ours), "noisy": one(ours + 0.5), SHUFFLED: one(shuffled)}
    names = {"least squares": rival, "ridge": rival, "greedy tree": rival, "3-NN": 0.6, "averaging": 0.7}
    others = {shift: {name: one(level) for name, level in names.items()} for shift in shifts}
    learned = {"examples": [0, 1, 2, 3], "losses": [], "untrained": one(1.0), "shifts": shifts}
    return {f"learn {kind}": learned, f"rivals {kind}": {"shifts": others}}


@pytest.mark.parametrize(
    ("levels", "kind", "expected"),
    [
        ((0.12, 0.1, 1.2), "linear", [True, True, True, False]),  # close; noise moves it away
        ((0.3, 0.1, 1.2), "linear", [False, True, True, False]),
        ((0.8, 0.1, 0.8), "linear", [False, False, False, False]),
        ((0.12, 0.1, 1.2), "tree", [False, True, True]),  # a tree has to be below
        ((0.08, 0.1, 1.2), "tree", [True, True, True]),
    ],
)
def test_the_report_says_what_was_planted(
    levels: tuple[float, float, float], kind: str, expected: list[bool]
) -> None:
    made = report(planted(*levels, kind=kind), 2, 100)
    found = [claim.holds for claim in made.claims]
    assert found == expected
    assert all("ridge (" in claim.said for claim in made.claims if "noisy" in claim.said)
    assert {figure.name for figure in made.figures} == {f"functions_{kind}", f"functions_{kind}_shifts"}


def test_a_half_is_said_to_be_one() -> None:
    whole = planted(0.1, 0.1, 1.0)
    made = report({"learn linear": whole["learn linear"]}, 2, 100)
    assert not made.claims
    assert made.notes[-1] == "linear: not complete"


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"points": 3}, "points is 3 and dimension 3; allowed: more points than dimensions"),
        ({"kinds": ["linaer"]}, "kinds is 'linaer'; allowed: linear, sparse, network, tree"),
        ({"kinds": []}, "kinds is []; allowed: a list of different ones of"),
        ({"sparsity": 6}, "sparsity is 6; allowed: an integer >= 1 and <= 3"),
        ({"scales": [0]}, "scales is 0; allowed"),
        ({"width": 50}, "width is 50 and heads 4; allowed: a width that heads divide"),
        ({"schedule": "fast"}, "schedule is 'fast'; allowed: constant, linear, cosine, inverse_root"),
        ({"compiled": 1}, "compiled is 1; allowed: true, false"),
    ],
)
def test_wrong_parameters_are_one_line(parameters: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        Functions(**parameters)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_preset_can_be_built_and_paper_has_the_published_sizes() -> None:
    assert studies.entry("functions").factory is Functions
    paper = Functions(**Functions.presets["paper"])
    assert (paper.dimension, paper.layers, paper.width, paper.heads) == (20, 12, 256, 8)
    assert [step.units for step in paper.steps()][::2] == [500_000] * 4
    assert Functions(**Functions.presets["quick"]).training_steps < 10_000


def test_pace_is_a_positive_number_of_seconds(tmp_path: Path) -> None:
    study = Functions(**SMALL)
    paces = [study.pace(step, work(tmp_path)) for step in study.steps()]
    assert all(0 < pace < 10 for pace in paces)
    assert not list(tmp_path.iterdir())
