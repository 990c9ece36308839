"""A model or encoder folder with Python code of its own is refused at once, unrun and without a question."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from icl.encoders import load_encoder
from icl.engine import load_model, load_tokenizer
from icl.errors import ModelError

CODE = """
from pathlib import Path
Path({trace!r}).touch()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose configuration names its own `own.py`, and a user who answers yes to everything."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 10))
    home = tmp_path / "model"
    home.mkdir()
    (home / "own.py").write_text(CODE.format(trace=str(tmp_path / "trace")))
    classes = {
        "AutoConfig": "own.Config",
        "AutoModelForCausalLM": "own.Model",
        "AutoTokenizer": ["own.Words", None],
    }
    (home / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": classes}))
    (home / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Words", "auto_map": classes}))
    (home / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "own.Module"}])
    )
    return home


def test_a_model_is_refused(folder: Path) -> None:
    for load in (load_tokenizer, load_model):
        with pytest.raises(ModelError, match=r"comes with Python code of its own .* which icl never runs"):
            load(str(folder))
    assert not (folder.parent / "trace").exists()


def test_an_encoder_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"encoder folder .* cannot be read"):
        load_encoder(str(folder))
    assert not (folder.parent / "trace").exists()
