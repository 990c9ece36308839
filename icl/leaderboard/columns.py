"""What a leaderboard can show of a row: one column a line, written for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icl.experiments.records import UNTUNED
from icl.leaderboard.names import Names, is_placeholder
from icl.leaderboard.rows import Row
from icl.leaderboard.training import Training
from icl.leaderboard.verdicts import ATTEMPTS, Verdicts
from icl.metrics.shared.agreement import Estimate

NOT_YET = "–"
LONGEST_HEADER = 24
"""Characters of a baseline's name over a column of numbers."""


@dataclass(frozen=True, slots=True)
class Column:
    """`rank`: 0 always stays; where the terminal is too narrow, the highest goes first."""

    key: str
    header: str
    show: Callable[[Row], str]
    rank: int = 0
    is_number: bool = True


def percent(number: float, signed: bool = False) -> str:
    """0.7123 -> 71.2; -0.00001 -> 0.0, never -0.0."""
    shown = round(100 * number, 1) + 0.0
    return f"{shown:+.1f}" if signed else f"{shown:.1f}"


def short_count(number: float) -> str:
    """1234567 -> 1.2M: three figures at most."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.1f}{letter}" if scaled < 100 else f"{scaled:.0f}{letter}"
    return f"{number:.0f}"


def short_seconds(seconds: float) -> str:
    """Seconds with one decimal below ten."""
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def p_text(p: float) -> str:
    """A p-value with three decimals and no leading zero, or the bound."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0") if p < 1 else "1"


def _value(row: Row) -> str:
    return percent(row.value.value) if row.value else NOT_YET


def _interval(row: Row) -> str:
    return f"[{percent(row.value.low)}, {percent(row.value.high)}]" if row.value else "incomplete"


def _difference(row: Row) -> str:
    if row.is_baseline:
        return "(base)"
    return percent(row.comparison.difference.value, signed=True) if row.comparison else NOT_YET


def _difference_interval(row: Row) -> str:
    if row.comparison is None:
        return ""
    gap = row.comparison.difference
    return f"[{percent(gap.low)}, {percent(gap.high)}]"


def _p(row: Row) -> str:
    if row.comparison is None:
        return ""
    return f"{p_text(row.comparison.p_holm)} {row.comparison.mark}".rstrip()


def _tokens(row: Row) -> str:
    if not row.usage.tokens_flat:
        return NOT_YET
    return f"{short_count(row.usage.tokens_flat)}→{short_count(row.usage.tokens_unique)}"


def _sharing(row: Row) -> str:
    return f"{row.sharing:.1f}x" if row.sharing else NOT_YET


def constant_size(rows: Sequence[Row]) -> str:
    """Seeds and queries where all rows have the same, else ""."""
    sizes = {(row.seeds, row.queries) for row in rows}
    if len(sizes) > 1 or any(row.incomplete for row in rows):
        return ""
    seeds, queries = next(iter(sizes))
    return f"{seeds} {'seed' if seeds == 1 else 'seeds'} x {queries} queries"


def _size(row: Row) -> str:
    return f"{row.seeds}x{row.queries}"


def _selection(row: Row) -> str:
    flat, unique = row.selection.tokens_flat, row.selection.tokens_unique
    return f"{short_count(flat)}→{short_count(unique)}" if row.selection.requests else NOT_YET


def _selection_requests(row: Row) -> str:
    return short_count(row.selection.requests) if row.selection.requests else NOT_YET


def _selection_seconds(row: Row) -> str:
    return short_seconds(row.selection_seconds)


def _per_query(row: Row) -> str:
    return short_count(row.tokens_per_query) if row.tokens_per_query else NOT_YET


def _extraction(row: Row) -> str:
    found = row.extraction
    return f"{found.unparsed}/{found.cut}/{found.differ}" if found.read else NOT_YET


def _abstained(row: Row) -> str:
    return str(row.extraction.abstained) if row.extraction.read else NOT_YET


def _thinking(row: Row) -> str:
    return short_count(row.extraction.thinking_tokens) if row.extraction.read else NOT_YET


def _flag(name: str) -> Callable[[Row], str]:
    return lambda row: str(row.flags.get(name, 0))


SETTINGS: tuple[tuple[str, str], ...] = (
    ("model", "model"),
    ("task", "task"),
    ("selector", "selector"),
    ("shots", "shots"),
    ("orderer", "orderer"),
    ("method", "method"),
    ("tuning", "tuning"),
)


def setting_columns(rows: Sequence[Row], names: Names | None = None) -> tuple[list[Column], dict[str, str]]:
    """Columns in which rows differ, and those (header -> value) in which they do not.

    The selector always stays. Placeholders of majority rows ("-") do not make a column vary. names: labels
    are shortened to these.
    """
    columns, constant = [], {}
    for key, header in SETTINGS:
        met = dict.fromkeys(str(getattr(row, key)) for row in rows if not is_placeholder(row.cell, key))
        if len(met) <= 1 and key != "selector":
            value = next(iter(met), "")
            constant[header] = "" if (key, value) == ("tuning", UNTUNED) else value
            continue
        show = _setting(key, names)
        columns.append(Column(key, header, show, is_number=key == "shots"))
    return columns, constant


def _setting(key: str, names: Names | None) -> Callable[[Row], str]:
    def label(row: Row) -> str:
        own = str(getattr(row, key))
        return own if names is None else names.label(key, own)

    if key == "selector":
        return lambda row: (
            label(row)
            + (" †" if row.is_reference else "")
            + (" !" if row.incomplete else "")
            + (" ‡" if row.versions else "")
        )
    if key == "orderer":
        return lambda row: "-" if row.shots == 0 else label(row)
    return label


def _versus(baseline: str) -> str:
    """The footer says it in full."""
    return f"vs {baseline}" if len(baseline) <= LONGEST_HEADER else "vs baseline"


def _trained(of: Callable[[Training], str]) -> Callable[[Row], str]:
    return lambda row: of(row.training) if row.training is not None else NOT_YET


def _training_columns(rows: Sequence[Row]) -> list[Column]:
    """Means over seeds of what training cost; none where nothing was trained."""
    if not any(row.training for row in rows):
        return []
    return [
        Column("trainable", "trained", _trained(lambda t: short_count(t.trainable)), rank=5),
        Column(
            "training_tokens",
            "train tok",
            _trained(lambda t: short_count(t.tokens + t.tokens_validation)),
            rank=3,
        ),
        Column("training_seconds", "train s", _trained(lambda t: short_seconds(t.seconds)), rank=2),
        Column("training_peak", "peak GiB", _trained(lambda t: f"{t.peak_bytes / 2**30:.1f}"), rank=7),
    ]


def _judged(of: Callable[[Verdicts], str | None]) -> Callable[[Row], str]:
    return lambda row: (of(row.verdicts) or NOT_YET) if row.verdicts is not None else NOT_YET


def _share(found: Estimate | None) -> str | None:
    return None if found is None else percent(found.value)


def _judge_columns(rows: Sequence[Row]) -> list[Column]:
    """What a judge said, how far that is what the metric says, and its cost; none where nobody judged."""
    told = [row.verdicts for row in rows if row.verdicts is not None]
    if not told:
        return []
    met = {label for one in told for label in one.counts}
    columns = []
    if met <= set(ATTEMPTS):
        columns = [
            Column("judge_labels", "CO/IN/NA", _judged(lambda v: _counts(v, ATTEMPTS)), rank=1),
            Column("given_attempted", "CGA", _judged(lambda v: _share(v.given_attempted)), rank=1),
            Column("f_score", "F", _judged(lambda v: _share(v.f_score)), rank=1),
        ]
    else:
        names = sorted(met)
        columns = [Column("judge_labels", "/".join(names), _judged(lambda v: _counts(v, names)), rank=1)]
    columns += [
        Column("judge_agreement", "agree", _judged(lambda v: _share(v.agreement)), rank=1),
        Column(
            "judge_kappa",
            "kappa",
            _judged(lambda v: None if v.kappa is None else f"{v.kappa.value:.2f}"),
            rank=1,
        ),
        Column("judge_tokens", "judge tok", _judged(_judge_tokens), rank=4),
    ]
    if any(one.ungraded for one in told):
        columns.append(Column("judge_ungraded", "ungraded", _judged(lambda v: str(v.ungraded)), rank=2))
    return columns


def _counts(verdicts: Verdicts, labels: Sequence[str]) -> str:
    return "/".join(str(verdicts.counts.get(label, 0)) for label in labels)


def _judge_tokens(verdicts: Verdicts) -> str:
    return f"{short_count(verdicts.usage.tokens_flat)}→{short_count(verdicts.usage.tokens_unique)}"


def measured_columns(rows: Sequence[Row], metric: str, baseline: str | None) -> list[Column]:
    """Results and costs; a count that is zero in every row has no column."""
    columns = [
        Column("value", metric, _value),
        Column("interval", "95 % CI", _interval),
    ]
    if baseline is not None:
        columns += [
            Column("difference", _versus(baseline), _difference),
            Column("difference_interval", "95 % CI ", _difference_interval, rank=3),
            Column("p", "p (Holm)", _p),
        ]
    if len({_size(row) for row in rows}) > 1:
        columns.append(Column("n", "n", _size, rank=5))
    if any(row.usage.tokens_flat for row in rows):
        columns.append(Column("tokens", "tokens", _tokens, rank=4))
        columns.append(Column("sharing", "shared", _sharing, rank=6))
        columns.append(Column("tokens_per_query", "tok/query", _per_query, rank=6))
    if any(row.selection.requests for row in rows):
        columns.append(Column("selection_requests", "sel. req", _selection_requests, rank=7))
        columns.append(Column("selection", "sel. tok", _selection, rank=2))
        columns.append(Column("selection_seconds", "sel. s", _selection_seconds, rank=7))
    if any(row.seconds for row in rows):
        columns.append(Column("seconds", "s", lambda r: short_seconds(r.seconds), rank=2))
    columns += _training_columns(rows)
    columns += _judge_columns(rows)
    if any(row.extraction.read for row in rows):
        columns.append(Column("extraction", "unparsed/cut/differ", _extraction, rank=3))
    if any(row.extraction.abstained for row in rows):
        columns.append(Column("abstained", "abstained", _abstained, rank=3))
    if any(row.extraction.thinking_tokens for row in rows):
        columns.append(Column("thinking", "thinking", _thinking, rank=5))
    met = {column.key for column in columns}
    for name in dict.fromkeys(name for row in rows for name in sorted(row.flags) if name not in met):
        columns.append(Column(f"flag_{name}", name.replace("_", " "), _flag(name), rank=8))
    if any(row.dropped for row in rows):
        columns.append(Column("dropped", "dropped", lambda r: str(r.dropped), rank=8))
    return columns
