"""What the page of a study holds: its report, whose figures the page draws, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icl.errors import DataError
from icl.leaderboard.page.content import Content, script_class
from icl.printable import STEERING

PARTS = ("name", "study", "claims", "figures", "tables", "notes", "steps", "complete")
"""Of a report, which the page goes by."""


def study_content(
    report: Mapping[str, Any], manifest: Mapping[str, Any], title: str | None = None
) -> Content:
    """report: as in the folder's report.json. DataError where it is none."""
    lacking = [part for part in PARTS if part not in report]
    if lacking:
        raise DataError(f"the report of a study has no {lacking[0]!r}: icl study writes it anew")
    return Content(
        {
            "kind": "study",
            "title": title or report["name"],
            "steering": script_class(STEERING),
            "runs": [{"name": report["name"]}],
            "report": dict(report),
            "manifest": dict(manifest),
        }
    )
