"""A pool that the model's own examples join when they are informative enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.protocols import Resources
from icl.selectors.pvi import PVI
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import carve
from icl.types import Example, GenerateRequest, Query, ScoreRequest

Make = Callable[..., Resources]
QUERY = [Query("q", {"text": "written clear 0"})]
LABELS = ("negative", "positive")
POOL = [Example(f"p{at}", {"text": f"real{at} text{at}"}, LABELS[at % 2]) for at in range(12)]


def writes(prompt: str, sample: int) -> str:
    """Clear, vague, a copy of the pool, and an empty line; then more clear ones."""
    label = prompt.split('"')[1]
    return {1: f" written vague {label}", 2: " Real3 text3!", 3: " "}.get(
        sample, f" written clear {label} {sample}"
    )


def score(prompt: str, continuation: str) -> float:
    """P(right): 0.9 of what is clear, 0.55 of what is vague, 0.8 or 0.6 of real ones, 0.5 of nothing."""
    asked = prompt.rsplit("Text:", 1)[1].split("\n")[0].strip()
    if not asked:
        return math.log(0.5)
    if asked.startswith("real"):
        number = int(asked.split()[0].removeprefix("real"))
        right, share = LABELS[number % 2], 0.8 if number % 2 else 0.6
    else:
        right, share = asked.split()[2], 0.9 if "clear" in asked else 0.55
    return math.log(share if continuation.strip() == right else 1 - share)


def pvi(**changes: object) -> PVI:
    given: dict[str, object] = {"per_label": 5, "seeds": 3, "shots": 2, "validation": 4, "selector": "bm25"}
    return PVI(**(given | changes))  # type: ignore[arg-type]


def test_pvi_and_thresholds_by_hand(make_toy: Make) -> None:
    selector = pvi().fit(POOL, make_toy(score, writes))
    judged = {e.example.text: e for e in selector.judged.values()}
    assert set(judged) == {
        f"written {text}"
        for label in LABELS
        for text in (f"clear {label} 0", f"vague {label}", f"clear {label} 4")
    }, "the copy of the pool and the empty one are gone"
    for label, share in (("negative", 0.6), ("positive", 0.8)):
        clear, vague = judged[f"written clear {label} 0"], judged[f"written vague {label}"]
        assert clear.example.target == label
        assert clear.pvi == pytest.approx(math.log(0.9 / 0.5))
        assert vague.pvi == pytest.approx(math.log(0.55 / 0.5))
        assert clear.threshold == vague.threshold == pytest.approx(math.log(share / 0.5))
        assert (clear.kept, vague.kept) == (True, False)


def test_what_is_kept_joins_the_pool(make_toy: Make) -> None:
    (row,) = pvi().fit(POOL, make_toy(score, writes)).select(QUERY, 5)
    # BM25 of "written clear 0": the four that were kept come first.
    assert {d.example.id for d in row[:4]} == {f"written/{y}-{n}" for y in LABELS for n in (0, 4)}
    assert row[0].why["pvi"] == pytest.approx(math.log(1.8))
    assert row[0].why["written_by"] == "fake"
    assert row[0].why["share_kept"] == pytest.approx(4 / 6)
    assert "bm25" in row[0].why
    assert (row[4].why["written_by"], "pvi" in row[4].why) == ("pool", False)
    (alone,) = pvi(originals=False).fit(POOL, make_toy(score, writes)).select(QUERY, 4)
    assert [d.example for d in alone] == [d.example for d in row[:4]]
    with pytest.raises(ConfigError, match="5 demonstrations asked for, but selector 'pvi' has 4 examples"):
        pvi(originals=False).fit(POOL, make_toy(score, writes)).select(QUERY, 5)


def test_a_threshold_of_ones_own_needs_no_validation_scores(make_toy: Make) -> None:
    resources = make_toy(score, writes)
    selector = pvi(threshold=0.05).fit(POOL, resources)
    assert all(entry.kept for entry in selector.judged.values())
    assert isinstance(resources.model, FakeModel)
    scored = [r for r in resources.model.requests if isinstance(r, ScoreRequest)]
    assert len(scored) == 6 + 2, "six examples, and no input once a label"


def test_seeds_are_of_the_label_and_not_held_out(make_toy: Make) -> None:
    resources = make_toy(score, writes)
    pvi().fit(POOL, resources)
    held = carve("pvi", Candidates(POOL, 1.0), 4, resources, balanced=True).held
    assert isinstance(resources.model, FakeModel)
    requests = [r for r in resources.model.requests if isinstance(r, GenerateRequest)]
    assert len(requests) == 2
    for label, request in zip(LABELS, requests, strict=True):
        prompt = str(request.prompt)
        assert prompt.startswith(f'Every text below is "{label}".\n\ntext: real')
        assert prompt.endswith("\n\ntext:")
        seeds = [int(part.split()[0]) for part in prompt.split("text: real")[1:]]
        assert len(seeds) == 3
        assert {LABELS[at % 2] for at in seeds} == {label}
        assert set(seeds).isdisjoint(held)


def test_a_rare_label_is_not_held_out_whole(make_toy: Make) -> None:
    labels = [*"aaaaaaaaa", *"bbb"]
    pool = [replace(e, target=LABELS["ab".index(name)]) for e, name in zip(POOL, labels, strict=True)]
    resources = make_toy(score, writes)
    carved = carve("pvi", Candidates(pool, 1.0), 5, resources, balanced=True)
    rare = [at for at in range(12) if labels[at] == "b"]
    assert len(set(rare) & set(carved.held)) == 1
    assert len(set(rare) & set(carved.shown)) == 2
    more = carve("pvi", Candidates(pool, 1.0), 9, resources, balanced=True)
    assert len(set(rare) & set(more.held)) == 3, "4 + 1 are the halves; the rest takes turns again"


def test_clear_errors(make_toy: Make) -> None:
    with pytest.raises(ConfigError, match="'pvi' needs labels: task 'toy' is of kind string"):
        pvi().fit(POOL, make_toy(kind="string"))
    with pytest.raises(ConfigError, match="none of the 6 examples that the model wrote passed"):
        pvi(threshold=5.0, originals=False).fit(POOL, make_toy(score, writes))
    with pytest.raises(ConfigError, match="no example of label 'positive' to start from"):
        pvi().fit([replace(e, target="negative") for e in POOL], make_toy(score, writes))
