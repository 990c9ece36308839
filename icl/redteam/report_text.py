"""The report as Markdown. What came from a model is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icl.instructions.card_text import escaped, table

NONE = "–"
WAYS = ("way", "questions", "left out", "graded", "hits", "hit %", "95 % CI", "distinct hits")
DIVERSITY = ("way", "self-BLEU", "of the first {}", "of hits", "near duplicates")
RULES = ("rule", "way", "broken", "%", "95 % CI", "mean P")


def to_markdown(report: Mapping[str, Any]) -> str:
    """report: as `report_of` makes it."""
    models = [f"{role}: {escaped(report[role])}" for role in ("red", "target", "judge") if report.get(role)]
    parts = [
        f"# Red teaming {escaped(report['name'])}",
        f"{'; '.join(models)}; seed {report['seed']}.",
        "A hit is an answer that breaks a rule by the judge; intervals are Wilson's, for questions asked in "
        "this way. Distinct hits: those whose question is not too like an earlier one's (ROUGE-L above 0.7)."
        "\n\n" + table(WAYS, way_rows(report)),
        _diversity(report),
        "## By rule\n\n" + table(RULES, rule_rows(report)),
        *_left_out(report),
        *(_worst(way, found) for way, found in report["ways"].items() if found["worst"]),
        _costs(report),
    ]
    return "\n\n".join(parts) + "\n"


def way_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line a way of asking, under `WAYS`."""
    return [
        (
            way,
            f"{found['kept']:,}",
            f"{sum(one['count'] for one in found['left_out'].values()):,}",
            f"{found['graded']:,}",
            f"{found['hits']['count']:,}",
            *_percent(found["hits"]),
            f"{found['diversity']['distinct_hits']:,}",
        )
        for way, found in report["ways"].items()
    ]


def rule_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line a rule and way, under `RULES`."""
    return [
        (
            rule,
            way,
            f"{one['count']:,}",
            *_percent(one),
            NONE if one["mean"] is None else f"{one['mean']:.3f}",
        )
        for rule in report["rules"]
        for way, found in report["ways"].items()
        for one in (found["rules"][rule],)
    ]


def diversity_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line a way of asking, under `diversity_headers`."""
    keys = ("self_bleu", "self_bleu_compared", "self_bleu_hits")
    return [
        (
            way,
            *(NONE if (value := found["diversity"][key]) is None else f"{value:.1f}" for key in keys),
            f"{found['diversity']['near_duplicates']:,}",
        )
        for way, found in report["ways"].items()
    ]


def diversity_headers(report: Mapping[str, Any]) -> tuple[str, ...]:
    """With the number of questions that ways are compared by."""
    return tuple(header.format(f"{report['compared']:,}") for header in DIVERSITY)


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What was left out, what could not be graded, and what else a reader should know, a line each."""
    lines = []
    for way, found in report["ways"].items():
        if found["kept"] < found["wanted"]:
            lines.append(f"{way}: {found['kept']:,} questions of {found['wanted']:,} that were asked for.")
        lines += [f"{way}: left out {one['count']:,} ({rule})." for rule, one in found["left_out"].items()]
        if found["answered"] > found["graded"]:
            lines.append(f"{way}: {found['answered'] - found['graded']:,} answers could not be graded.")
        flags = ", ".join(f"{flag} {count:,}" for flag, count in found["flags"].items())
        lines += [f"{way}: flags: {flags}."] if flags else []
        lines += [f"{way}: {key.replace('_', ' ')}: {text}." for key, text in found["notes"].items()]
    return lines


def _percent(found: Mapping[str, Any]) -> tuple[str, str]:
    if found["value"] is None:
        return NONE, NONE
    return f"{100 * found['value']:.1f}", f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _diversity(report: Mapping[str, Any]) -> str:
    note = (
        "Self-BLEU: BLEU-4 of a question with all others as references, the mean, 0 to 100; higher is less "
        "diverse. It grows with their number: ways are compared by the first "
        f"{report['compared']:,} of each. Near duplicates: ROUGE-L above 0.7 with an earlier question."
    )
    return f"## Diversity of the questions\n\n{note}\n\n" + table(
        diversity_headers(report), diversity_rows(report)
    )


def _left_out(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (way, rule, f"{one['count']:,}", " / ".join(one["examples"]))
        for way, found in report["ways"].items()
        for rule, one in found["left_out"].items()
    ]
    body = table(("way", "rule", "count", "first of them"), rows) if rows else "Nothing."
    said = [f"- {escaped(line)}" for line in remarks(report) if ": left out " not in line]
    return [f"## Left out\n\n{body}", *(["\n".join(said)] if said else [])]


def _worst(way: str, found: Mapping[str, Any]) -> str:
    rows = [
        (one["question"], one["answer"], ", ".join(f"{rule} {p:.2f}" for rule, p in one["broken"].items()))
        for one in found["worst"]
    ]
    heading = f"## Hits by {escaped(way)}, highest P first"
    return f"{heading}\n\n" + table(
        ("question", "answer", "broken"), rows, found["hits"]["count"] - len(rows)
    )


def _costs(report: Mapping[str, Any]) -> str:
    rows = [
        (
            step,
            f"{one['requests']:,}",
            f"{one['tokens_flat']:,}",
            f"{one['tokens_unique']:,}",
            f"{one['tokens_generated']:,}",
        )
        for step, one in report["costs"].items()
        if one["requests"]
    ]
    headers = ("step", "requests", "tokens flat", "tokens forwarded", "tokens written")
    return "## Costs\n\n" + table(headers, rows)
