"""Several models in one experiment: one after another, each with its own settings, answers and memory."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import icl
from icl.backends import BACKENDS
from icl.engine.fake import FakeModel
from icl.errors import ConfigError, ModelError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.experiments.plan import plan
from tests.experiments.conftest import experiment

TWO = ["fake", {"fake": {"name": "other"}}]
LABELS = ["fake", "fake(name=other)"]


class Counted(FakeModel):
    """Remembers which of it are alive, and how many were when one was made."""

    alive: ClassVar[weakref.WeakSet[Counted]] = weakref.WeakSet()
    loads: ClassVar[list[tuple[str, int]]] = []
    breaks: ClassVar[dict[str, BaseException]] = {}

    def __init__(self, *, name: str = "counted", likes: str = "") -> None:
        super().__init__(lambda prompt, text: -1.0 if likes in text else -2.0, name=name)
        gc.collect(0)
        Counted.loads.append((name, len(Counted.alive)))
        Counted.alive.add(self)

    def score(self, requests: Any, on_result: Any = None) -> Any:
        if self.name in Counted.breaks:
            raise Counted.breaks[self.name]
        return super().score(requests, on_result)


def counted(name: str, likes: str) -> dict[str, Any]:
    return {"counted": {"name": name, "likes": likes}}


@pytest.fixture
def loads() -> Iterator[list[tuple[str, int]]]:
    """(name, models alive before it) of each that is made, those of checks left out."""
    BACKENDS.register("counted")(Counted)
    Counted.loads.clear()
    Counted.breaks.clear()
    yield Counted.loads
    del BACKENDS._entries["counted"]


PAIR = [counted("a", "good"), counted("b", "bad")]


def test_each_model_answers_for_its_own_rows(write, tmp_path, loads):
    run = icl.run(write(model=PAIR), output=tmp_path / "runs")
    labels = ["counted(likes=good, name=a)", "counted(likes=bad, name=b)"]
    assert list(run.folder.models()) == labels
    assert {m["fingerprint"] for m in run.folder.models().values()} == {
        Counted(name=n, likes=w).fingerprint for n, w in (("a", "good"), ("b", "bad"))
    }
    answers = {
        (r.cell.model, p.answer) for r in run.results for p in r.predictions if r.cell.method == "direct"
    }
    assert answers == {(labels[0], "good"), (labels[1], "bad")}
    assert all(r.complete for r in run.results)
    assert [r.cell.model for r in run.results] == [label for label in labels for _ in range(8)]


def test_one_model_is_gone_before_the_next_is_loaded(write, tmp_path, loads):
    checked_first = read_experiment(write(model=PAIR))
    check(*checked_first)  # which builds each once
    loads.clear()
    icl.run(write(model=PAIR), output=tmp_path / "runs")
    run_only = loads[-2:]
    assert [name for name, _ in run_only] == ["a", "b"]
    assert [alive for _, alive in run_only] == [0, 0]


def test_killed_in_the_second_it_goes_on_without_the_first(write, tmp_path, loads, predictions):
    class PowerCut(BaseException):
        pass

    path = write(model=PAIR)
    whole = predictions(icl.run(path, output=tmp_path / "whole").path)
    Counted.breaks["b"] = PowerCut()
    with pytest.raises(PowerCut):
        icl.run(path, output=tmp_path / "cut")
    Counted.breaks.clear()
    loads.clear()
    check(*read_experiment(path))
    of_check = [name for name, _ in loads]
    loads.clear()
    resumed = icl.run(path, output=tmp_path / "cut")
    made = [name for name, _ in loads]
    assert made[: len(of_check)] == of_check
    assert made[len(of_check) :] == ["b"]
    assert predictions(resumed.path) == whole


def test_one_that_cannot_be_asked_does_not_keep_the_others_back(write, tmp_path, loads):
    Counted.breaks["a"] = ModelError("no memory")
    with pytest.raises(ModelError, match=r"^counted\(likes=good, name=a\): no memory$"):
        icl.run(write(model=PAIR), output=tmp_path / "runs")
    done = {r.cell.model for r in icl.Run(tmp_path / "runs" / "small").results if r.complete}
    assert "counted(likes=bad, name=b)" in done
    asked = [r for r in icl.Run(tmp_path / "runs" / "small").results if r.cell.method != "-"]
    assert {r.cell.model for r in asked if not r.complete} == {"counted(likes=good, name=a)"}


def test_a_model_is_the_same_alone_or_among_others(write, tmp_path, predictions):
    """Lines, ids of cells and labels: of a plain name in a list as of one that stands alone."""
    alone = predictions(icl.run(write(model="fake"), output=tmp_path / "alone").path)
    together = predictions(icl.run(write(model=TWO), output=tmp_path / "both").path)
    assert len(together) == 2 * len(alone)
    assert {name: together[name] for name in alone} == alone


def test_a_folder_of_one_model_takes_another_in(write, tmp_path, predictions):
    out = tmp_path / "runs"
    first = icl.run(write(model="fake"), output=out)
    before = predictions(first.path)
    manifest = json.loads((first.path / "manifest.json").read_text())
    manifest["model"] = manifest.pop("models")["fake"]  # as before there were several
    (first.path / "manifest.json").write_text(json.dumps(manifest))
    grown = icl.run(write(model=TWO), output=out)
    assert list(grown.folder.models()) == LABELS
    assert before.items() <= predictions(grown.path).items()
    assert [label for label in LABELS for _ in range(8)] == [r.cell.model for r in grown.results]
    fewer = icl.run(write(model="fake"), output=out)
    assert fewer.folder.outside == 8
    with pytest.raises(ConfigError, match="changed: context_length: null -> 900"):
        icl.run(write(model="fake", context_length=900), output=out)


def test_no_model_in_common_is_another_experiment(write, tmp_path):
    icl.run(write(model="fake"), output=tmp_path)
    with pytest.raises(ConfigError, match='model: "fake" -> '):
        icl.run(write(model=[{"fake": {"name": "x"}}]), output=tmp_path)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ([], "model: the list is empty: it must hold at least one model"),
        (["fake", "fake"], "model: 'fake' is given twice"),
        (["fake", {"fake": {}}], "model: 'fake' is given twice"),
        (
            [{"fake": {"name": "a", "delay": 0}}, {"fake": {"delay": 0, "name": "a"}}],
            "model: 'fake(delay=0, name=a)' is given twice",
        ),
        (["fake", 3], "model: item 1: must be an alias, a path, a hub id, {model: {dtype: ...}}"),
        (["fake", ["fake"]], "model: item 1: must be an alias"),
        (["fake", {"a": {}, "b": {}}], "model: item 1: must be an alias"),
        (
            [{"smollm2-135m-instruct": {"dtype": "float31"}}],
            "model: item 0: dtype of 'smollm2-135m-instruct' is 'float31'; allowed: float32, bfloat16 or "
            "float16",
        ),
        (
            [{"smollm2-135m-instruct": {"dtyp": "float32"}}],
            "unknown setting of 'smollm2-135m-instruct' 'dtyp'. Did you mean 'dtype'?",
        ),
        (
            ["smollm2-135m-instruct", {"smollm2-135m-instruct": {"dtype": "bfloat16"}}],
            "'smollm2-135m-instruct' is given 2 times, once without a dtype",
        ),
        (["fake", "fakee"], "model.1: unknown model 'fakee'. Did you mean 'fake'?"),
        (["fake", {"nobackend": {}}], "model.1: unknown model 'nobackend'"),
        (["fake", {"fake": {"dtype": "float32"}}], "has no parameter 'dtype'"),
        ({"smollm2-135m-instruct": {"context_length": 3}}, "context_length of 'smollm2-135m-instruct' is 3"),
    ],
)
def test_bad_models_are_one_line_before_any_loads(write, monkeypatch, model, expected):
    monkeypatch.setattr(
        "icl.experiments.running.turn.open_model", lambda *a, **k: pytest.fail("a model was loaded")
    )
    path = write(model=model)
    with pytest.raises(ConfigError) as refused:
        check(*read_experiment(path))
    assert expected in str(refused.value)
    assert str(refused.value).startswith(f"{path}:")


def test_the_same_file_under_two_names_is_refused(write, tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="is the same model as"):
        check(*read_experiment(write(model=[str(folder), f"{tmp_path}/./net"])))


def test_settings_of_a_model_take_the_place_of_the_common_ones():
    two = [{"smollm2-135m-instruct": {"dtype": "bfloat16", "context_length": 512}}, "fake"]
    parsed = read_experiment(experiment(model=two, dtype="float32", context_length=900))[0]
    first, second = parsed.each
    assert (first.dtype, first.context_length) == ("bfloat16", 512)
    assert (second.dtype, second.context_length) == ("float32", 900)
    assert first.model_label == "smollm2-135m-instruct(context_length=512, dtype=bfloat16)"
    again = read_experiment(parsed.resolved)[0]
    assert again == parsed
    alone = read_experiment(experiment(model=two[0]))[0]
    assert alone.model_label == first.model_label
    assert alone.each[0].dtype == "bfloat16"


def test_a_backend_that_stands_alone_is_called_as_before():
    assert read_experiment(experiment(model={"fake": {"name": "x"}}))[0].model_label == "fake"
    assert read_experiment(experiment(model=[{"fake": {"name": "x"}}]))[0].model_label == "fake(name=x)"


def test_a_given_model_stands_for_one(write, tmp_path):
    with pytest.raises(ConfigError, match="names several models, and one is given"):
        icl.run(write(model=TWO), output=tmp_path, model=FakeModel())


def test_only_keeps_cells_of_a_model(write):
    only = [{"selector": "zero_shot"}, {"model": "fake(name=other)", "selector": "knn"}]
    grid = {"only": only}
    checked = check(*read_experiment(write(model=TWO, grid=grid, seeds=0, leaderboard=None)))
    assert [(c.cell.model, c.cell.selector) for c in checked.cells] == [
        ("fake", "zero_shot"),
        ("fake(name=other)", "zero_shot"),
        ("fake(name=other)", "knn"),
    ]
    with pytest.raises(ConfigError, match=r"grid.only.0.model: unknown model 'othre'"):
        check(*read_experiment(write(model=TWO, grid={"only": [{"model": "othre"}]}, leaderboard=None)))


def test_a_plan_is_a_models(write, tmp_path):
    path = write(model=TWO)
    checked = check(*read_experiment(path))
    plans = [plan(one, icl.load_encoder("hashed")) for one in checked.each]
    computed = icl.run(path, output=tmp_path).folder.manifest()["sessions"][0]["computed"]
    assert sum(found.total.requests for found in plans) == computed["requests"]
    assert sum(found.cells for found in plans) == len(checked.cells)


def test_a_prediction_is_shown_with_the_model_that_made_it(write, tmp_path):
    run = icl.run(write(model=TWO), output=tmp_path)
    query = run.results[0].predictions[0].query_id
    shown = run.show(query, "other mine_knn_2_as_selected_direct_s0")
    assert shown.cell.model == "fake(name=other)"
    with pytest.raises(icl.errors.DataError, match="fits 2 cells"):
        run.show(query, "mine_knn_2_as_selected_direct_s0")


def test_models_are_a_column_and_a_baseline(write, tmp_path, loads):
    path = write(model=PAIR, leaderboard={"compare_to": {"model": "counted(name=a)"}})
    board = icl.run(path, output=tmp_path).leaderboard()
    first, second = ["counted(likes=good, name=a)", "counted(likes=bad, name=b)"]
    assert "model" in {column.key for column in board.columns}
    compared = {row.selector: row.comparison for row in board.rows if row.model == second}
    assert compared.pop("majority_class") is None
    assert set(compared) == {"zero_shot", "random", "knn"}
    for selector, found in compared.items():
        assert found is not None
        assert found.baseline.startswith(f"{first}: {selector} ")
        assert (found.matched, found.unmatched, found.nearest) == (20, 0, False)
        mine = next(r for r in board.rows if (r.model, r.selector) == (second, selector))
        base = next(r for r in board.rows if (r.model, r.selector) == (first, selector))
        assert mine.value is not None
        assert base.value is not None
        assert found.difference.value == pytest.approx(mine.value.value - base.value.value)
    assert all(row.comparison is None for row in board.rows if row.model == first)


def test_a_list_item_without_settings_is_the_plain_name():
    spelled = read_experiment(experiment(model=[{"smollm2-135m-instruct": {"dtype": None}}, "fake"]))[0]
    assert [choice.label for choice in spelled.models] == ["smollm2-135m-instruct", "fake"]
    assert spelled.each[0].dtype is None
    assert spelled.each[0].engine == "trie"


@pytest.mark.usefixtures("norm")
def test_tunings_are_a_models_own_and_its_networks_go_with_it(write, tmp_path, model, monkeypatch):
    from icl.experiments.running import restored
    from tests.experiments.tiny_model import write_model

    paths = [str(model), str(write_model(tmp_path / "second", seed=1))]
    opened: list[tuple[str, weakref.ref[Any]]] = []
    alive: list[str] = []
    real = restored.open_network

    def counted(name: str, **options: Any) -> Any:
        alive.extend(other for other, network in opened if other != name and network() is not None)
        found = real(name, **options)
        opened.append((name, weakref.ref(found.network)))
        return found

    monkeypatch.setattr(restored, "open_network", counted)
    grid = {"selector": ["zero_shot"], "shots": [0], "tuning": ["none", {"norm": {"steps": 2}}]}
    plain = {"seeds": [0], "test": 2, "pool": 12, "engine": "naive", "leaderboard": None}
    run = icl.run(write(model=paths, grid=grid, **plain), output=tmp_path / "runs")
    assert opened[0][0] == paths[0]
    assert {name for name, _ in opened} == set(paths)
    assert alive == []
    kept = run.folder.manifest()["tunings"]
    assert len(kept) == 2
    assert len({entry["fingerprint"] for entry in kept.values()}) == 2
    assert len(list((run.path / "tunings").iterdir())) == 2
    rows = {
        (row.model, row.tuning): row.value
        for row in run.leaderboard().rows
        if row.selector != "majority_class"
    }
    assert rows.keys() == {(path, tuning) for path in paths for tuning in ("none", "norm(steps=2)")}
    assert all(value is not None for value in rows.values())
