"""Rows made with other versions are marked, whichever run they come from."""

from __future__ import annotations

from dataclasses import replace

from icl.leaderboard import leaderboard

from .cells import cell

VERSIONS = {
    "a": {"icl": "0.1.0", "torch": "2.4.0"},
    "b": {"icl": "0.1.0", "torch": "2.5.1"},
    "c": {"icl": "0.1.0", "torch": "2.4.0"},
}


def board(**made: list[str]):
    """selector=[environment of seed 0, of seed 1]."""
    cells = [
        replace(cell(selector, seed=seed), environments=(key,))
        for selector, keys in made.items()
        for seed, key in enumerate(keys)
    ]
    return leaderboard(cells, resamples=50, majority=False, versions=VERSIONS)


def marks(found) -> dict[str, str]:
    return {row.selector: row.versions for row in found.rows}


def test_one_version_marks_nothing():
    found = board(random=["a", "a"], knn=["a", "c"])
    assert marks(found) == {"random": "", "knn": ""}
    assert "‡" not in found.to_markdown()


def test_rows_of_another_version_are_marked_and_named():
    found = board(random=["a", "a"], bm25=["a", "c"], knn=["b", "b"])
    assert marks(found) == {"random": "", "bm25": "", "knn": "torch 2.5.1"}
    assert "knn ‡" in found.to_markdown()
    assert "‡ made with other versions than the rest (torch 2.5.1): sst2 knn." in found.footer
    assert r"\ddag{}" in found.to_latex()
    assert '"other_versions": "torch 2.5.1"' in found.to_json()


def test_a_row_of_two_versions_is_marked_whatever_most_are():
    found = board(random=["a", "a"], knn=["a", "b"])
    assert marks(found) == {"random": "", "knn": "in part torch 2.5.1"}
    alone = board(knn=["a", "b"])
    assert marks(alone) == {"knn": "in part torch 2.5.1"}


def test_what_is_not_known_says_nothing():
    found = board(random=["a", "a"], knn=["x", "x"])
    assert marks(found) == {"random": "", "knn": ""}
