"""Rows of `icl list` that are kept: those of the code that is there, whatever the file holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from icl.cli import listed
from icl.cli.listing import Kind, _rows


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CACHE", str(tmp_path))
    return tmp_path / listed.BOOK


def test_found_once(cache):
    asked = []
    for _ in range(2):
        assert listed.kept("kind", lambda: asked.append(1) or [("a", "x: 1", "what", "paper")]) == [
            ("a", "x: 1", "what", "paper")
        ]
    assert asked == [1]
    assert listed.kept("other", list) == []
    assert set(json.loads(cache.read_text())["rows"]) == {"kind", "other"}


def test_any_change_of_the_code_finds_them_anew(cache, tmp_path, monkeypatch):
    code = tmp_path / "code"
    (code / "part").mkdir(parents=True)
    monkeypatch.setattr(listed, "CODE", code)
    said = iter(range(9))

    def ask():
        return listed.kept("kind", lambda: [(str(next(said)),)])

    assert [ask(), ask()] == [[("0",)]] * 2
    (code / "part" / "new.py").write_text("a = 1")
    assert [ask(), ask()] == [[("1",)]] * 2
    (code / "part" / "new.py").write_text("a = 22")
    assert [ask(), ask()] == [[("2",)]] * 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"state": 1}', "\x00"])
def test_a_damaged_file_is_replaced(cache, text):
    cache.write_text(text)
    assert listed.kept("kind", lambda: [("a",)]) == [("a",)]
    assert listed.kept("kind", lambda: [("b",)]) == [("a",)]


@pytest.mark.parametrize("rows", [5, [[1]], [5], {"a": 1}])
def test_rows_that_are_none_are_found_anew(cache, rows):
    listed.kept("other", list)
    book = json.loads(cache.read_text())
    cache.write_text(json.dumps({**book, "rows": {"kind": rows}}))
    assert listed.kept("kind", lambda: [("b",)]) == [("b",)]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ICL_CACHE", str(tmp_path / "file" / "below"))
    assert listed.kept("kind", lambda: [("a",)]) == [("a",)]


def test_kept_rows_are_those_that_are_found(cache):
    found = _rows(Kind.METRICS)
    for _ in range(2):
        assert listed.kept("metrics", lambda: _rows(Kind.METRICS)) == [tuple(row) for row in found]


def test_a_process_in_which_more_may_be_registered_keeps_nothing(cache, icl):
    """As this one: tests register components of their own."""
    assert icl("list", "metrics").code == 0
    assert not cache.exists()


def test_a_command_by_itself_keeps_them(cache):
    def said():
        command = [sys.executable, "-m", "icl", "list", "metrics"]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=True).stdout

    first = said()
    assert first.startswith("metrics\tparameters")
    book = json.loads(cache.read_text())
    book["rows"]["metrics"].append(["planted", "", "to see that it is read", ""])
    cache.write_text(json.dumps(book))
    assert said() == first + "planted\t\tto see that it is read\t\n"
