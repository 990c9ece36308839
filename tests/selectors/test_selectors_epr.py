"""EPR: a retriever that learns what helps the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from icl.encoders import load_encoder
from icl.encoders.hashed import HashEncoder
from icl.engine.fake import FakeModel
from icl.errors import ConfigError, DataError
from icl.protocols import Resources
from icl.selectors.epr import EPR, Side
from icl.selectors.knn import KNN
from icl.selectors.shared.biencoder import HeldOut, Lesson, Schedule, load_towers, train_towers
from icl.types import Demonstration, Example, Query, ScoreRequest

from .planted import styled

Make = Callable[..., Resources]
GROUPS = ("apple", "river", "stone", "cloud")
FILLERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


def make_pool() -> list[Example]:
    """Eight examples of each group; what helps group i is group i + 1, which shares no word with it."""
    rows = [(group, filler) for filler in FILLERS for group in GROUPS]
    return [
        Example(f"{group}{at}", {"text": f"{group} {group} x{at} {filler}{group}"}, "positive")
        for at, (group, filler) in enumerate(rows)
    ]


def group_of(text: str) -> int:
    return next(at for at, group in enumerate(GROUPS) if group in text)


def planted(prompt: str, continuation: str) -> float:
    shown, asked = prompt.split("Text:")[1:]
    return -0.1 if (group_of(asked) + 1) % len(GROUPS) == group_of(shown) else -4.0


def groups(row: tuple[Demonstration, ...]) -> set[int]:
    return {group_of(d.example.text) for d in row}


QUERIES = [Query(f"q{at}", {"text": f"{group} {group} fresh"}) for at, group in enumerate(GROUPS)]


def fitted(make_toy: Make, **parameters: object) -> tuple[EPR, Resources]:
    resources = make_toy(planted)
    given = {"candidates_by": "random", "candidates": 20, "epochs": 30, "batch_size": 8} | parameters
    return EPR(**given).fit(make_pool(), resources), resources  # type: ignore[arg-type]


def test_learns_the_planted_relevance_that_words_cannot_show(make_toy: Make) -> None:
    selector, resources = fitted(make_toy)
    for at, row in enumerate(selector.select(QUERIES, 4)):
        assert groups(row) == {(at + 1) % len(GROUPS)}
        assert [d.score for d in row] == sorted((d.score or 0.0 for d in row), reverse=True)
    assert row[0].why["similarity"] == row[0].score
    assert row[0].why["times_positive"] >= 1.0
    assert row[0].why["times_negative"] >= 0.0
    for at, row in enumerate(KNN().fit(make_pool(), resources).select(QUERIES, 4)):
        assert groups(row) == {at}, "without training the query's own words decide"


def test_one_bulk_of_pairs_candidate_first_and_never_itself(make_toy: Make) -> None:
    _, resources = fitted(make_toy, items=5, candidates=7, epochs=1)
    assert isinstance(resources.model, FakeModel)
    requests = resources.model.requests
    assert len(requests) == 5 * 7
    shown = []
    for request in requests:
        assert isinstance(request, ScoreRequest)
        assert request.continuations == (" positive",), "the right answer alone"
        candidate, asked = str(request.prompt).split("Text:")[1:]
        assert candidate.strip().split("\n")[0] != asked.strip().split("\n")[0]
        shown.append(candidate)
    changes = sum(a != b for a, b in pairwise(shown))
    assert changes + 1 == len(set(shown)), "prompts with the same candidate stand together"


def test_candidates_by_targets_have_the_same_target(make_toy: Make) -> None:
    pool = [replace(e, target=("negative", "positive")[at % 2]) for at, e in enumerate(make_pool())]
    resources = make_toy(lambda prompt, continuation: -1.0)
    EPR(candidates=5, epochs=1, items=6).fit(pool, resources)
    assert isinstance(resources.model, FakeModel)
    for request in resources.model.requests:
        assert isinstance(request, ScoreRequest)
        assert f"Label:{request.continuations[0]}\n" in str(request.prompt)


def test_duplicates_of_an_item_are_not_its_candidates(make_toy: Make) -> None:
    pool = [*make_pool(), *(replace(e, id=f"twin-{e.id}") for e in make_pool())]
    resources = make_toy(planted)
    EPR(candidates_by="inputs", candidates=6, epochs=1, items=4).fit(pool, resources)
    assert isinstance(resources.model, FakeModel)
    for request in resources.model.requests:
        assert isinstance(request, ScoreRequest)
        shown, asked = (side.strip().split("\n")[0] for side in str(request.prompt).split("Text:")[1:])
        assert shown != asked


def test_save_and_load(make_toy: Make, tmp_path: Path) -> None:
    selector, resources = fitted(make_toy)
    selector.save(tmp_path / "epr")
    loaded = EPR(trained=str(tmp_path / "epr"))
    loaded.fit(make_pool(), replace(resources, model=None, renderer=None))
    ids = [[d.example.id for d in row] for row in selector.select(QUERIES, 4)]
    assert [[d.example.id for d in row] for row in loaded.select(QUERIES, 4)] == ids
    with pytest.raises(DataError, match="no trained encoder of the epr selector"):
        EPR(trained=str(tmp_path)).fit(make_pool(), resources)


def test_a_trained_tower_is_an_encoder_for_other_selectors(make_toy: Make) -> None:
    selector, resources = fitted(make_toy)
    tower = selector.towers.examples
    assert np.allclose(np.linalg.norm(tower.encode(["apple", "river"]), axis=1), 1.0, atol=1e-5)
    rows = KNN().fit(make_pool(), replace(resources, encoder=tower)).select(QUERIES, 3)
    assert all(len(row) == 3 for row in rows)


def test_transformer_towers_train_by_sentence_transformers(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    base = load_encoder("minilm")
    if not base.source.startswith("package"):
        pytest.skip("the packaged MiniLM is not installed")
    lessons = [
        Lesson(f"{a} {word}", f"{b} {word}", f"{a} again {word}")
        for word in ("one", "two", "three")
        for a, b in (("apple", "river"), ("stone", "cloud"))
    ]
    towers, lasted = train_towers(base, [lessons] * 3, Schedule(6, 2e-4, 2.0, 1))
    assert lasted is None

    def gap(queries: np.ndarray, examples: np.ndarray) -> float:
        return float(queries @ examples[0] - queries @ examples[1])

    texts = ["river new", "apple new"]
    before = gap(base.encode(["apple four"])[0], base.encode(texts))
    after = gap(towers.queries.encode(["apple four"])[0], towers.examples.encode(texts))
    assert before < 0 < after
    towers.save(tmp_path)
    again = load_towers(tmp_path, base)
    assert np.allclose(again.queries.encode(["apple"]), towers.queries.encode(["apple"]), atol=1e-6)
    assert load_encoder(str(tmp_path / "queries")).encode(["apple"]).shape == (1, 384)


def test_transformers_that_training_spoils_stay_as_they_were() -> None:
    pytest.importorskip("accelerate")
    base = load_encoder("minilm")
    if not base.source.startswith("package"):
        pytest.skip("the packaged MiniLM is not installed")
    lessons = [Lesson(f"{a} {n}", f"{b} {n}", f"{a} again") for n in "12" for a, b in (("apple", "river"),)]
    spoilt = [HeldOut("apple 3", ("apple again", "river 3"), (-1.0, -5.0))]
    towers, lasted = train_towers(base, [lessons] * 4, Schedule(2, 1e-3, 2.0, 1, patience=2), spoilt)
    assert lasted is not None
    assert (lasted.kept, lasted.epochs) == (0, 2)
    assert np.allclose(towers.queries.encode(["apple"]), base.encode(["apple"]), atol=1e-5)


def test_projections_never_end_below_their_start_on_what_was_held_out() -> None:
    """What is held out contradicts the lessons; without it training follows them."""
    lessons = [Lesson(f"apple {n}", f"river {n}", f"apple x{n}") for n in range(8)]
    held = [HeldOut("apple 9", ("apple x9", "river 9"), (-1.0, -5.0))]
    base = HashEncoder()
    plain, unknown = train_towers(base, [lessons] * 5, Schedule(4, None, 2.0, 1))
    kept, lasted = train_towers(base, [lessons] * 5, Schedule(4, None, 2.0, 1, patience=3), held)
    assert unknown is None
    assert lasted is not None
    assert lasted.best == lasted.start
    assert (lasted.kept, lasted.epochs) == (0, 3)
    assert np.array_equal(kept.queries.encode(["apple"]), base.encode(["apple"]))
    assert not np.allclose(plain.queries.encode(["apple"]), base.encode(["apple"]), atol=1e-3)


@pytest.mark.parametrize("side", ["targets", "inputs"])
def test_learns_a_style_that_words_show_in_part(side: Side) -> None:
    """Trained on nothing it is knn, nearly: an example is read with its target."""
    world = styled(2, asked=40)
    given = {"candidates_by": side, "candidates": 20}
    start = world.share(KNN().fit(world.pool, world.resources), 8)
    idle = EPR(**given, learning_rate=1e-12).fit(world.pool, world.resources)  # type: ignore[arg-type]
    trained = EPR(**given).fit(world.pool, world.resources)  # type: ignore[arg-type]
    assert world.share(idle, 8) < start + 0.05
    assert world.share(trained, 8) > start + 0.15
    why = trained.select(world.queries[:1], 2)[0][0].why
    assert float(why["held_out"]) > float(why["held_out_start"])
    assert 0 < float(why["epoch_kept"]) <= float(why["epochs_run"])


def test_a_tiny_pool_is_refused(make_toy: Make) -> None:
    with pytest.raises(ConfigError, match="learns from 3 examples or more; the pool has 2"):
        EPR().fit(make_pool()[:2], make_toy(planted))
