"""The layout of weights is measured once and kept: what is gone on with later must not round otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from icl.engine.native import library
from icl.engine.trunks import layouts, packed
from icl.engine.trunks.packed import PackedLinear

pytestmark = pytest.mark.skipif(not packed.available(torch.float32), reason="no packed weights here")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, on disk and in this process."""
    monkeypatch.setenv("ICL_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "available", lambda: True)
    layouts._gain.cache_clear()
    yield tmp_path
    layouts._gain.cache_clear()


def maker(asked: list[bool], wrong: bool = False) -> Callable[[Tensor, bool], layouts.Product]:
    """Plain products that note what was asked for."""

    def make(weight: Tensor, panels: bool) -> layouts.Product:
        asked.append(panels)
        return lambda x: x @ weight.T + (1.0 if wrong and panels else 0.0)

    return make


def test_the_faster_one_is_kept_and_not_measured_again(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([[1.0, 2.0], [1.0, 3.0]])  # ours and theirs of few rows, and of many
    monkeypatch.setattr(layouts, "_seconds", lambda several, x: next(seconds))
    asked: list[bool] = []
    assert layouts.in_panels(maker(asked))
    assert asked == [True, False]
    (gain,) = json.loads((fresh / layouts.BOOK).read_text()).values()
    assert gain == pytest.approx(6**0.5)
    layouts._gain.cache_clear()  # another process
    assert layouts.in_panels(maker(asked))
    assert asked == [True, False]


def test_onednn_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([[2.0, 1.0], [1.0, 1.0]])
    monkeypatch.setattr(layouts, "_seconds", lambda several, x: next(seconds))
    assert not layouts.in_panels(maker([]))


def test_wrong_products_are_never_used(caplog: pytest.LogCaptureFixture) -> None:
    assert not layouts.in_panels(maker([], wrong=True))
    assert "icl's own products are wrong on this processor" in caplog.text


@pytest.mark.parametrize("text", ["", "[1]", '{"x": null}', "{"])
def test_a_damaged_book_is_written_anew(fresh: Path, text: str) -> None:
    (fresh / layouts.BOOK).write_text(text)
    layouts.in_panels(maker([]))
    assert len(json.loads((fresh / layouts.BOOK).read_text())) == 1


def test_without_kernels_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    monkeypatch.setattr(library, "available", lambda: False)
    asked: list[bool] = []
    assert not layouts.in_panels(maker(asked))
    assert not asked
    assert not PackedLinear(torch.eye(4)).panels
    assert not (fresh / layouts.BOOK).exists()
