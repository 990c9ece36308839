"""Rows that were made with other versions of icl or of what its results depend on than the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from icl.leaderboard.rows import Row

Versions = Mapping[str, Mapping[str, str]]
"""Key of an environment -> package -> version."""


def marked(rows: Sequence[Row], known: Versions) -> list[Row]:
    """The rows, those of other versions with `versions`: what differs from the versions of most rows.

    A row of seeds that were made with several is marked too, whichever they are. Environments that are not
    known say nothing.
    """
    of_rows = [
        list({_key(known[k]): known[k] for k in row.environments if k in known}.values()) for row in rows
    ]
    counts = Counter(_key(versions[0]) for versions in of_rows if len(versions) == 1)
    told = {_key(one): one for versions in of_rows for one in versions}
    if len(told) <= 1:
        return list(rows)
    usual = told[counts.most_common(1)[0][0]] if counts else of_rows[0][0]
    return [
        replace(row, versions=_words(versions, usual)) if versions else row
        for row, versions in zip(rows, of_rows, strict=True)
    ]


def _key(versions: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(versions.items()))


def _words(versions: Sequence[Mapping[str, str]], usual: Mapping[str, str]) -> str:
    """ "torch 2.4.0"; "in part" where some of the row is as usual; "" where all is."""
    others = [one for one in versions if one != usual]
    said = [", ".join(difference(usual, one)) for one in others]
    part = "in part " if len(versions) > 1 else ""
    return part + " and ".join(said) if said else ""


def difference(usual: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """ "torch 2.4.0", one entry a package of another version; "without faiss-cpu"."""
    names = dict.fromkeys([*usual, *other])
    return [
        f"{name} {other[name]}" if name in other else f"without {name}"
        for name in names
        if usual.get(name) != other.get(name)
    ]


def sentences(rows: Sequence[Row], name: Callable[[Row], str]) -> list[str]:
    """A line a difference, with the rows that have it."""
    met: dict[str, list[str]] = {}
    for row in rows:
        if row.versions:
            met.setdefault(row.versions, []).append(name(row))
    return [
        f"‡ made with other versions than the rest ({words}): {'; '.join(dict.fromkeys(names))}."
        for words, names in met.items()
    ]
