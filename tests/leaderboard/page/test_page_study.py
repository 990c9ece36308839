"""The page of a study in a real browser: claims beside controls, figures, and texts that would do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icl.errors import DataError
from icl.pages import study_report

from .conftest import EVIL

WRITTEN = EVIL.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")


def series(name: str, x: list[Any], y: list[Any], **other: Any) -> dict[str, Any]:
    return {"name": name, "x": x, "y": y, "low": [], "high": [], "kind": "line", "control": False, **other}


def drawn(name: str, *lines: dict[str, Any], **other: Any) -> dict[str, Any]:
    base = {"name": name, "title": name, "x": "places", "y": "share", "cells": [], "series": list(lines)}
    return {**base, "log_x": False, "log_y": False, "highest": None, **other}


REPORT: dict[str, Any] = {
    "kind": "study",
    "name": "planted",
    "study": "coins",
    "preset": "quick",
    "parameters": {"throws": 60, "task": EVIL},
    "seed": 3,
    "model": {"name": EVIL},
    "tasks": [EVIL],
    "complete": True,
    "claims": [
        {"said": f"first {EVIL}", "measured": "71 points", "control": "2 points", "holds": True},
        {"said": "second", "measured": "1 point", "control": "1 point", "holds": False},
        {"said": "third", "measured": "few", "control": "none: nothing to hold it against", "holds": None},
    ],
    "tables": [
        {"name": f"shares {EVIL}", "columns": ["coin", "share"], "rows": [[EVIL, 0.123456], ["b", None]]}
    ],
    "figures": [
        drawn(
            "lines",
            series(EVIL, [0, 1, 2], [1.0, None, 10.0], low=[0.5, None, 9], high=[2, None, 11]),
            series("chance", [0, 1, 2], [1, 1, 1], control=True),
            log_x=True,
        ),
        drawn("far", series("f", [0, 1, 2], [1.0, 900.0, 1.0]), highest=2.0),
        drawn("points", series("heads", ["b", EVIL], [0.1, 0.4], kind="points")),
        drawn(
            "bars",
            series("top", ["a", "b"], [1, 2], kind="bars"),
            series("random", ["a", "b"], [1, 1], kind="bars", control=True),
        ),
        drawn("map", cells=[[0.1, 0.9, None], [0.2, 0.3, 0.4]]),
    ],
    "notes": [f"cut {EVIL}"],
    "steps": [{"step": "biased", "unit": "throws", "units": 60, "seconds": 1.5, "resumed": False}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text("name: planted", encoding="utf-8")
    (tmp_path / "manifest.json").write_text(json.dumps({"versions": {"torch": EVIL}}), encoding="utf-8")
    (tmp_path / "report.json").write_text(json.dumps(REPORT), encoding="utf-8")
    return tmp_path


@pytest.fixture
def page(watch, folder: Path) -> Any:
    path = folder / "page.html"
    path.write_text(study_report(folder), encoding="utf-8")
    return watch(path.as_uri()).tab


def test_each_claim_stands_beside_its_control(page) -> None:
    rows = [row.locator("td").all_inner_texts() for row in page.locator("tr.claim").all()]
    assert [row[1:] for row in rows] == [
        ["71 points", "2 points", "yes"],
        ["1 point", "1 point", "no"],
        ["few", "none: nothing to hold it against", "not settled"],
    ]
    assert rows[0][0] == f"first {WRITTEN}"


def test_every_kind_of_figure_is_drawn_from_its_data(page) -> None:
    page.wait_for_function("() => document.querySelectorAll('figure .plot svg').length >= 4")
    count = {
        name: page.locator(f"figure[aria-label={name}] {mark}").count()
        for name, mark in (
            ("lines", "g[aria-label=line] path"),
            ("points", "g[aria-label=dot] circle"),
            ("bars", "g[aria-label=bar] rect"),
            ("map", "g[aria-label=cell] rect"),
        )
    }
    assert count == {"lines": 2, "points": 2, "bars": 4, "map": 5}
    ticks = page.locator("figure[aria-label=points] g[aria-label='x-axis tick label'] text")
    assert [text[:3] for text in ticks.all_text_contents()] == ["b", "<sc"]
    dashed = page.locator("figure[aria-label=lines] g[aria-label=line][stroke-dasharray]")
    assert dashed.count() == 1
    caption = page.locator("figure[aria-label=lines] figcaption").first.inner_text()
    assert "2 points at or below 0 have no place on a logarithmic axis" in caption


def test_what_is_above_the_highest_is_cut_off_and_said(page) -> None:
    page.wait_for_function("() => document.querySelectorAll('figure[aria-label=far] svg').length >= 1")
    far = page.locator("figure[aria-label=far]")
    assert "share, cut off at 2" in (far.locator("g[aria-label='y-axis label']").text_content() or "")
    assert far.locator("g[aria-label=line][clip-path]").count() == 1
    ticks = far.locator("g[aria-label='y-axis tick label'] text").all_text_contents()
    assert max(float(tick) for tick in ticks) == 2.0
    assert page.locator("figure[aria-label=lines] g[aria-label=line][clip-path]").count() == 0


def test_the_first_row_of_a_map_is_below_the_second(page) -> None:
    page.wait_for_function("() => document.querySelectorAll('figure[aria-label=map] svg').length >= 1")
    cells = page.locator("figure[aria-label=map] g[aria-label=cell] rect")
    assert cells.nth(0).bounding_box()["y"] > cells.nth(2).bounding_box()["y"]


def test_texts_of_data_are_shown_and_do_nothing(page) -> None:
    assert page.evaluate("document.title") == "planted"
    assert page.locator("main img").count() == 0
    assert WRITTEN in page.locator("section[aria-label=Notes]").inner_text()
    cells = page.locator("main section table.plain").first.locator("td").all_inner_texts()
    assert cells == [WRITTEN, "0.1235", "b", "–"]


def test_what_is_not_finished_says_so(watch, folder: Path) -> None:
    (folder / "report.json").write_text(json.dumps({**REPORT, "complete": False}), encoding="utf-8")
    path = folder / "page.html"
    path.write_text(study_report(folder), encoding="utf-8")
    assert "Not finished" in watch(path.as_uri()).tab.locator("p.warn").inner_text()


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no step of this study"), ("{", "damaged"), ("{}", "has no 'name'")]
)
def test_a_folder_without_a_whole_report_is_named(folder: Path, content: str | None, said: str) -> None:
    (folder / "report.json").unlink()
    if content is not None:
        (folder / "report.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        study_report(folder)
