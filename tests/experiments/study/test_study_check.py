"""What is wrong with a study file is said in one line, with file, line and key, before a model loads."""

from __future__ import annotations

from pathlib import Path

import pytest

import icl
from icl.errors import ConfigError
from icl.experiments.study.check import check_study
from icl.experiments.study.file import read_study


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("icl.experiments.study.running.open_decoder", refuse)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("study: {coinz: {}}", 2, "study: unknown study 'coinz'. Did you mean 'coins'?"),
        (
            "study:\n  coins:\n    preset: quik",
            4,
            "study.coins.preset: unknown preset of 'coins' 'quik'. Did you mean 'quick'? Allowed: paper, ",
        ),
        ("study:\n  coins:\n    throw: 3", 4, "study.coins.throw: study 'coins' has no parameter 'throw'."),
        (
            "study:\n  coins:\n    bias: 0.4\n    throws: 0",
            5,
            "study.coins.throws: study 'coins': throws is 0",
        ),
        ("study:\n  coins:\n    throws: 13", 3, "study.coins: throws is 13"),
        ("study: looking", 2, "study: looking looks at a model, and none is named"),
        ("study: coins\nmodel: smollm2-135m-instruct", 3, "model: coins looks at no model"),
        ("study: looking\nmodel: fake", 3, "model: 'fake' has no network here"),
        ("study: looking\nmodel: smollm2-135m-instrukt", 3, "model: "),
        ("study: looking\nmodel: [fake, fake]", 3, "names several models"),
        ("study:\n  coins:\n    task: reviewz", 4, "study.coins.task: "),
        ("study: coins\nsed: 3", 3, "Did you mean 'seed'?"),
        ("seed: 1", 0, "study"),
    ],
)
def test_one_line_says_where_and_what(planted, tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"name: mine\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        icl.study(path, output=tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: " if line else str(path))
    assert said in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [("grid: {}", "icl run"), ("parts: []", "icl data build"), ("- 1", "must hold a mapping")],
)
def test_another_kind_of_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_study(path)


def test_a_file_that_is_not_there_has_a_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "coins.yaml").write_text("name: x", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no such study file. Did you mean .*coins.yaml"):
        read_study(tmp_path / "coin.yaml")


def test_what_the_file_gives_takes_the_place_of_the_preset(planted) -> None:
    given = {"name": "x", "study": {"coins": {"preset": "paper", "bias": 0.1}}}
    checked = check_study(*read_study(given))
    assert checked.parameters == {"throws": 40_000, "bias": 0.1, "scale": 100.0, "task": ""}
    again = check_study(*read_study(checked.resolved))
    assert (again.parameters, again.preset) == (checked.parameters, "paper")


def test_another_default_of_the_code_is_another_step(planted, monkeypatch, tmp_path: Path) -> None:
    given = {"name": "x", "study": {"coins": {"throws": 20}}}
    icl.study(given, output=tmp_path)
    planted.done.clear()
    monkeypatch.setitem(planted.__init__.__kwdefaults__, "scale", 50.0)
    icl.study(given, output=tmp_path)
    assert planted.done == ["difference"]
