"""CEIL learns a planted relevance that the encoder alone does not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.prompts import PromptRenderer
from icl.protocols import Resources, selectors
from icl.seeding import generator
from icl.selectors.ceil import CEIL, SetLessons, SetSchedule, ranking_loss, train_projection
from icl.selectors.dpp import DPP
from icl.types import Query

from .planted import styled
from .vectors import Table

SIZE, TEST = 150, 30


def planted() -> Table:
    """Six loud dimensions that say nothing, and a quiet one whose sign says which of two kinds it is."""
    stream = generator(1, "tests.ceil")
    loud = stream.normal(size=(SIZE + TEST, 6))
    kind = np.where(np.arange(SIZE + TEST) % 2, 1.0, -1.0)[:, None]
    return Table(np.hstack([loud, kind * 0.5]))


def kinds_of(prompt: str) -> tuple[list[int], int]:
    numbers = [int(part.split()[0]) % 2 for part in prompt.split("Review: ")[1:]]
    return numbers[:-1], numbers[-1]


def same_kind(prompt: str, answer: str) -> float:
    """The more demonstrations are of the query's kind, the more probable the answer."""
    shown, asked = kinds_of(prompt)
    return -3.0 + sum(kind == asked for kind in shown) - 0.001 * len(answer)


def with_model(table: Table, resources: Resources) -> Resources:
    model = FakeModel(same_kind)
    renderer = PromptRenderer(
        task=resources.task, tokenizer=model.tokenizer, context_length=model.context_length
    )
    return replace(resources, encoder=table, model=model, renderer=renderer)


def share_of_kind(selector: CEIL | DPP) -> float:
    queries = [Query(f"q{at}", {"text": str(at)}) for at in range(SIZE, SIZE + TEST)]
    rows = selector.select(queries, 4)
    hits = [
        int(d.example.inputs["text"]) % 2 == int(query.inputs["text"]) % 2
        for query, row in zip(queries, rows, strict=True)
        for d in row
    ]
    return float(np.mean(hits))


def test_learns_a_planted_relevance(resources: Resources) -> None:
    table = planted()
    pool, resources = table.pool[:SIZE], with_model(table, resources)
    plain = share_of_kind(DPP(prefetch=SIZE).fit(pool, resources))
    trained = CEIL(prefetch=SIZE, items=100, sets=8, batch_size=16).fit(pool, resources)
    assert isinstance(resources.model, FakeModel)
    assert len(resources.model.requests) <= 100 * 8
    assert plain < 0.8
    assert share_of_kind(trained) > 0.95


def test_sets_of_a_training_item_never_hold_the_item(resources: Resources) -> None:
    table = planted()
    resources = with_model(table, resources)
    CEIL(prefetch=20, items=20, sets=4).fit(table.pool[:40], resources)
    assert isinstance(resources.model, FakeModel)
    for request in resources.model.requests:
        numbers = [part.split()[0] for part in str(request.prompt).split("Review: ")[1:]]
        assert numbers[-1] not in numbers[:-1]
        assert len(set(numbers)) == 5


def test_training_puts_the_better_set_first() -> None:
    """One query direction, two one-member sets at equal cosines; the model likes the first."""
    members = np.array([[[[0.6, 0.8]], [[0.6, -0.8]]]], dtype=np.float32).repeat(10, axis=0)
    queries = np.array([[1.0, 0.0]], dtype=np.float32).repeat(10, axis=0)
    scores = np.array([[-1.0, -2.0]]).repeat(10, axis=0)
    schedule = SetSchedule(0.1, 0.02, 20, 5, 64, 0.01, generator(0, "tests.ceil.training"))
    matrix, _ = train_projection(SetLessons(queries, members, scores), schedule)
    asked = queries[0] @ matrix
    assert members[0, 0, 0] @ asked > members[0, 1, 0] @ asked
    # Equal scores teach nothing: the projection stays the identity.
    still, lasted = train_projection(SetLessons(queries, members, 0 * scores), schedule)
    np.testing.assert_array_equal(still, np.eye(2))
    assert lasted.kept == 0


def test_the_margin_is_a_share_of_an_items_own_range() -> None:
    """Log-determinants 0, 3, 4 of the best, middle and worst set are 0, .75, 1 of their range: pairs of
    neighbours are short by .75 + .1 and .25 + .1, the outer one by 1 + .2, at a margin of .1."""
    scores = torch.tensor([[-1.0, -2.0, -3.0]])
    volumes = torch.tensor([[0.0, 3.0, 4.0]], dtype=torch.float64)
    found = ranking_loss(volumes, scores, 0.1)
    assert float(found) == pytest.approx((0.85 + 0.35) / 2 + 1.2)
    assert float(ranking_loss(10 * volumes - 7, scores, 0.1)) == pytest.approx(float(found))
    # In order and further apart than the margin: nothing to learn, whatever the range.
    assert float(ranking_loss(-volumes, scores, 0.1)) == 0
    assert float(ranking_loss(-volumes, scores, 0.5)) == pytest.approx((0 + 0.25) / 2)


def test_learns_a_style_that_words_show_in_part() -> None:
    """Trained on nothing it is dpp."""
    world = styled(1, asked=40)
    start = DPP().fit(world.pool, world.resources)
    trained = CEIL().fit(world.pool, world.resources)
    idle = CEIL(learning_rate=0.0).fit(world.pool, world.resources)
    assert world.share(idle, 8) == world.share(start, 8)
    assert world.share(trained, 8) > world.share(start, 8) + 0.05
    why = trained.select(world.queries[:1], 2)[0][0].why
    assert 0 < float(why["epoch_kept"]) <= float(why["epochs_run"]) <= 30
    assert float(why["held_out"]) > float(why["held_out_start"])
    assert idle.lasted.kept == 0


def test_sets_larger_than_the_prefetch_are_refused(resources: Resources) -> None:
    table = planted()
    with pytest.raises(ConfigError, match=r"sets of 4 among the prefetch = 3 nearest"):
        CEIL(prefetch=3).fit(table.pool, with_model(table, resources))


@pytest.mark.parametrize("given", [{"sets": 1}, {"margin": -1}, {"lambda": 0}, {"epochs": "many"}])
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"selector 'ceil': {next(iter(given))} is .*allowed"):
        selectors.create("ceil", given)
