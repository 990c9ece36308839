"""Vote-k on graphs drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.prompts import PromptRenderer
from icl.protocols import Resources, selectors
from icl.selectors.shared.votes import bucket_vote_k, discounts, fast_vote_k, neighbour_votes, vote_scores
from icl.selectors.vote_k import VoteK
from icl.types import Demonstration, Example, Query, ScoreRequest

from .vectors import plane


def ids(chosen: tuple[Demonstration, ...]) -> list[str]:
    return [d.example.id for d in chosen]


GRAPH = np.array([[1, 2], [0, 2], [0, 1], [2, 4], [2, 3], [4, 3]])
"""Who votes for whom: a triangle 0, 1, 2; 3 and 4 vote for 2 and for each other; 5 for 4 and 3."""


def test_a_drawn_graph() -> None:
    """Votes received: 0: 1, 2 -> 2; 1: 0, 2 -> 2; 2: 0, 1, 3, 4 -> 4; 3: 4, 5 -> 2; 4: 3, 5 -> 2; 5: 0.

    First 2. Its voters 0, 1, 3, 4 count a tenth from now on and 2 itself nothing:
    0: 0.1 (of 1); 1: 0.1 (of 0); 3: 0.1 + 1 = 1.1 (of 4, 5); 4: 1.1 (of 3, 5). Third comes 3, the
    first of equals. Then 4 has voted for 2 and 3, 5 for 3, and 3 does not count:
    0: 0.1; 1: 0.1; 4: 0.1 (of 5); so 0 is next.
    """
    assert fast_vote_k(GRAPH, 4) == [(2, 4.0), (3, 1.1), (0, 0.1), (4, 0.1)]
    after = vote_scores(GRAPH, discounts(GRAPH, [2, 3]))
    assert after.tolist() == [0.1, 0.1, 0.21, 0.11, 0.1, 0.0]


def test_everyone_votes_for_the_nearest_others() -> None:
    pool, encoder = plane({"a": 0, "b": 1, "c": 3, "d": 90})
    vectors = encoder.encode([example.text for example in pool])
    assert neighbour_votes(vectors, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert neighbour_votes(vectors, 150).shape == (4, 3)
    assert neighbour_votes(vectors[[0, 0, 0, 0]], 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_buckets_of_the_full_variant() -> None:
    """2 is annotated. The others by rising confidence: 0, 3, 4, 1, 5; dropping a fifth drops 5.

    Two buckets, (0, 3) and (4, 1). Scores after 2: 0: 0.1, 1: 0.1, 3: 1.1, 4: 1.1, so 3 and 4.
    Taking 3 leaves 4 only the vote of 5, counting a tenth: 0.1, as much as 1 has; 4 stands first.
    """
    confidence = np.array([-0.9, -0.2, 0.0, -0.8, -0.3, -0.1])
    assert bucket_vote_k(GRAPH, confidence, [2], 3, 0.2) == [(3, 1.1), (4, 0.1)]
    assert bucket_vote_k(GRAPH, confidence, [2], 3, 0.2, update=False) == [(3, 1.1), (4, 1.1)]
    # With everything dropped there is still one a bucket.
    assert [at for at, _ in bucket_vote_k(GRAPH, confidence, [2], 4, 1.0)] == [0, 3, 4]


def test_neighbours_among_the_annotated(resources: Resources) -> None:
    angles = {"a": 0.0, "b": 2.0, "c": 4.0, "d": 90.0, "e": 92.0, "f": 94.0}
    pool, encoder = plane(angles)
    selector = VoteK(budget=2, neighbours=2).fit(pool, replace(resources, encoder=encoder))
    assert [example.id for example in selector.annotated] == ["a", "d"], "each triangle's first of equals"
    near, far = selector.select([Query("q0", {"text": "5"}), Query("q1", {"text": "80"})], 2)
    assert (ids(near), ids(far)) == (["a", "d"], ["d", "a"]), "not the same order for every query"
    assert near[0].score == pytest.approx(np.cos(np.radians(5)), abs=1e-5)
    assert near[0].why["votes"] == 2.0
    with pytest.raises(ConfigError, match=r"3 demonstrations .* budget = 2 annotated"):
        selector.select([Query("q", {"text": "5"})], 3)
    with pytest.raises(ConfigError, match="query 'a' leaves 1 of the 2 annotated"):
        selector.select([pool[0].query], 2)


def full(pool: list[Example], resources: Resources, budget: int = 4) -> tuple[VoteK, FakeModel]:
    # The model is surest about texts with a small number.
    model = FakeModel(lambda prompt, label: -float(prompt.rsplit("Review: ")[-1].split()[0]) / 100)
    renderer = PromptRenderer(
        task=resources.task, tokenizer=model.tokenizer, context_length=model.context_length
    )
    selector = VoteK(budget=budget, neighbours=2, variant="full", initial=2, drop=0.25)
    return selector.fit(pool, replace(resources, model=model, renderer=renderer)), model


def test_the_full_variant_asks_the_model_once_about_the_rest(resources: Resources) -> None:
    pool, encoder = plane({"a": 0.0, "b": 2.0, "c": 4.0, "d": 90.0, "e": 92.0, "f": 94.0})
    selector, model = full(pool, replace(resources, encoder=encoder))
    # a and d by votes. Of the others b, the surest, is dropped; least sure first: f e | c. In the
    # first bucket f and e have a tenth of a vote each, and f stands first.
    assert len(model.requests) == 4, "everything but a and d"
    first = model.requests[0]
    assert isinstance(first, ScoreRequest)
    assert isinstance(first.prompt, str)
    assert first.prompt.index("Review: 90.0") < first.prompt.index("Review: 0.0"), "most similar last"
    assert [example.id for example in selector.annotated] == ["a", "c", "d", "f"]


def test_labels_that_are_not_annotated_make_no_difference(resources: Resources) -> None:
    pool, encoder = plane({"a": 0.0, "b": 2.0, "c": 4.0, "d": 90.0, "e": 92.0, "f": 94.0})
    resources = replace(resources, encoder=encoder)
    chosen = full(pool, resources)[0].annotated
    initial = VoteK(budget=2, neighbours=2).fit(pool, resources).annotated
    poisoned = [e if e in initial else replace(e, target="poison", rationale="poison") for e in pool]
    assert [e.id for e in full(poisoned, resources)[0].annotated] == [e.id for e in chosen]


def test_the_full_variant_says_what_it_needs(pool: list[Example], resources: Resources) -> None:
    assert VoteK().needs == {"encoder"}
    assert VoteK(variant="full").needs == {"encoder", "model", "renderer"}
    with pytest.raises(ConfigError, match="variant 'full' needs a model"):
        VoteK(variant="full").fit(pool, resources)


@pytest.mark.parametrize("given", [{"budget": 0}, {"variant": "quick"}, {"drop": 1.1}, {"update": 1}])
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"selector 'vote_k': {next(iter(given))} is .*allowed"):
        selectors.create("vote_k", given)
