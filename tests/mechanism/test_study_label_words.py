"""Flows against loops, saliency against finite differences, blocked words against what they cannot see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from icl.engine.fake import FakeModel
from icl.errors import ConfigError, ContextOverflow
from icl.mechanism.contract import Decoder, Work, studies
from icl.mechanism.label_words import LabelWords
from icl.mechanism.shared import heads
from icl.mechanism.shared.anchors import CONDITIONS, Marked, agreement, blocked, hide, marked, saliency
from icl.mechanism.shared.flows import flows
from icl.mechanism.shared.heads import HeadReader
from icl.mechanism.shared.label_words import read, thirds
from icl.mechanism.shared.labelled import Material, shuffled_labels
from icl.tasks import TaskData
from icl.types import Template
from tests.engine.tiny import tiny_network
from tests.mechanism.reviews import LABELS, done, reviews, work_on

PROMPT = Marked(
    ids=(2, 5, 9, 11, 7, 30, 31, 8, 40, 12),
    words=(3, 6),
    others=(2, 5),
    targets=(3, 4, 60),
    gold=1,
    longest=1,
)
SMALL = {"task": "reviews", "shots": 3, "prompts": 3, "pool": 30, "blocked_layers": 1}


def spelled(rows: int = 60) -> TaskData:
    """Reviews whose labels follow without a space, so that their first bytes differ."""
    data = reviews(rows=rows)
    return replace(
        data, task=replace(data.task, template=Template("{{ text }}\nVerdict:", answer="{{ answer }}"))
    )


def tiny_work(folder: Path, context: int = 1024) -> Work:
    network = tiny_network("llama", vocab_size=257, max_position_embeddings=1024)
    work = work_on(folder, spelled(), FakeModel(context_length=context))
    assert work.model is not None
    work.model = Decoder("tiny", network, work.model.tokenizer, work.model.engine)
    return work


def test_flows_are_means_over_their_pairs() -> None:
    table = np.random.default_rng(0).random((2, 7, 7))
    words = (2, 4)
    for layer, found in zip(table, flows(table, words), strict=True):
        pairs: dict[str, list[float]] = {"wp": [], "pq": [], "ww": []}
        for i in range(7):
            for j in range(i):
                kind = "wp" if i in words else "pq" if i == 6 and j in words else "ww"
                pairs[kind].append(layer[i, j])
        assert found == pytest.approx([np.mean(pairs[kind]) for kind in ("wp", "pq", "ww")])
        # the counts of the authors' code: sum of places, labels, all pairs less these
        assert [len(pairs[kind]) for kind in pairs] == [sum(words), 2, 7 * 6 // 2 - sum(words) - 2]


@pytest.mark.parametrize("words", [(), (0,), (6,), (2, 2)])
def test_words_without_anything_before_or_after_them_are_refused(words: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="different places from 1 to 5"):
        flows(np.ones((1, 7, 7)), words)


def loss_with(reader: HeadReader, nudge: tuple[int, int, int, int], by: float) -> float:
    """The loss with one attention weight (layer, head, row, column) moved."""
    plain = heads.attention_weights

    def moved(q: Any, k: Any, rows: Any, call: Any, closed: Any = None) -> Any:
        weights = plain(q, k, rows, call, closed)
        layer, head, row, column = nudge
        if call.layer == layer:
            weights[:, head, rows.tolist().index(row), column] += by
        return weights

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "attention_weights", moved)
        states = reader.forward(torch.tensor([PROMPT.ids]), lambda seen: None)
    logits = reader.logits(states[:, -1])[0, list(PROMPT.targets)].double()
    return -float(torch.log_softmax(logits, dim=0)[PROMPT.gold])


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_saliency_is_attention_times_the_slope_of_the_loss(family: str) -> None:
    reader = HeadReader(tiny_network(family))
    found = saliency(reader, PROMPT)
    weights = reader.rows(torch.tensor([PROMPT.ids]), list(range(len(PROMPT.ids))))[:, 0]  # [L, H, S, S]
    assert found.attention == pytest.approx(weights.double().mean(dim=1).numpy(), abs=1e-6)
    scale = found.saliency.max()
    for layer, row, column in [(0, 3, 1), (0, 9, 6), (1, 9, 3), (1, 9, 9), (1, 4, 2)]:
        total = 0.0
        for head in range(reader.heads):
            place = (layer, head, row, column)
            slope = (loss_with(reader, place, 0.01) - loss_with(reader, place, -0.01)) / 0.02
            total += float(weights[place]) * slope
        assert found.saliency[layer, row, column] == pytest.approx(abs(total), abs=2e-3 * scale, rel=2e-2)
    assert found.saliency[-1, :-1].max() == 0  # the last layer's other rows do not reach the answer


def test_a_frozen_network_gives_the_same_saliency_and_no_gradients() -> None:
    network = tiny_network("llama")
    own = saliency(HeadReader(network), PROMPT)
    assert all(parameter.grad is None for parameter in network.parameters())
    network.requires_grad_(False)
    frozen = saliency(HeadReader(network), PROMPT)
    assert np.array_equal(own.saliency, frozen.saliency)
    assert own.logits == frozen.logits


def states(reader: HeadReader, ids: list[int], way: str, places: tuple[int, ...]) -> torch.Tensor:
    matrix = torch.zeros(1, len(ids), len(ids), dtype=torch.bool)
    hide(matrix[0], way, places)
    everywhere = dict.fromkeys(range(reader.layers), matrix)
    return reader.forward(torch.tensor([ids]), lambda seen: None, blocked=everywhere)[0]


def test_words_that_nothing_sees_can_be_any_word() -> None:
    reader = HeadReader(tiny_network("llama"))
    ids, changed = list(PROMPT.ids), list(PROMPT.ids)
    changed[3] = 77
    plain, other = (states(reader, row, "out of", (3,)) for row in (ids, changed))
    assert torch.allclose(plain[4:], other[4:], atol=1e-5)
    assert not torch.allclose(plain[3], other[3], atol=1e-2)
    open_plain, open_other = (states(reader, row, "out of", ()) for row in (ids, changed))
    assert not torch.allclose(open_plain[4:], open_other[4:], atol=1e-2)


def test_words_that_see_nothing_are_the_same_after_any_text() -> None:
    reader = HeadReader(tiny_network("llama"))
    ids, changed = list(PROMPT.ids), list(PROMPT.ids)
    changed[1] = 77
    plain, other = (states(reader, row, "into", (3,)) for row in (ids, changed))
    assert torch.allclose(plain[3], other[3], atol=1e-5)
    assert not torch.allclose(plain[4], other[4], atol=1e-2)


def test_blocked_answers_are_those_of_the_network_with_its_layers_masked() -> None:
    network = tiny_network("llama", num_hidden_layers=4)
    reader = HeadReader(network)
    found = blocked(reader, PROMPT, 1)
    logits = network(torch.tensor([PROMPT.ids])).logits[0, -1, list(PROMPT.targets)]
    assert found["nothing"] == pytest.approx(torch.log_softmax(logits.double(), dim=0).tolist(), abs=1e-5)
    assert list(found) == ["nothing", *(" ".join(one) for one in CONDITIONS)]
    matrix = torch.zeros(1, 10, 10, dtype=torch.bool)
    hide(matrix[0], "into", PROMPT.words)
    masked = reader.forward(torch.tensor([PROMPT.ids]), lambda seen: None, blocked={3: matrix})
    wanted = torch.log_softmax(reader.logits(masked[:, -1])[0, list(PROMPT.targets)].double(), dim=0)
    assert found["into last labels"] == pytest.approx(wanted.tolist(), abs=1e-5)
    # nothing after the last layer reads what words have become in it
    assert found["into last labels"] == pytest.approx(found["nothing"], abs=1e-5)
    assert agreement(found, "into last labels") == (1.0, pytest.approx(0, abs=1e-6))
    assert agreement(found, "into first labels")[1] > 1e-4


def test_agreement_is_the_kullback_leibler_divergence() -> None:
    found = {"nothing": np.log([0.8, 0.2]).tolist(), "other": np.log([0.4, 0.6]).tolist()}
    same, moved = agreement(found, "other")
    assert same == 0
    assert moved == pytest.approx(0.8 * np.log(2) + 0.2 * np.log(1 / 3))


def test_places_are_where_the_words_stand(tmp_path: Path) -> None:
    material = Material.of(tiny_work(tmp_path), "reviews", pool=30, queries=3)
    shown = material.pool[:4]
    found = marked(material, material.queries[0], shown, np.random.default_rng(0))
    text = bytes(found.ids).decode()
    assert [text[at : at + 3] for at in found.words] == [example.target[:3] for example in shown]
    assert text.endswith("Verdict:")
    assert bytes(found.targets) == bytes(label.encode()[0] for label in LABELS)
    assert LABELS[found.gold] == material.queries[0].target
    labels = {p + n for p, e in zip(found.words, shown, strict=True) for n in range(len(e.target))}
    assert not labels & set(found.others)
    assert len(set(found.others)) == 4
    assert max(found.others) < max(found.words)
    assert found.longest == 5


def test_labels_that_begin_alike_are_refused(tmp_path: Path) -> None:
    work = tiny_work(tmp_path)
    work.tasks = {"reviews": reviews()}  # " bad", " mixed", " good" begin with a space
    study = LabelWords(**SMALL)
    with pytest.raises(ConfigError, match=r"begin with the same token \(bad, mixed, good\)"):
        study.run(study.steps()[0], work)


def test_all_steps_run_and_can_be_kept(tmp_path: Path) -> None:
    study, work = LabelWords(**{**SMALL, "prompts": 10}), tiny_work(tmp_path)
    study.check(work.model, work.tasks)
    steps = study.steps()
    assert [(step.name, step.units) for step in steps] == [
        ("flow 1", 8), ("flow 2", 2), ("blocking 1", 8), ("blocking 2", 2),
    ]  # fmt: skip
    found = done(study, work)
    assert json.loads(json.dumps(found)) == found
    assert study.run(steps[3], tiny_work(tmp_path)) == found["blocking 2"]
    row = found["flow 1"]["prompts"][0]
    assert np.shape([row[name][kind] for name in ("saliency", "attention") for kind in row[name]]) == (
        6,
        2,
        3,
    )
    assert row["saliency"]["labels"] != row["saliency"]["shuffled"]
    report = study.report(found)
    assert len(report.claims) == 5
    assert "labels have up to 5 tokens" in report.notes[-1]
    assert [figure.name.split("_")[-1] for figure in report.figures] == ["saliency", "attention", "blocking"]
    assert len(study.report({"flow 1": found["flow 1"]}).claims) == 3


def planted(into: float, out: float, lot: float, dealt: float) -> list[dict[str, Any]]:
    """Flows of 12 prompts in 6 layers: S_ww is 1, S_wp `into` in the first third, S_pq `out` in the last
    one."""
    draw, rows = np.random.default_rng(0), []
    first, last = thirds(6)
    for _ in range(12):
        tables = {}
        for kind, early, late in (("labels", into, out), ("random", lot, lot), ("shuffled", into, dealt)):
            table = np.ones((6, 3))
            table[first, 0], table[last, 1] = early, late
            tables[kind] = (table * np.exp(0.1 * draw.standard_normal((6, 3)))).tolist()
        right = {"labels": True, "shuffled": False}
        rows.append({"saliency": tables, "attention": tables, "right": right, "label_tokens": 1, "gold": 0})
    return rows


@pytest.mark.parametrize(
    ("sizes", "holds"),
    [
        ((4, 4, 1, 1), [True, True, True]),
        ((4, 4, 4, 4), [None, None, None]),  # random words and shuffled labels do as well
        ((0.25, 0.25, 0.1, 0.25), [False, False, None]),
    ],
)
def test_the_report_holds_flows_against_their_controls(
    sizes: tuple[float, float, float, float], holds: list[bool | None]
) -> None:
    report = read([{"what": "flow", "prompts": planted(*sizes)}], 2)
    assert [claim.holds for claim in report.claims] == holds
    share = next(s for s in report.figures[0].series if s.name == "text to label words")
    assert share.y[0] == pytest.approx(sizes[0] / (sizes[0] + 2), abs=0.05)


def blockings(moves: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for at in range(6):
        changed = {"nothing": np.log([0.8, 0.2]).tolist()}
        for one in CONDITIONS:
            first = 0.8 - moves.get(" ".join(one), 0.0) - 0.001 * at
            changed[" ".join(one)] = np.log([first, 1 - first]).tolist()
        rows.append({"blocked": changed, "gold": 0, "label_tokens": 1})
    return rows


def test_the_report_holds_blocked_words_against_random_ones_and_other_layers() -> None:
    moved = {"into first labels": 0.5, "out of last labels": 0.5, "out of last random": 0.5}
    report = read([{"what": "blocking", "prompts": blockings(moved)}], 5)
    assert [claim.holds for claim in report.claims] == [True, None]
    table = {row[:3]: row[3:] for row in report.tables[0].rows}
    assert table["into", "first", "labels"][2] == 0.0  # accuracy: every answer turned
    assert table["into", "last", "labels"][2] == 1.0
    assert [series.control for series in report.figures[0].series] == [False, True]


def test_shuffled_labels_are_the_same_labels_elsewhere() -> None:
    shown = reviews().train[:6]
    for seed in range(20):
        dealt = shuffled_labels(shown, np.random.default_rng(seed))
        assert sorted(e.target for e in dealt) == sorted(e.target for e in shown)
        assert [e.target for e in dealt] != [e.target for e in shown]
        assert [e.inputs for e in dealt] == [e.inputs for e in shown]


def test_wrong_input_of_label_words_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="blocked_layers is 0; allowed: an integer >= 1"):
        studies.create("label_words", {"blocked_layers": 0})
    with pytest.raises(ConfigError, match=r"shots is 2, and task 'reviews' has 3 labels"):
        LabelWords(**{**SMALL, "shots": 2}).check(None, {"reviews": spelled()})
    with pytest.raises(ConfigError, match="is of kind string"):
        LabelWords(**SMALL).check(None, {"reviews": reviews(kind="string")})
    work = tiny_work(tmp_path)
    with pytest.raises(ConfigError, match="either end of a model of 2 layers; allowed: from 1 to 1"):
        LabelWords(**{**SMALL, "blocked_layers": 2}).check(work.model, work.tasks)
    short = tiny_work(tmp_path, context=60)
    study = LabelWords(**SMALL)
    with pytest.raises(ContextOverflow, match="the context holds 60"):
        study.run(study.steps()[0], short)
