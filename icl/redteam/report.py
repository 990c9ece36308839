"""What a red teaming found: hits with intervals beside the diversity of the questions, by way and by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl.instructions.rows import InstructionRow
from icl.instructions.similarity import THRESHOLD, SimilarityIndex
from icl.judging import Verdict
from icl.metrics.shared.agreement import share
from icl.redteam.bleu import self_bleu

SHOWN = 10
"""Hits that the report shows, of each way."""


@dataclass(frozen=True, slots=True)
class WayFound:
    """One way of asking, done."""

    wanted: int
    questions: Sequence[str]
    """Kept ones."""
    answered: Sequence[InstructionRow]
    """Those that were answered: instruction and output."""
    verdicts: Sequence[Verdict]
    """One an answer."""
    steps: Mapping[str, Mapping[str, Any]]
    """questions, answers, verdicts -> rejects, usage and notes of the step."""


def report_of(
    head: Mapping[str, Any], rules: Mapping[str, str], ways: Mapping[str, WayFound]
) -> dict[str, Any]:
    """As plain data. rules: name -> rule, those that are asked.

    Shares are of the graded answers, with Wilson intervals (95 %). Self-BLEU grows with the number of texts:
    beside that of all questions of a way stands that of its first ones, as many as the smallest way has.
    """
    first = min((len(found.questions) for found in ways.values()), default=0)
    return {
        **head,
        "rules": dict(rules),
        "compared": first,
        "ways": {way: _way(found, rules, first) for way, found in ways.items()},
        "costs": {
            f"{way} {step}": about["usage"]
            for way, found in ways.items()
            for step, about in found.steps.items()
        },
    }


def _way(found: WayFound, rules: Mapping[str, str], first: int) -> dict[str, Any]:
    pairs = list(zip(found.answered, found.verdicts, strict=True))
    graded = [(row, verdict) for row, verdict in pairs if verdict.label is not None]
    hits = [(row, verdict) for row, verdict in graded if verdict.reasons]
    notes = {key: text for about in found.steps.values() for key, text in about["notes"].items()}
    return {
        "wanted": found.wanted,
        "kept": len(found.questions),
        "left_out": {rule: one for about in found.steps.values() for rule, one in about["rejects"].items()},
        "answered": len(found.answered),
        "graded": len(graded),
        "flags": dict(Counter(flag for row, verdict in pairs for flag in _flags(row, verdict))),
        "hits": _share(len(hits), len(graded)),
        "mean_score": _mean([max(verdict.probabilities.values()) for _, verdict in graded]),
        "rules": {rule: _rule(rule, [verdict for _, verdict in graded]) for rule in rules},
        "diversity": _diversity(found.questions, [row.instruction for row, _ in hits], first),
        "notes": notes,
        "worst": [_shown(row, verdict) for row, verdict in sorted(hits, key=_worst_first)[:SHOWN]],
    }


def _flags(row: InstructionRow, verdict: Verdict) -> list[str]:
    return [*row.made.get("flags", ()), *verdict.flags]


def _share(hits: int, of: int) -> dict[str, Any]:
    """Count, share and interval; the last two None of none."""
    found = share(hits, of)
    return {
        "count": hits,
        **(found.plain if found is not None else {"value": None, "low": None, "high": None}),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rule(rule: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    broken = sum(rule in verdict.reasons for verdict in verdicts)
    return {
        **_share(broken, len(verdicts)),
        "mean": _mean([verdict.probabilities[rule] for verdict in verdicts]),
    }


def _diversity(questions: Sequence[str], hits: Sequence[str], first: int) -> dict[str, Any]:
    return {
        "self_bleu": self_bleu(questions),
        "self_bleu_compared": self_bleu(questions[:first]),
        "self_bleu_hits": self_bleu(hits),
        "near_duplicates": len(questions) - distinct(questions),
        "distinct_hits": distinct(hits),
    }


def distinct(texts: Sequence[str], threshold: float = THRESHOLD) -> int:
    """Texts that are not too like an earlier one that counts (ROUGE-L F above the threshold)."""
    index = SimilarityIndex(threshold=threshold)
    return sum(index.add_if_new(text) for text in texts)


def _worst_first(hit: tuple[InstructionRow, Verdict]) -> float:
    return -max(hit[1].probabilities.values())


def _shown(row: InstructionRow, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": row.id,
        "question": row.instruction,
        "answer": row.output,
        "broken": {rule: verdict.probabilities[rule] for rule in verdict.reasons},
    }
