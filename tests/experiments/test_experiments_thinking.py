"""`think` of an experiment: in reading, in stopping, in what bulk requests ask, and in counts."""

from __future__ import annotations

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError

OUTPUT = "[[ maybe bad.\n\nor not ]] good\n\nText: another"
PAIRS = [["[[", "]]"], ["<<", ">>"]]


@pytest.fixture
def ran(write, tmp_path):
    def run(**changes):
        model = FakeModel(reply_with=lambda prompt, sample: OUTPUT)
        grid = {"selector": "random", "shots": 2, "method": [{"generate": {"max_tokens": 60}}]}
        made = icl.run(write(grid=grid, **changes), output=tmp_path / "out", model=model)
        return made, model

    return run


def test_a_block_of_the_models_own_is_neither_read_nor_stopped_in(ran):
    run, model = ran(think=PAIRS, seeds=[0])
    first = next(r for r in run.results if r.cell.selector == "random").predictions[0]
    assert (first.answer, first.output) == ("good", OUTPUT.partition("\n\nText")[0])
    assert first.details["thinking_tokens"] == len("[[ maybe bad.\n\nor not ]]")
    assert {request.think for request in model.requests} == {(("[[", "]]"), ("<<", ">>"))}
    assert run.tasks()["mine"].reading.think == (("[[", "]]"), ("<<", ">>"))
    assert {row.extraction.thinking_tokens for row in run.leaderboard().rows} >= {10 * 24}


def test_without_it_the_text_ends_in_the_block_and_nothing_is_counted(ran):
    run, model = ran(seeds=[0])
    first = next(r for r in run.results if r.cell.selector == "random").predictions[0]
    assert first.output == "[[ maybe bad."
    assert "thinking_tokens" not in first.details
    assert {request.think for request in model.requests} == {()}


def test_a_block_that_the_prompt_opens_is_thinking_all_through(write, tmp_path):
    """As chat templates do that end in an opening mark: a text that the limit broke off has no answer yet."""
    template = {"query": "Text: {{ text }}\nThink:\n<think>", "answer": "{{ answer }}"}
    model = FakeModel(reply_with=lambda prompt, sample: "good, or rather bad")
    grid = {"selector": ["zero_shot", "random"], "shots": 2, "method": [{"generate": {"max_tokens": 12}}]}
    made = icl.run(write(template, grid=grid, seeds=[0]), output=tmp_path / "out", model=model)
    row = next(r for r in made.results if r.cell.selector == "random").predictions[0]
    assert (row.answer, row.output) == (None, "good, or rat")
    assert {"thinking", "unparsed", "cut_by_length"} <= set(row.flags)
    assert row.details["thinking_tokens"] == len(row.output)


def test_another_think_is_another_experiment(ran):
    ran(think=PAIRS, seeds=[0])
    ran(think=PAIRS, seeds=[0, 1])
    with pytest.raises(ConfigError, match="think: "):
        ran(think=PAIRS[0], seeds=[0])


@pytest.mark.parametrize("think", ["<a>", ["<a>"], [["<a>", ""]], [["<a>", "</a>", "x"]], {"<a>": "</a>"}])
def test_what_is_no_pair_is_refused_with_its_line(write, think):
    with pytest.raises(ConfigError, match=r"experiment.yaml:\d+: think: is .* an opening and a closing mark"):
        icl.run(write(think=think))


def test_a_method_that_asks_in_bulk_goes_on_inside_blocks_too(write, tmp_path):
    model = FakeModel(reply_with=lambda prompt, sample: OUTPUT)
    grid = {"selector": "random", "shots": 2, "orderer": [{"global_entropy": {"max_tokens": 60}}]}
    icl.run(write(grid=grid, think=PAIRS[0], seeds=[0]), output=tmp_path / "out", model=model)
    texts = [request for request in model.requests if hasattr(request, "max_tokens")]
    assert texts
    assert {request.think for request in texts} == {(("[[", "]]"),)}
