"""Values on disk: what was written comes back, and nothing else does."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys

import pytest

from icl.database import FORMAT, Database
from icl.errors import StorageError

KEYS = [i.to_bytes(16, "big") for i in range(3000)]


def opened(path, **options):
    return Database(path, "entries", "value", "test cache", **options)


@pytest.fixture
def filled(tmp_path):
    path = tmp_path / "kept.sqlite"
    kept = opened(path)
    kept.put((key, f"value {i} " + "x" * 40) for i, key in enumerate(KEYS))
    kept.close()
    return path


def change(path, statement, *parameters):
    with sqlite3.connect(path) as db:
        assert db.execute(statement, parameters).rowcount > 0
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET value = value || '!' WHERE key = ?",
        "UPDATE entries SET value = x'ff00' WHERE key = ?",
        "UPDATE entries SET value = CAST(x'c3' AS TEXT) WHERE key = ?",
        "UPDATE entries SET value = 7 WHERE key = ?",
        "UPDATE entries SET digest = NULL WHERE key = ?",
        # another key's value with that value's own checksum
        "UPDATE entries SET (value, digest) = (SELECT value, digest FROM entries LIMIT 1) WHERE key = ?",
    ],
)
def test_an_altered_value_counts_as_missing_until_it_is_put_again(filled, caplog, statement):
    change(filled, statement, KEYS[5])
    kept = opened(filled)
    assert set(kept.get(KEYS[:10])) == set(KEYS[:10]) - {KEYS[5]}
    assert "1 values that are not what was written" in caplog.text
    kept.put([(KEYS[5], "again"), (KEYS[6], "not this one")])
    kept.close()
    after = opened(filled).get(KEYS[5:7])
    assert after[KEYS[5]] == "again"
    assert after[KEYS[6]].startswith("value 6 ")


def test_of_a_file_damaged_in_the_middle_both_ends_are_saved(filled, caplog):
    data = bytearray(filled.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8192] = random.Random(1).randbytes(8192)
    filled.write_bytes(data)
    kept = opened(filled)
    found = kept.get(KEYS)
    assert 1000 < len(found) < len(KEYS)
    assert all(value.startswith(f"value {KEYS.index(key)} ") for key, value in found.items())
    assert "is damaged" in caplog.text
    assert "could be saved" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no database" * 999, "another table"])
def test_what_is_no_such_file_is_replaced(tmp_path, content):
    path = tmp_path / "kept.sqlite"
    if content == "another table":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE entries (a, b)")
        db.close()
    else:
        path.write_bytes(content)
    kept = opened(path)
    kept.put([(KEYS[0], b"bytes")])
    assert kept.get(KEYS[:2]) == {KEYS[0]: b"bytes"}
    assert len(list(tmp_path.glob("*.damaged-*"))) == bool(content)


def test_a_file_without_checksums_is_taken_over(tmp_path):
    path = tmp_path / "kept.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE entries (key BLOB PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        db.executemany("INSERT INTO entries VALUES (?, ?)", [(KEYS[0], "old"), (KEYS[1], "older")])
    db.close()
    assert opened(path).get(KEYS[:3]) == {KEYS[0]: "old", KEYS[1]: "older"}
    assert len(opened(path)) == 2


def test_a_newer_format_is_refused_and_left_as_it_is(filled):
    change_to = sqlite3.connect(filled)
    change_to.execute(f"PRAGMA user_version = {FORMAT + 1}")
    change_to.close()
    with pytest.raises(StorageError, match=r"written by a newer icl \(its format 3"):
        opened(filled)
    assert not list(filled.parent.glob("*.damaged-*"))


def test_places_that_cannot_be_written_say_so_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "kept.sqlite", tmp_path):
        with pytest.raises(StorageError) as error:
            opened(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_reading_only_creates_nothing(tmp_path):
    with pytest.raises(StorageError):
        opened(tmp_path / "none.sqlite", read_only=True).get(KEYS[:1])
    assert not list(tmp_path.iterdir())


OPENING = """
import sys
from pathlib import Path
from icl.database import Database
for n in range(40):
    kept = Database(Path(sys.argv[1]) / f"{n}.sqlite", "entries", "value", "test cache")
    kept.put([(sys.argv[2].encode(), sys.argv[2])])
    kept.close()
"""


def test_eight_processes_may_open_new_files_at_once(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", OPENING, str(tmp_path), str(i)], stderr=subprocess.PIPE)
        for i in range(8)
    ]
    assert [process.communicate()[1].decode() for process in started] == [""] * 8
    assert [len(opened(tmp_path / f"{n}.sqlite")) for n in range(40)] == [8] * 40


HEALING = """
import sys
from pathlib import Path
from icl.database import Database
kept = Database(Path(sys.argv[1]), "entries", "value", "test cache")
keys = [i.to_bytes(16, "big") for i in range(3000)]
kept.get(keys)
kept.put([(sys.argv[2].encode(), sys.argv[2])])
"""


def test_processes_that_meet_damage_together_heal_it_once(filled):
    data = bytearray(filled.read_bytes())
    data[8192:16384] = random.Random(2).randbytes(8192)
    filled.write_bytes(data)
    started = [subprocess.Popen([sys.executable, "-c", HEALING, str(filled), str(i)]) for i in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert len(list(filled.parent.glob("*.damaged-*[0-9]"))) == 1
    assert sqlite3.connect(filled).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert set(opened(filled).get([b"0", b"1", b"2", b"3"])) == {b"0", b"1", b"2", b"3"}
