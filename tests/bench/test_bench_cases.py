"""The cases beyond the six: their shapes, and that the plain ways say what plain forwards say."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks.cases import CASES, LongestOnce, chain, classified, compared, engine, leaves, line, long
from icl.bench.networks import load_plain
from icl.bench.run import largest_gap
from icl.engine.rungs.naive import NaiveModel
from icl.engine.trie.preorder import as_arrays, count_unique
from icl.errors import ModelError
from icl.types import ScoreRequest


@pytest.fixture(scope="module")
def plain() -> NaiveModel:
    return load_plain("random-tiny", "float32")


def test_the_shapes_are_those_that_their_names_say() -> None:
    [spread] = leaves(1).scores
    assert (len(spread.continuations), {len(c) for c in spread.continuations}) == (10_000, {2})
    prompts = [tuple(r.prompt) for r in chain(1).scores]
    assert (len(prompts), len(prompts[-1])) == (100, 2000)
    assert all(later[: len(first)] == first for first, later in pairwise(prompts))
    assert len(long(1).scores[0].prompt) == 4000
    alone = {len(c.make(1).scores): c.make(1) for c in CASES if "nothing shared, scored" in c.name}
    assert list(alone) == [1, 2, 8]
    for workload in alone.values():
        texts = [tuple(r.prompt) for r in workload.scores]
        assert count_unique(as_arrays(texts)) == sum(map(len, texts))
    assert max(int(i) for r in classified(1).scores for i in r.prompt) < 150_000


def test_the_longest_text_says_it_of_all_its_beginnings(plain: NaiveModel) -> None:
    asked = chain(20).scores
    found, expected = LongestOnce(plain.model).score(asked), plain.score(asked)
    for one, other in zip(found, expected, strict=True):
        assert largest_gap(one.token_logprobs, other.token_logprobs) < 1e-4


@pytest.mark.parametrize(
    "asked",
    [
        [ScoreRequest((5, 6), ((7,),)), ScoreRequest((5, 7, 8), ((7,),))],
        [ScoreRequest((5, 6), ((7,),)), ScoreRequest((5, 6, 7), ((7, 8),))],
    ],
)
def test_what_is_no_chain_is_refused(plain: NaiveModel, asked: list[ScoreRequest]) -> None:
    with pytest.raises(ModelError, match="not a chain"):
        LongestOnce(plain.model).score(asked)


@pytest.mark.parametrize("case", [c for c in CASES if c.model is None], ids=lambda c: c.name)
def test_every_plain_way_can_be_asked_and_agrees(plain: NaiveModel, case) -> None:
    workload = case.make(25)
    for name in case.plain if workload.kind == "score" else ():
        found, expected = engine(name, plain).score(workload.scores), plain.score(workload.scores)
        for one, other in zip(found, expected, strict=True):
            assert largest_gap(one.token_logprobs, other.token_logprobs) < 1e-4
    for name in case.plain if workload.kind == "gen" else ():
        found = engine(name, plain).generate(workload.generations)
        assert [len(g.samples[0].token_ids) for g in found] == [32] * len(workload.generations)


def test_in_each_round_the_best_plain_way_counts(plain: NaiveModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from icl.bench.candidates import Measured

    [case] = [c for c in CASES if "leaves" in c.name]
    seconds = {"icl": [2.0, 4.0, 3.0], "shared 32": [3.0, 9.0, 6.0], "shared 256": [5.0, 6.0, 9.0]}
    monkeypatch.setattr(
        "benchmarks.cases.take_turns",
        lambda ways, *_: {w.name: [Measured(s, 0) for s in seconds[w.name]] for w in ways},
    )
    row = compared(case, plain, 3, 100)
    assert (row["ratio"], row["least"], row["most"], row["best"]) == (1.5, 1.5, 2.0, "shared 32")
    assert line(row).endswith("| 3.00 | 6.00, shared 32 | 1.50 (1.50 to 2.00) |")
