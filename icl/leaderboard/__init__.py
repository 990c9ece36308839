"""From run folders to tables: intervals, paired tests, costs, pages and plots."""

from icl.leaderboard.chain_curves import ChainCurves, chain_curves
from icl.leaderboard.intervals import Interval
from icl.leaderboard.overall_table import Overall, overall
from icl.leaderboard.rows import Comparison, Row
from icl.leaderboard.table import Leaderboard, leaderboard

__all__ = [
    "ChainCurves",
    "Comparison",
    "Interval",
    "Leaderboard",
    "Overall",
    "Row",
    "chain_curves",
    "leaderboard",
    "overall",
]
