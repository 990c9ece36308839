"""What stands below a leaderboard: how its numbers were made, and whatever must not pass in silence."""

from __future__ import annotations

from collections.abc import Sequence

from icl.leaderboard.board import Board
from icl.leaderboard.break_even import break_evens, sentences
from icl.leaderboard.columns import percent
from icl.leaderboard.extraction import Extraction
from icl.leaderboard.names import MAJORITY, Names, base_name
from icl.leaderboard.rows import Comparison, Row, place
from icl.leaderboard.statistics import SAMPLED
from icl.leaderboard.training import told
from icl.leaderboard.versions import sentences as of_other_versions
from icl.leaderboard.views import RESULTS, VIEWS, interval_text

NAMED = 6
"""Rows that one line names; of more it says where they stand."""
FEW_SEEDS = {
    1: "One seed: the intervals say nothing about other seeds.",
    2: "Two seeds hardly tell how much seeds differ: the intervals allow for it, a third would halve them.",
}


def footer(board: Board) -> list[str]:
    """Sentences: how the numbers were made, then everything that must not pass in silence."""
    names = board.names
    lines = [f"{board.metric} in %: mean over seeds; 95 % intervals for new seeds and new queries."]
    if board.view != RESULTS:
        lines += [*VIEWS[board.view].notes, *_oracles(board)]
    elif any(row.usage.tokens_flat for row in board.rows):
        lines.append(
            "tokens: as a plain engine would count them → forwarded, shared prefixes once. s: seconds."
        )
    compared = [row.comparison for row in board.rows if row.comparison]
    if compared and board.view == RESULTS:
        drawn = {SAMPLED: f"{SAMPLED} ({board.resamples:,} resamples)"}
        tests = " / ".join(drawn.get(test, test) for test in dict.fromkeys(one.test for one in compared))
        lines.append(
            f"Baseline {board.compare_to}: paired by (seed, query); {tests}, two-sided, Holm over "
            f"{_rows(compared[0].family)}. * p<0.05 ** p<0.01 *** p<0.001"
        )
        if any(one.mark.startswith("(") for one in compared):
            lines.append(
                "(*) holds for new queries with these seeds; all rows allowed for, nothing is shown for "
                "new seeds."
            )
    if board.compare_to is not None and board.view == RESULTS:
        lines += pairing(board, names)
        strange = [_name(r, board, names) for r in board.rows if r.nothing_shared]
        if strange:
            lines.append(
                "No seed and query in common with the baseline (of another model: no prompt), not compared: "
                f"{_few(strange, 'baseline')}."
            )
        open_ = [r for r in board.rows if not r.comparison and not r.is_baseline and r.value]
        alone = sum(not r.nothing_shared for r in open_)
        if alone:
            lines.append(f"{_rows(alone)} without a baseline of the same setting: not compared.")
    lines += _leading(board, names)
    if any(row.is_reference for row in board.rows):
        lines.append("† reference row.")
    if board.view == RESULTS:
        lines += _training(board.rows, names)
        lines += _judging(board.rows)
    return [*lines, *caveats(board, names)]


def _judging(rows: Sequence[Row]) -> list[str]:
    """Who judged, and what its columns are."""
    told = [row.verdicts for row in rows if row.verdicts is not None]
    if not told:
        return []
    named = ", ".join(dict.fromkeys(one.judge for one in told))
    grades = any(one.attempts is not None for one in told)
    of_grades = "; CO/IN/NA: correct, incorrect, not attempted; CGA = CO/(CO+IN), F of CGA and CO"
    lost = sum(one.ungraded for one in told)
    return [
        f"Judge: {named}{of_grades if grades else ''}. agree, kappa: with the task's own metric, right or "
        "wrong, seeds together. judge tok: its own cost, in no other column.",
        *([f"Answers that could not be graded: {lost}; they count neither way."] if lost else []),
    ]


def caveats(board: Board, names: Names) -> list[str]:
    """What must not pass in silence, however the rows are arranged: other versions, few seeds, precision,
    flags, what was dropped, what is incomplete."""
    lines = of_other_versions(board.rows, lambda row: f"{row.task} {names.of(row.cell)}")
    lines += board.notes
    fewest = min((row.seeds for row in board.rows if row.value and not row.is_reference), default=0)
    if fewest in FEW_SEEDS:
        lines.append(FEW_SEEDS[fewest])
    if board.precision:
        lines.append(f"Precision: {board.precision}.")
    return [*lines, *_losses(board.rows)]


def _name(row: Row, board: Board, names: Names) -> str:
    """What tells it from the others of its task and section."""
    return names.of(row.cell, ("task", *board.sections))


def _leading(board: Board, names: Names) -> list[str]:
    """A line a section: the best row and those that cannot be told apart from it."""
    lines = []
    for section in dict.fromkeys((board.section(row), row.task) for row in board.rows):
        rows = [row for row in board.rows if (board.section(row), row.task) == section]
        standing = next((row.standing for row in rows if row.standing), None)
        if standing is None:
            continue
        top = next((row for row in rows if row.cell.row == standing.best.row), None)
        best = _name(top, board, names) if top else standing.best.setting
        if standing.of > 1:
            others = [_name(row, board, names) for row in rows if row.leads and row is not top]
            where = ", ".join(dict.fromkeys((*section[0], section[1])))
            kind = "for new queries with this seed" if standing.one_seed else "for new seeds and queries"
            lines.append(
                f"Best{f' ({where})' if _sections(board) > 1 else ''}: {best}. Not distinguishable from it: "
                f"{_few(others, 'rank_group') or 'no other row'} (paired p {kind}, Bonferroni over "
                f"{_rows(standing.of - 1)})."
            )
        apart = [_name(row, board, names) for row in rows if row.value is not None and row.standing is None]
        if apart:
            lines.append(f"No query in common with {best}, so in no rank group: {_few(apart, 'rank_group')}.")
    return lines


def _oracles(board: Board) -> list[str]:
    """The view of headroom: a line a section."""
    lines = []
    for section in dict.fromkeys((board.section(row), row.task) for row in board.rows):
        rows = [r for r in board.rows if (board.section(r), r.task) == section and r.analysis and r.value]
        room = next((row.analysis.headroom for row in rows if row.analysis), None)
        if board.view != "headroom" or room is None or room.of_rows is None:
            continue
        values = [row.value.value for row in rows if row.value and base_name(row.selector) != MAJORITY]
        where = ", ".join(dict.fromkeys((*section[0], section[1])))
        lines.append(
            f"Oracle over {_rows(room.rows)} ({where}): {percent(room.of_rows.value)} "
            f"{interval_text(room.of_rows)}; best row {percent(max(values))}, worst {percent(min(values))}."
        )
    return lines


def _sections(board: Board) -> int:
    return len({(board.section(row), row.task) for row in board.rows})


def _few(names: Sequence[str], field: str) -> str:
    """The first of them; the others are found by a field of the CSV."""
    more = f" and {len(names) - NAMED} more ({field} in the CSV)" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _training(rows: Sequence[Row], names: Names) -> list[str]:
    """What training cost and what tuners wrote down, once a tuning and task; when it is paid for."""
    tuned = {
        (place(row, rows), names.label("tuning", row.tuning)): row.training
        for row in rows
        if row.training is not None
    }
    if not tuned:
        return []
    lines = [
        "trained: parameters; train tok, train s: of one seed, search over learning rates and validation "
        "included; s: without them."
    ]
    spent = sentences(break_evens(rows), lambda row: names.of(row.cell, ("model", "task")))
    return [*lines, *told(tuned), *spent]


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def pairing(board: Board, names: Names) -> list[str]:
    """Rows compared on fewer pairs than there are, and references compared across settings."""
    lines, rows = [], board.rows
    for row in rows:
        comparison = row.comparison
        if comparison and comparison.unmatched:
            lines.append(
                f"{_with_model(row, rows)}{row.setting}: {comparison.matched} pairs matched with the "
                f"baseline, {comparison.unmatched} without a partner left out{_of_other_prompts(comparison)}."
            )
    across: dict[str, list[str]] = {}
    for row in rows:
        if row.comparison and row.comparison.nearest:
            across.setdefault(row.comparison.baseline, []).append(
                _with_model(row, rows) + names.of(row.cell, ("model", "task"))
            )
    for baseline, compared in across.items():
        lines.append(f"{_few(list(dict.fromkeys(compared)), 'baseline')} compared with: {baseline}.")
    return lines


def _with_model(row: Row, rows: Sequence[Row]) -> str:
    """In front of a row's words, where there are several models."""
    return f"{row.model}: " if any(other.model != row.model for other in rows) else ""


def _of_other_prompts(comparison: Comparison) -> str:
    if not comparison.other_prompts:
        return ""
    return f" ({comparison.other_prompts} of them because the models were shown different demonstrations)"


def _losses(rows: Sequence[Row]) -> list[str]:
    lines = []
    found = sum((row.extraction for row in rows), start=Extraction())
    if found.read:
        said = f", abstained (says that it does not know) {found.abstained}" if found.abstained else ""
        lines.append(
            f"Answers read from text: {found.read}; unparsed {found.unparsed}{said}, cut by the token limit "
            f"{found.cut}, first, last and trigger reading differ {found.differ}, tied votes {found.tied}."
        )
    if found.thinking_tokens:
        lines.append(
            f"Tokens of thinking in the outputs that were read: {found.thinking_tokens}, in all token counts "
            "and within max_tokens."
        )
    flags: dict[str, int] = {}
    for row in rows:
        for name in sorted(row.flags):
            flags[name] = flags.get(name, 0) + row.flags[name]
    if flags:
        total = sum(row.predictions for row in rows)
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in flags.items())
        lines.append(f"Flagged of {total} predictions: {counts}.")
    dropped = sum(row.dropped for row in rows)
    if dropped:
        lines.append(f"Demonstrations dropped to fit the context window: {dropped}.")
    kept_out: dict[str, int] = {}
    for row in rows:
        kept_out[row.task] = max(row.kept_out, kept_out.get(row.task, 0))
    for task in kept_out:
        skipped = max(row.skipped_rows for row in rows if row.task == task)
        if skipped:
            lines.append(f"Bad rows of {task} left out (skip_bad_rows): {skipped}; the manifest names them.")
    for task, count in kept_out.items():
        if count:
            lines.append(f"Duplicates of test items kept out of the pools of {task} (all seeds): {count}.")
    for row in rows:
        if row.incomplete:
            lines.append(
                f"! INCOMPLETE, not averaged: {_with_model(row, rows)}{row.task} {row.setting}: "
                f"{'; '.join(row.incomplete)}."
            )
    return lines
