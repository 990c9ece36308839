"""Tunings of one name with other weights never stand in one table."""

from __future__ import annotations

import json

import pytest

from icl.errors import DataError
from icl.experiments.folder.store import Contents, RunFolder
from icl.experiments.records import Cell
from icl.leaderboard.mixture import refuse_mixture

PLAIN = {"name": "a", "model": "fake", "task": ["t"], "grid": {"selector": ["zero_shot"], "shots": [0]}}


def folder(path, fingerprint):
    run = RunFolder(path)
    run.begin(Contents(PLAIN, [Cell("fake", "t", "zero_shot", 0, "as_selected", "direct", 0)], {}, {}))
    run.update_manifest(tunings={"t-lora-s0": {"fingerprint": fingerprint}})
    run.close()
    return run


def test_other_weights_under_one_name_are_refused(tmp_path):
    one, same, other = (folder(tmp_path / name, f) for name, f in (("a", "x"), ("b", "x"), ("c", "y")))
    refuse_mixture([one, same])
    with pytest.raises(DataError, match=r"other weights of t-lora-s0: x -> y"):
        refuse_mixture([one, other])
    manifest = one.path / "manifest.json"
    held = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**held, "tunings": {}}))
    refuse_mixture([one, other])
