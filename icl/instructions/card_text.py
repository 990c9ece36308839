"""A data card as Markdown. What came from data or a model is shown as text, never as markup."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from icl.printable import visible

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")
SHOWN = 15
"""Rows of a table; the JSON has all."""


def escaped(text: str) -> str:
    """One line in which nothing is markup."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(str(text).split()), keep=""))


def to_markdown(card: Mapping[str, Any], title: str) -> str:
    """The card. card: as `card_of` makes it."""
    parts = [f"# {escaped(title)}", _summary(card), *_mixture(card)]
    for key, heading in (
        ("sources", "Sources"),
        ("made_by", "Made by"),
        ("models", "Models that wrote rows"),
        ("templates", "Templates"),
        ("demonstrations", "Demonstrations in the prompt"),
        ("licences", "Licences"),
    ):
        if card.get(key):
            parts.append(_shares(heading, card[key]))
    parts += [_lengths(card), _diversity(card), *_rejects(card), *_leaks(card), *_costs(card)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(card: Mapping[str, Any]) -> str:
    twice = card["duplicates"]
    lines = [
        f"{card['rows']:,} rows, {card['plain_texts']:,} of them plain text. Equal to a row before them "
        f"but for case, white space and marks at the end: {twice['rows']:,}; with the instruction and input "
        f"of one before them: {twice['same_instruction_and_input']:,}."
    ]
    if "recipe" in card:
        lines.append(f"Made from the recipe {escaped(card['recipe'])} with seed {card['seed']}.")
    return " ".join(lines)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], more: int = 0) -> str:
    """Of Markdown, cells escaped. more: rows that it leaves out."""
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join(escaped(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + (f"\n\n{more} more in the JSON." if more > 0 else "")


def _shares(heading: str, found: Mapping[str, Any]) -> str:
    rows = [(name, f"{one['rows']:,}", f"{one['share']:.1%}") for name, one in found.items()]
    return f"## {heading}\n\n" + table(("", "rows", "share"), rows[:SHOWN], len(rows) - SHOWN)


def _mixture(card: Mapping[str, Any]) -> list[str]:
    if "mixture" not in card:
        return []
    mixture = card["mixture"]
    rows = [
        (
            one["name"],
            one["group"] or "-",
            f"{one['unique']:,}",
            f"{one['quality']:g}",
            f"{one['rate']:.4f}",
            f"{one['drawn']:,}",
            f"{one['repeats']:.2f}",
        )
        for one in mixture["parts"]
    ]
    how = escaped(mixture["how"])
    headers = ("part", "group", "rows of its own", "quality", "rate", "drawn", "times each")
    return [f"## Mixture\n\n{how}\n\n{table(headers, rows)}"]


def _lengths(card: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{one['rows']:,}", f"{one['mean']:.1f}", f"{one['median']:g}", f"{one['longest']:,}")
        for name, one in card["lengths"].items()
    ]
    note = "In words; a Chinese or Japanese character counts as one."
    return f"## Lengths\n\n{note}\n\n" + table(("", "rows", "mean", "median", "longest"), rows)


def _diversity(card: Mapping[str, Any]) -> str:
    found = card["diversity"]
    rows = [(one["verb"] or "-", one["object"] or "-", f"{one['rows']:,}") for one in found["most_frequent"]]
    note = (
        f"{found['verbs']:,} verbs, {found['pairs']:,} pairs of verb and object, by rules, not by a parser."
    )
    return f"## What is asked for\n\n{note}\n\n" + table(("verb", "object", "rows"), rows[:SHOWN])


def _rejects(card: Mapping[str, Any]) -> list[str]:
    if "rejects" not in card:
        return []
    rows = [(rule, f"{one['count']:,}", " / ".join(one["examples"])) for rule, one in card["rejects"].items()]
    body = table(("rule", "rows", "first of them"), rows) if rows else "Nothing."
    return [f"## Left out\n\n{body}"]


def _leaks(card: Mapping[str, Any]) -> list[str]:
    if "leaks" not in card:
        return []
    rows = [
        (task, f"{one['test_items']:,}", one["exact"], one["normalised"], one["n-gram"])
        for task, one in card["leaks"].items()
    ]
    note = "Rows that hold a test item are left out: word for word, after normalisation, by a long n-gram."
    note = note if rows else "No test set was named, and no task was used."
    body = table(("test set", "items", "exact", "normalised", "n-gram"), rows) if rows else ""
    return [f"## Test sets\n\n{note}\n\n{body}".rstrip()]


def _costs(card: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, f"{one['requests']:,}", f"{one['tokens_unique']:,}", f"{one['tokens_generated']:,}")
        for name, one in card.get("costs", {}).items()
        if one["requests"]
    ]
    if not rows:
        return []
    return ["## Costs\n\n" + table(("part", "requests", "tokens forwarded", "tokens written"), rows)]
