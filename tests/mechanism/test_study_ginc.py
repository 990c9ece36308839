"""The study of GINC: what is planted in answers is read, wrong sizes are said, a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icl.errors import ConfigError
from icl.mechanism.contract import Claim, Report, Work, studies
from icl.mechanism.ginc import Ginc
from icl.mechanism.shared.ginc.corpora import Corpus, corpora
from icl.mechanism.shared.ginc.material import Material, Sizes
from icl.mechanism.shared.ginc.pretraining import asked
from icl.mechanism.shared.ginc.prompts import KINDS
from icl.tuning.shared import checkpoint

TINY: dict[str, Any] = {
    "values": 4,
    "slots": 4,
    "concepts": 4,
    "vocabularies": (12,),
    "lengths": (3, 4),
    "examples": (0, 2),
    "prompts": 12,
    "context": 24,
    "sources": (1, 2),
    "documents": (3, 6),
    "document_length": 200,
    "layers": 1,
    "width": 16,
    "heads": 2,
    "batch_size": 4,
    "training_steps": 12,
    "warmup": 2,
    "resamples": 400,
}


def work(folder: Path, stop_at: int | None = None, told: list[int] | None = None) -> Work:
    def progress(done: int) -> None:
        if told is not None:
            told.append(done)
        if done == stop_at:
            raise KeyboardInterrupt

    return Work(seed=1, folder=folder, progress=progress, note=print)


def test_corpora_have_fewer_sources_or_less_text_or_no_order() -> None:
    assert corpora((5, 1, 2), (20, 200)) == (
        Corpus(5, 200),
        Corpus(1, 200),
        Corpus(2, 200),
        Corpus(5, 20),
        Corpus(5, 200, permuted=True),
    )
    assert Corpus(1, 20).name == "1 concept, 20 documents"


def test_every_step_of_a_tiny_study_is_done_and_read(tmp_path: Path) -> None:
    study = Ginc(**TINY)
    steps = study.steps()
    assert [step.units for step in steps] == [2 * 2 * 3 * 12] + [12] * 4
    told: list[int] = []
    found = {step.name: json.loads(json.dumps(study.run(step, work(tmp_path, told=told)))) for step in steps}
    assert told.count(144) == 1
    assert told.count(12) == 5  # four trainings, and the first dozen prompts
    report = study.report(found)
    assert len(report.claims) == 7
    (accuracy, loss) = report.tables
    assert len(accuracy.rows) == 6 * len(KINDS) * 2
    assert all(float(row[1] or 0) > float(loss.rows[0][1] or 0) for row in loss.rows[1:])
    assert [figure.name for figure in report.figures] == ["ginc-lengths-12", "ginc-controls-12"]
    assert study.report({}).claims == ()


def test_a_killed_training_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)  # after every step
    study = Ginc(**TINY)
    step = study.steps()[1]
    whole = study.run(step, work(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        study.run(step, work(tmp_path / "cut", stop_at=7))
    told: list[int] = []
    assert study.run(step, work(tmp_path / "cut", told=told)) == whole
    assert told[0] == 7


def test_networks_of_two_corpora_begin_alike_and_trainings_do_not(tmp_path: Path) -> None:
    study = Ginc(**{**TINY, "trainings": 2})
    names = [step.name for step in study.steps()]
    assert names[5] == names[1] + ", training 2"
    ends = {
        name: study.run(next(s for s in study.steps() if s.name == name), work(tmp_path))["loss"]
        for name in (names[1], names[5])
    }
    assert ends[names[1]] != ends[names[5]]


def answering(right: Callable[[str, int, int], float]) -> dict[str, str]:
    """Answers of which a share is right, spread over prompts: by kind, length, examples."""
    found = {}
    for kind in KINDS:
        for length in (3, 4):
            for examples in (0, 2):
                hits = np.arange(200) % 10 < 10 * right(kind, length, examples)
                found[f"{kind} {length} {examples}"] = "".join("1" if hit else "0" for hit in hits)
    return found


def planted(rises: bool) -> Report:
    """A study whose mixture's network learns of examples, or does not; no other ever does."""
    study = Ginc(**{**TINY, "prompts": 200})
    bayes, *trainings = study.steps()

    def mixed(kind: str, length: int, examples: int) -> float:
        return 0.3 + 0.1 * (length == 4) + 0.4 * (rises and examples == 2 and kind == "seen")

    known = answering(lambda kind, length, examples: 0.4 + 0.1 * (length == 4) + 0.3 * (examples == 2))
    concepts = {"3": [0, 1] * 100, "4": [0, 1] * 100}
    found: dict[str, Any] = {
        bayes.name: {"documents": known, "prompts": known, "concepts": concepts, "loss": 1.0}
    }
    for step in trainings:
        plain = step.name.startswith("12 symbols, 2") and "permuted" not in step.name
        hits = answering(mixed if plain else lambda *_: 0.3)
        found[step.name] = {"hits": hits, "loss": 1.2, "losses": [(12, 1.1)], "parameters": 1}
    return study.report(found)


def claim(report: Report, said: str) -> Claim:
    return next(one for one in report.claims if said in one.said)


def test_what_is_planted_is_read() -> None:
    report = planted(rises=True)
    assert claim(report, "better with more examples").holds
    assert "rise 0.400 [0.3" in claim(report, "better with more examples").measured
    assert "permuted documents 0.000" in claim(report, "better with more examples").control
    for said in (
        "longer examples",
        "extrapolate",
        "order of their symbols",
        "without a mixture",
        "sources matter",
    ):
        assert claim(report, said).holds, said
    assert claim(report, "as right as Bayes").holds
    assert "on documents 0.000 [" in claim(report, "as right as Bayes").measured


def test_where_nothing_is_planted_nothing_holds() -> None:
    report = planted(rises=False)
    for said in ("better with more examples", "order of their symbols", "without a mixture"):
        assert not claim(report, said).holds, said
    assert claim(report, "as right as Bayes").holds is False
    assert "-0.400 [" in claim(report, "as right as Bayes").measured


def test_bayes_by_prompts_is_right_where_examples_tell_all() -> None:
    def streams(purpose: str, item: str) -> np.random.Generator:
        return work(Path()).generator(purpose, item)

    sizes = Sizes(10, 10, 6, (8,), (0, 4), 40, 64)
    material = Material.of(sizes, 50, streams)
    hits = material.hits(material.as_prompt)
    assert hits["seen 8 4"].count("1") >= 39
    assert hits["unseen 8 4"].count("1") < 20
    # Knowing the prompts is worth bits; the least loss is below that of any guess that knows no concept.
    assert 0 < material.least_loss() < np.log(50) / 2


def test_a_network_is_asked_for_the_symbol_after_the_query() -> None:
    import torch

    def streams(purpose: str, item: str) -> np.random.Generator:
        return work(Path()).generator(purpose, item)

    class Repeats(torch.nn.Module):
        """Expects the symbol before the last once more."""

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.roll(tokens, 1, 1), 50).float()

    material = Material.of(Sizes(10, 10, 4, (4,), (1, 2), 30, 20), 50, streams)
    found = asked(Repeats(), material, torch.device("cpu"))
    _, _, prompts = next(material.prompts())
    expected = (prompts.queries[:, -2] == prompts.labels).astype(int)
    assert found["hits"]["seen 4 2"] == "".join(map(str, expected))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lengths": (3, "five")}, r"lengths is \[3, 'five'\]; allowed: a list of different integers >= 2"),
        ({"lengths": (1,)}, r"lengths is \[1\]; allowed"),
        ({"examples": (4,)}, r"examples is \[4\]; allowed: a list of 2 different integers or more >= 0"),
        (
            {"examples": (0, 40)},
            r"40 of length 3 and a query exceed the context of 24 tokens; allowed: at most 5",
        ),
        ({"sources": (1, 3)}, r"sources is \[1, 3\] and concepts 4, .*allowed: at most 2"),
        ({"slots": 1}, "slots is 1; allowed: an integer >= 2"),
        ({"vocabularies": (2,)}, r"vocabularies is \[2\]; allowed: .*>= 3"),
        ({"document_length": 24}, "document_length is 24 and context 24; allowed: a document longer"),
        ({"heads": 3}, "width is 16 and heads 3; allowed"),
        ({"leak": 0}, "leak is 0; allowed"),
    ],
)
def test_what_is_wrong_is_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        studies.create("ginc", {**TINY, **wrong})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_presets_can_be_made_and_fit_their_context(preset: str) -> None:
    study = Ginc(**Ginc.presets[preset])
    longest = max(study.lengths)
    assert max(study.examples) * (longest + 1) + longest - 1 <= study.context
    assert len(study.steps()) == {"quick": 5, "paper": 3 * (1 + 5 * 5)}[preset]
