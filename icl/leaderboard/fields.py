"""Every number of a row under one name: what CSV and JSON hold, and what rows are filtered and sorted by."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping

from icl.leaderboard.board import Board
from icl.leaderboard.footer import footer
from icl.leaderboard.rows import Row
from icl.leaderboard.verdicts import Verdicts
from icl.metrics.shared.agreement import Estimate
from icl.printable import visible, visible_json


def _component(name: str) -> Callable[[Row], object]:
    """The standard deviation of a component."""

    def show(row: Row) -> object:
        variance = getattr(row.analysis.components, name) if row.analysis else None
        return None if variance is None else math.sqrt(variance)

    return show


def _share(name: str) -> Callable[[Row], object]:
    return lambda row: row.analysis.components.shares[name] if row.analysis else None


def _power(name: str) -> Callable[[Row], object]:
    attribute = {"power": "now", "queries_needed": "queries", "seeds_needed": "seeds"}.get(name, name)

    def show(row: Row) -> object:
        found = row.comparison.power if row.comparison else None
        return None if found is None else getattr(found, attribute)

    return show


def _oracle(name: str) -> Callable[[Row], object]:
    def show(row: Row) -> object:
        found = row.analysis.headroom.of_rows if row.analysis else None
        return None if found is None else getattr(found, name)

    return show


def _judge(of: Callable[[Verdicts], object]) -> Callable[[Row], object]:
    return lambda row: None if row.verdicts is None else of(row.verdicts)


def _estimates(name: str, of: Callable[[Verdicts], Estimate | None]) -> dict[str, Callable[[Row], object]]:
    """A number by its name, and the ends of its interval."""

    def part(which: str) -> Callable[[Row], object]:
        return _judge(lambda v: None if (found := of(v)) is None else getattr(found, which))

    return {name: part("value"), f"{name}_low": part("low"), f"{name}_high": part("high")}


FIELDS: dict[str, Callable[[Row], object]] = {
    "model": lambda r: r.model,
    "task": lambda r: r.task,
    "selector": lambda r: r.selector,
    "shots": lambda r: r.shots,
    "orderer": lambda r: r.orderer,
    "method": lambda r: r.method,
    "tuning": lambda r: r.tuning,
    "reference": lambda r: int(r.is_reference),
    "value": lambda r: r.value.value if r.value else None,
    "low": lambda r: r.value.low if r.value else None,
    "high": lambda r: r.value.high if r.value else None,
    "rank_group": lambda r: r.standing.group if r.standing else None,
    "p_best": lambda r: r.standing.p if r.standing else None,
    "baseline": lambda r: r.comparison.baseline if r.comparison else None,
    "difference": lambda r: r.comparison.difference.value if r.comparison else None,
    "difference_low": lambda r: r.comparison.difference.low if r.comparison else None,
    "difference_high": lambda r: r.comparison.difference.high if r.comparison else None,
    "p": lambda r: r.comparison.p if r.comparison else None,
    "p_holm": lambda r: r.comparison.p_holm if r.comparison else None,
    "p_seeds": lambda r: r.comparison.p_seeds if r.comparison else None,
    "test": lambda r: r.comparison.test if r.comparison else None,
    "holm_over": lambda r: r.comparison.family if r.comparison else None,
    **{name: _power(name) for name in ("power", "detectable", "queries_needed", "seeds_needed")},
    "pairs": lambda r: r.comparison.matched if r.comparison else None,
    **{f"sd_{name}": _component(name) for name in ("seed", "query", "rest", "set", "order")},
    "sd_seed_low": _component("seed_low"),
    "sd_seed_high": _component("seed_high"),
    **{f"share_{name}": _share(name) for name in ("seed", "query", "rest")},
    "ece": lambda r: r.analysis.reliability.ece if r.analysis else None,
    "ece_calibrated": lambda r: r.analysis.reliability.ece_calibrated if r.analysis else None,
    "overconfidence": lambda r: r.analysis.reliability.overconfidence if r.analysis else None,
    "label_bias": lambda r: r.analysis.reliability.bias if r.analysis else None,
    "preferred_label": lambda r: r.analysis.reliability.preferred if r.analysis else None,
    "preferred_gap": lambda r: r.analysis.reliability.preferred_gap if r.analysis else None,
    "worst_seed": lambda r: r.analysis.headroom.worst if r.analysis else None,
    "best_seed": lambda r: r.analysis.headroom.best if r.analysis else None,
    "oracle_seeds": lambda r: r.analysis.headroom.oracle if r.analysis else None,
    "oracle_rows": _oracle("value"),
    "oracle_rows_low": _oracle("low"),
    "oracle_rows_high": _oracle("high"),
    "cost": lambda r: r.cost,
    "equal_cost_row": lambda r: r.equal_cost.rival.setting if r.equal_cost else None,
    "equal_cost_difference": lambda r: r.equal_cost.difference.value if r.equal_cost else None,
    "equal_cost_low": lambda r: r.equal_cost.difference.low if r.equal_cost else None,
    "equal_cost_high": lambda r: r.equal_cost.difference.high if r.equal_cost else None,
    "seeds": lambda r: r.seeds,
    "queries": lambda r: r.queries,
    "predictions": lambda r: r.predictions,
    "tokens_flat": lambda r: r.usage.tokens_flat,
    "tokens_unique": lambda r: r.usage.tokens_unique,
    "tokens_generated": lambda r: r.usage.tokens_generated,
    "sharing": lambda r: r.sharing if r.sharing is not None else None,
    "tokens_per_query": lambda r: r.tokens_per_query if r.tokens_per_query is not None else None,
    "selection_requests": lambda r: r.selection.requests,
    "selection_tokens": lambda r: r.selection.tokens_flat,
    "selection_tokens_unique": lambda r: r.selection.tokens_unique,
    "selection_seconds": lambda r: r.selection_seconds,
    "seconds": lambda r: r.seconds,
    "trainable_parameters": lambda r: r.training.trainable if r.training else None,
    "training_steps": lambda r: r.training.steps if r.training else None,
    "training_tokens": lambda r: r.training.tokens if r.training else None,
    "training_tokens_forwarded": lambda r: r.training.tokens_forwarded if r.training else None,
    "training_tokens_validation": lambda r: r.training.tokens_validation if r.training else None,
    "training_seconds": lambda r: r.training.seconds if r.training else None,
    "training_peak_bytes": lambda r: r.training.peak_bytes if r.training else None,
    "judge": _judge(lambda v: v.judge),
    "judge_labels": _judge(lambda v: "; ".join(f"{label} {n}" for label, n in sorted(v.counts.items()))),
    "judge_ungraded": _judge(lambda v: v.ungraded),
    **_estimates("given_attempted", lambda v: v.given_attempted),
    **_estimates("f_score", lambda v: v.f_score),
    **_estimates("judge_agreement", lambda v: v.agreement),
    **_estimates("judge_kappa", lambda v: v.kappa),
    "judge_requests": _judge(lambda v: v.usage.requests),
    "judge_tokens": _judge(lambda v: v.usage.tokens_flat),
    "judge_tokens_unique": _judge(lambda v: v.usage.tokens_unique),
    "judge_tokens_generated": _judge(lambda v: v.usage.tokens_generated),
    "judge_seconds": _judge(lambda v: v.usage.seconds),
    "read_from_text": lambda r: r.extraction.read,
    "unparsed": lambda r: r.extraction.unparsed,
    "abstained": lambda r: r.extraction.abstained,
    "cut": lambda r: r.extraction.cut,
    "readings_differ": lambda r: r.extraction.differ,
    "tied_votes": lambda r: r.extraction.tied,
    "thinking_tokens": lambda r: r.extraction.thinking_tokens,
    "dropped": lambda r: r.dropped,
    "kept_out": lambda r: r.kept_out,
    "skipped_rows": lambda r: r.skipped_rows,
    "other_versions": lambda r: r.versions,
    "incomplete": lambda r: "; ".join(r.incomplete),
}
"""Name -> what a row has by it, in full precision; fractions, not per cent; None where it has none."""


def records(board: Board) -> list[dict[str, object]]:
    """One mapping a row, in the order of the board: FIELDS, the metric's name, a count for every flag met."""
    flags = list(dict.fromkeys(name for row in board.rows for name in sorted(row.flags)))
    return [
        {
            **{name: get(row) for name, get in FIELDS.items()},
            "metric": board.metric,
            **{f"flag_{name}": row.flags.get(name, 0) for name in flags},
        }
        for row in board.rows
    ]


def to_csv(board: Board) -> str:
    """A line a row; empty where a row has no such number."""
    found = records(board)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]) if found else [*FIELDS, "metric"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: visible(v) if isinstance(v, str) else v for k, v in line.items()} for line in found)
    return out.getvalue()


def to_json(board: Board) -> str:
    """One object: the title, the metric, the baseline, the rows, and the sentences below the table."""
    whole: Mapping[str, object] = {
        "title": board.title,
        "metric": board.metric,
        "compare_to": board.compare_to,
        "rows": records(board),
        "notes": footer(board),
    }
    return visible_json(json.dumps(whole, indent=1, ensure_ascii=False)) + "\n"
