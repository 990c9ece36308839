"""`bursty` as a study: what is asked, a training that goes on, the report read both ways, wrong values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from icl.mechanism.bursty import Bursty
from icl.mechanism.contract import Found, Work, studies
from icl.mechanism.shared.bursty.learner import LENGTH, PairDecoder, Setting, difference, interval
from icl.mechanism.shared.bursty.reading import report
from icl.mechanism.shared.small import Size
from icl.seeding import generator
from icl.tuning.shared import checkpoint

SMALL: dict[str, Any] = {
    "bursty": [0.9], "zipf": [0.0], "classes": 40, "labels": 8, "dimension": 8, "layers": 1, "width": 16,
    "heads": 2, "training_steps": 8, "long_steps": 12, "looks": 4, "batch_size": 16, "sequences": 40,
}  # fmt: skip


def work(folder: Path, told: Callable[[int], None] = lambda _: None) -> Work:
    return Work(seed=0, folder=folder, progress=told, note=print)


def setting(**changed: Any) -> Setting:
    values: dict[str, Any] = {
        "bursty": 0.9, "zipf": 0.0, "classes": 40, "labels": 8, "dimension": 16, "noise": 0.1,
        "batch_size": 64, "every_label": False, "streams": lambda purpose, item: generator(0, purpose, item),
    }  # fmt: skip
    return Setting(**(values | changed))


class Copying(torch.nn.Module):
    """A planted learner in context: the label of the nearest example, of all labels."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        near = (features[:, :-1] - features[:, -1:]).square().sum(2).argmin(1)
        return torch.nn.functional.one_hot(labels.gather(1, near[:, None]), self.labels).float()


class Knowing(Copying):
    """A planted learner in weights: the label of the nearest trained class, whatever the context says."""

    def __init__(self, of: Setting) -> None:
        super().__init__(of.labels)
        world = of.world()
        self.centres, self.known = torch.from_numpy(world.centres), torch.from_numpy(world.labels)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        near = torch.cdist(features, self.centres[None]).argmin(2)
        return torch.nn.functional.one_hot(self.known[near], self.labels).float()


def test_a_learner_in_context_is_seen_as_one() -> None:
    of = setting()
    found = of.look(Copying(8), of.world(), 1000)
    assert found["in context"] > 0.98
    assert found["in context, of two"] > 0.98
    assert found["in context, shuffled labels"] == pytest.approx(0.5, abs=0.05)
    assert found["in weights"] == 0.0  # a label of the context is never right
    assert found["as in training"] > 0.85


def test_a_learner_in_weights_is_seen_as_one() -> None:
    of = setting()
    found = of.look(Knowing(of), of.world(), 1000)
    assert found["in weights"] > 0.98
    assert found["in context"] < 0.2
    assert found["in context, of two"] == pytest.approx(0.5, abs=0.05)
    assert found["as in training"] > 0.98


def test_a_decoder_learns_a_few_classes_by_heart() -> None:
    of = setting(bursty=0.0, classes=9, labels=9)
    world, network = of.world(), PairDecoder(Size(1, 32, 2, LENGTH), 16, 9, 0, 0.2)
    fresh = of.look(network, world, 300)["in weights"]
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(80):
        optimiser.zero_grad()
        of.loss(network, step, world).backward()
        optimiser.step()
    assert of.look(network, world, 300)["in weights"] > 0.9 > 0.5 > fresh


def test_the_answer_depends_on_every_pair_and_on_the_query() -> None:
    network = PairDecoder(Size(2, 16, 2, LENGTH), 4, 5, 0, 0.3)
    torch.manual_seed(0)
    features, labels = torch.randn(2, 9, 4), torch.randint(5, (2, 8))
    before = network(features, labels)[:, -1]
    assert before.shape == (2, 5)
    for place in range(9):
        changed = features.clone()
        changed[:, place] += 1
        assert not torch.allclose(network(changed, labels)[:, -1], before)
    for place in range(8):
        changed = labels.clone()
        changed[:, place] = (changed[:, place] + 1) % 5
        assert not torch.allclose(network(features, changed)[:, -1], before)


def test_no_label_is_seen_before_it_is_asked() -> None:
    network = PairDecoder(Size(2, 16, 2, LENGTH), 4, 5, 0, 0.3)
    torch.manual_seed(0)
    features, labels = torch.randn(2, 9, 4), torch.randint(5, (2, 8))
    before = network(features, labels)
    labels[:, 3] = (labels[:, 3] + 1) % 5
    after = network(features, labels)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_the_loss_is_of_the_query_or_of_every_label() -> None:
    """Who knows all classes by heart gives each label a probability of e / (e + 7)."""
    of, all_of = setting(bursty=1.0, noise=0.0), setting(bursty=1.0, noise=0.0, every_label=True)
    sure = float(-np.log(np.e / (np.e + 7)))
    for one in (of, all_of):
        assert one.loss(Knowing(one), 0, one.world()).item() == pytest.approx(sure, rel=1e-4)

    class Last(Knowing):
        """By heart, and wrong everywhere but at the query."""

        def forward(self, features: Tensor, labels: Tensor) -> Tensor:
            said = super().forward(features, labels)
            said[:, :-1] = said[:, :-1].roll(1, dims=2)
            return said

    assert of.loss(Last(of), 0, of.world()).item() == pytest.approx(sure, rel=1e-4)
    assert all_of.loss(Last(all_of), 0, all_of.world()).item() > sure + 0.5


def test_settings_share_their_classes() -> None:
    assert np.array_equal(setting(zipf=1.0).world().centres, setting(bursty=0.0).world().centres)


def test_a_killed_training_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)  # after every step
    study = Bursty(**SMALL)
    step = study.steps()[0]

    def killed(done: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.run(step, work(tmp_path / "cut", killed))
    seen: list[int] = []
    again = study.run(step, work(tmp_path / "cut", seen.append))
    assert seen[0] == 7
    assert again == study.run(step, work(tmp_path / "whole"))
    assert [look["step"] for look in again["looks"]] == [0, 2, 4, 6, 8, 10, 12]


def test_steps_are_all_pairs_and_the_first_is_the_longest() -> None:
    steps = Bursty(training_steps=10, looks=5, long_steps=30).steps()
    assert [(step.name, step.units) for step in steps] == [
        ("bursty 0.9 zipf 0", 30), ("bursty 0.9 zipf 1", 10),
        ("bursty 0 zipf 0", 10), ("bursty 0 zipf 1", 10),
    ]  # fmt: skip
    assert "long_steps" in (steps[0].parameters or ())
    assert "long_steps" not in (steps[1].parameters or ())


def planted(bursty: float, zipf: float, *shares: tuple[float, float], chance: float = 0.03) -> Found:
    """shares: in context and in weights at 0, 10, 20, ... steps."""
    looks = [
        {
            "step": 10 * at, "in context": context, "in context, of two": context, "in weights": weights,
            "in context, shuffled labels": 0.5, "as in training": 0.9,
        }
        for at, (context, weights) in enumerate(shares)
    ]  # fmt: skip
    return {"bursty": bursty, "zipf": zipf, "losses": [], "looks": looks, "chance": chance}


def holds(*found: Found) -> dict[str, bool | None]:
    named = {f"bursty {one['bursty']:g} zipf {one['zipf']:g}": one for one in found}
    return {claim.said.split(" (")[0]: claim.holds for claim in report(named, 10, 500).claims}


EVEN = "zipf 0, bursty 0.9: with even classes one of the two is bought with the other"
SKEWED = "zipf 1, bursty 0.9: skewed classes let learning in context and in weights be side by side"
TRANSIENT = "learning in context is transient: it comes, and goes while accuracy from weights grows"


def test_the_report_says_what_was_planted() -> None:
    start = (0.03, 0.03)
    found = holds(
        planted(0.9, 0.0, start, (0.95, 0.01), (0.55, 0.9)), planted(0.0, 0.0, start, (0.1, 0.9)),
        planted(0.9, 1.0, start, (0.9, 0.5), chance=0.2), planted(0.0, 1.0, start, (0.5, 0.5), chance=0.2),
    )  # fmt: skip
    assert found["zipf 0: bursty data raise accuracy in context"] is True
    assert found["zipf 0: bursty data lower accuracy from weights"] is True
    assert found["zipf 1: bursty data raise accuracy in context"] is True
    assert found["zipf 1: bursty data lower accuracy from weights"] is None
    assert (found[EVEN], found[SKEWED], found[TRANSIENT]) == (True, True, True)


def test_the_report_says_the_opposite_where_it_was_planted() -> None:
    start = (0.03, 0.03)
    found = holds(
        planted(0.9, 0.0, start, (0.9, 0.9), (0.93, 0.9)), planted(0.0, 0.0, start, (0.97, 0.5)),
        planted(0.9, 1.0, start, (0.2, 0.9), chance=0.2),
    )  # fmt: skip
    assert found["zipf 0: bursty data raise accuracy in context"] is False
    assert found["zipf 0: bursty data lower accuracy from weights"] is False
    assert (found[EVEN], found[SKEWED], found[TRANSIENT]) == (False, False, False)


def test_what_never_came_cannot_go() -> None:
    found = holds(planted(0.9, 0.0, (0.03, 0.03), (0.5, 0.5), (0.1, 0.9)))
    assert found[TRANSIENT] is None


def test_intervals_are_those_of_the_literature() -> None:
    """Wilson: 81 of 263 (Newcombe 1998)."""
    assert interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = difference(0.8, 0.6, 70)
    (a, b), (c, d) = interval(0.8, 70), interval(0.6, 70)
    assert low == pytest.approx(0.2 - ((0.8 - a) ** 2 + (d - 0.6) ** 2) ** 0.5)
    assert high == pytest.approx(0.2 + ((b - 0.8) ** 2 + (0.6 - c) ** 2) ** 0.5)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"bursty": [1.5]}, "bursty is 1.5; allowed: a number >= 0 and <= 1.0"),
        ({"bursty": []}, "bursty is []; allowed: a list of numbers"),
        ({"zipf": [1, 1]}, "zipf is [1, 1]; allowed: a list of different numbers"),
        ({"classes": 8}, "classes is 8; allowed: an integer >= 9"),
        ({"labels": 1}, "labels is 1; allowed: 0 (one a class) or at least 2"),
        ({"schedule": "cosine"}, "schedule is 'cosine'; allowed: constant, inverse_root"),
        ({"long_steps": 5}, "long_steps is 5; allowed: an integer >= "),
        ({"width": 50, "heads": 4}, "width is 50 and heads 4; allowed: a width that heads divide"),
    ],
)
def test_wrong_parameters_are_one_line(parameters: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        Bursty(**parameters)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_preset_can_be_built_and_paper_has_the_published_sizes() -> None:
    assert studies.entry("bursty").factory is Bursty
    paper = Bursty(**Bursty.presets["paper"])
    assert (paper.classes, paper.labels, paper.layers, paper.width) == (1600, 0, 12, 64)
    assert paper.steps()[1].units == 500_000
    assert Bursty(**Bursty.presets["quick"]).training_steps < 10_000
