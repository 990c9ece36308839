"""Model files that are brought to a machine that does not have them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from icl.engine.fake import FakeModel
from icl.engine.loading.sources import MOVED, resolve
from icl.errors import ModelError
from icl.executors import carrying
from icl.executors.carrying import Bringing, Files, Source, brought, files_of, listed
from tests.executors.openers import Fake, Reads


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder whose files are larger than a piece, one of which is none of a model's."""
    monkeypatch.setenv("ICL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(carrying, "PIECE", 10)
    folder = tmp_path / "driver" / "tiny"
    folder.mkdir(parents=True)
    for name, data in {"config.json": b"{}", "model.safetensors": bytes(range(25)), "notes.md": b"x"}.items():
        (folder / name).write_bytes(data)
    return folder


class Reader:
    """Reads as the driver's process would, and counts."""

    def __init__(self, *files: Files) -> None:
        self._source = Source(files)
        self.pieces: Counter[str] = Counter()

    def __call__(self, model: str, name: str, first: int, size: int) -> bytes:
        self.pieces[name] += 1
        return self._source.read(model, name, first, size)


def test_files_are_brought_once_and_a_path_that_has_them_is_used_as_it_is(model, tmp_path):
    (files,) = files_of(Reads(str(model), ""))
    assert [name for name, _, _ in files.held] == ["config.json", "model.safetensors"]
    here = Reader(files)
    assert brought(files, lambda *given: here(str(model), *given)) == model
    assert not here.pieces
    moved = tmp_path / "elsewhere"
    shutil.move(model, moved)
    away = Reader(Files(str(model), str(moved), files.held))
    for _ in range(2):
        found = brought(files, lambda *given: away(str(model), *given))
        assert found.name == "tiny"
        assert listed(found) == files.held
        assert away.pieces == {"config.json": 1, "model.safetensors": 3}
    model.mkdir()
    (model / "config.json").write_text("another")
    assert brought(files, lambda *given: away(str(model), *given)) == found


def test_a_gguf_file_is_brought_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "a.gguf"
    file.write_bytes(b"weights")
    (tmp_path / "b.gguf").write_bytes(b"others")
    (files,) = files_of(Reads(str(file), ""))
    assert [name for name, _, _ in files.held] == [""]
    kept = file.rename(tmp_path / "moved")
    source = Source((Files(str(file), str(kept), files.held),))
    found = brought(files, lambda *given: source.read(str(file), *given))
    assert (found.name, found.read_bytes()) == ("a.gguf", b"weights")


def test_files_that_change_on_the_way_are_refused(model, tmp_path):
    (files,) = files_of(Reads(str(model), ""))
    shutil.rmtree(model)
    with pytest.raises(ModelError, match="its files have changed while they were sent to a node"):
        brought(files, lambda name, first, size: b"x" * size)
    assert not list((tmp_path / "cache" / "carried").glob("*/tiny"))


def test_what_has_no_files_here_needs_nothing():
    assert files_of(Fake()) == ()
    assert files_of(Reads("fake", "")) == ()


def test_a_name_means_what_was_brought(model, tmp_path):
    (files,) = files_of(Reads(str(model), ""))
    kept = shutil.copytree(model, tmp_path / "kept")
    shutil.rmtree(model)

    class Looks(Fake):
        def open(self) -> FakeModel:
            return FakeModel(name=resolve(str(model)).location)

    reader = Reader(Files(str(model), str(kept), files.held))
    try:
        held = Bringing(Looks(), (files,), reader).open()
        assert Path(held.name).parent.parent == tmp_path / "cache" / "carried"
    finally:
        MOVED.clear()
    with pytest.raises(ModelError, match="no such file or folder"):
        resolve(str(model))
