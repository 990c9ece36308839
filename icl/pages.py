"""Runs as a page: the whole of it as one file, or its content for a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from icl.api import Run, compare_runs
from icl.experiments.study.folder import StudyFolder
from icl.leaderboard.page.content import Content, Source, content
from icl.leaderboard.page.document import page
from icl.leaderboard.page.fitting import fitted
from icl.leaderboard.page.study import study_content
from icl.outside import allow_code as allowing_code

PAGE_BYTES = 50_000_000
"""Of a page, unless told otherwise: what a browser opens in seconds."""


def page_of_runs(
    runs: Sequence[Run], *, title: str | None = None, note: Callable[[str], None] | None = None
) -> Content:
    """What the page over these runs shows, their cells as they stand at this moment. `note` is told how far
    the reading of predictions is. Raises as `compare_runs`."""
    return _pages(runs, title, note)(None)


def _pages(
    runs: Sequence[Run], title: str | None, note: Callable[[str], None] | None
) -> Callable[[int | None], Content]:
    """The page's content with the predictions of so many queries of each task (None: of all)."""
    sources = [Source(run.folder, run.results) for run in runs]
    board = compare_runs(runs, results=[result for source in sources for result in source.results])
    tasks = {name: task for run in runs for name, task in run.tasks().items()}
    named = title or ", ".join(run.folder.name for run in runs)

    def made(queries: int | None) -> Content:
        with allowing_code(any(run.allow_code for run in runs)):
            told = note or (lambda _: None)
            return content(board, sources, title=named, tasks=tasks, note=told, queries=queries)

    return made


def report(
    runs: Sequence[Run],
    *,
    title: str | None = None,
    most: int | None = PAGE_BYTES,
    note: Callable[[str], None] | None = None,
) -> str:
    """The page over these runs as one HTML file, which opens from disk and asks no network. See
    `page_of_runs`. Where it would have more than `most` bytes (None: any number), it has the predictions of
    the first queries of each task only, and says so."""
    return report_within(runs, most, title=title, note=note)[0]


def report_within(
    runs: Sequence[Run],
    most: int | None,
    *,
    title: str | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[str, str]:
    """`report`, and in words what was left out of it ("": nothing)."""
    return fitted(_pages(runs, title, note), most)


def study_report(folder: Path, *, title: str | None = None) -> str:
    """The page of a study's folder, as far as the study has come, as one HTML file. DataError where no step
    is finished."""
    found = StudyFolder(folder)
    return page(study_content(found.report, found.manifest, title))
