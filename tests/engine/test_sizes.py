"""Sizes of models, counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl.engine.measuring import sizes
from icl.engine.measuring.sizes import longest_text, network_size
from tests.experiments.tiny_model import write_model


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ICL_CACHE", str(tmp_path / "cache"))
    return str(write_model(tmp_path / "tiny"))


def test_parameters_are_those_of_the_network(tiny: str) -> None:
    import icl

    network = icl.load_model(tiny, engine="naive").model  # type: ignore[attr-defined]
    found = network_size(tiny)
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert (found.context, found.num_hidden_layers, found.num_key_value_heads) == (600, 1, 1)
    assert found.packs


def test_counted_once_until_the_files_change(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    count = sizes._count
    monkeypatch.setattr(sizes, "_count", lambda *asked: counted.append(asked) or count(*asked))
    first = network_size(tiny)
    assert network_size(tiny) == first
    assert len(counted) == 1
    write_model(Path(tiny), seed=1)
    assert network_size(tiny) == first
    assert len(counted) == 2


def test_the_longest_text_is_read_until_it_is_known(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert longest_text(tiny) == 600
    network_size(tiny)
    monkeypatch.setattr(sizes, "read_configuration", lambda *_: pytest.fail("read again"))
    assert longest_text(tiny) == 600


def test_a_book_of_other_fields_is_counted_anew(tiny: str) -> None:
    first = network_size(tiny)
    text = sizes._book().read_text().replace('"packs"', '"packed"')
    sizes._book().write_text(text)
    assert network_size(tiny) == first
