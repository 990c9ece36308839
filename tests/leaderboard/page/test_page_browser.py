"""The page in a real browser: what a reader does with it, and what it must never do."""

from __future__ import annotations

import shutil
from urllib.parse import quote

import pytest

from icl.api import Run
from icl.pages import report, report_within

from .conftest import EVIL, room_for_some

WRITTEN = EVIL.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")


@pytest.fixture
def run(run_folder):
    return Run(run_folder)


def test_the_board_sorts_by_any_column(watch, page_file):
    page = watch(page_file)
    unsorted = page.rows()
    page.tab.click("[data-column=value]")
    column = page.tab.locator("th[aria-sort=descending]")
    assert column.inner_text().startswith("accuracy")
    at = page.tab.locator("th").all_inner_texts().index(column.inner_text()) + 1
    shown = [float(x) for x in page.tab.locator(f"tr.row td:nth-child({at})").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    page.tab.keyboard.press("Enter")
    assert page.tab.locator("th[aria-sort=ascending]").count() == 1
    shown = [float(x) for x in page.tab.locator(f"tr.row td:nth-child({at})").all_inner_texts()]
    assert shown == sorted(shown)
    assert sorted(page.rows()) == sorted(unsorted)


def test_filters_narrow_rows_and_figures_and_stand_in_the_address(watch, page_file):
    page = watch(page_file)
    everything = len(page.rows())
    page.tab.fill("#filter", "knn direct")
    assert set(page.rows()) == {"knn"}
    page.tab.select_option("select[data-key=shots]", "4")
    assert len(page.rows()) == 1
    assert page.tab.locator("#count").inner_text() == f"1 of {everything} rows"
    again = watch(page.tab.url)
    assert again.rows() == ["knn"]
    assert again.tab.input_value("#filter") == "knn direct"
    again.tab.fill("#filter", "nothing like this")
    assert again.rows() == []


def test_columns_are_chosen(watch, page_file):
    page = watch(page_file)
    heads = page.tab.locator("table.board th").all_inner_texts()
    page.tab.click("details.chooser summary")
    page.tab.check("input[value=tokens_generated]")
    assert page.tab.locator("table.board th").all_inner_texts() == [*heads, "tokens generated"]
    page.tab.uncheck("input[value=interval]")
    assert "95 % CI" not in page.tab.locator("table.board th").all_inner_texts()[:5]
    again = watch(page.tab.url)
    assert "tokens generated" in again.tab.locator("table.board th").all_inner_texts()


def test_from_a_number_to_its_reason_in_two_clicks(watch, page_file, run):
    page = watch(page_file)
    page.tab.fill("#filter", "knn direct")
    page.tab.locator("tr.row").first.click()
    page.drawn()
    name = page.tab.locator("h1").inner_text()
    assert name.startswith("knn ")
    page.tab.locator("table.listing tr.row").nth(2).click()
    page.drawn()
    cell, query = page.tab.evaluate("location.hash").split("/")[2:]
    audit = run.show(query, cell)
    assert page.tab.locator("h1").inner_text() == query
    pieces = page.tab.locator("pre.prompt > span")
    assert pieces.count() == audit.cell.shots + 2
    assert page.tab.locator("pre.prompt").text_content() == audit.prompt.text.replace(EVIL, WRITTEN)
    ids = page.tab.locator("section[aria-label=Demonstrations] tbody td:nth-child(2)").all_inner_texts()
    assert ids == [e.id for e in audit.examples]
    ranks = page.tab.locator("section[aria-label=Demonstrations] tbody td:nth-child(4)").all_inner_texts()
    scores = [score for _, score in audit.prediction.demonstrations]
    assert ranks == [str(1 + sum(other > score for other in scores)) for score in scores]
    labels = page.tab.locator("table.labels tbody tr").all_inner_texts()
    assert len(labels) == 2
    assert sum("gold" in line for line in labels) == 1


def test_links_to_a_row_and_to_a_prediction(watch, page_file, parts):
    cell = next(c for c in parts.index["cells"] if "self_consistency" in c["id"] and c["n"])
    row = parts.index["rows"][cell["row"]]
    opened = watch(f"{page_file}#/row/{row['id']}")
    assert opened.tab.locator("h1").inner_text() == row["name"]
    query = parts.blocks["i0"][0]
    opened = watch(f"{page_file}#/prediction/{quote(cell['id'])}/{quote(query)}")
    assert opened.tab.locator("h1").inner_text() == query
    chains = opened.tab.locator("ol.chains > li")
    assert chains.count() == 4
    chains.first.locator("summary").click()
    marked = chains.first.locator("mark").inner_text()
    assert chains.first.locator("strong").inner_text() == marked
    opened.tab.go_back()
    gone = watch(f"{page_file}#/row/none-of-these")
    assert "No row none-of-these" in gone.tab.locator("main").inner_text()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("#/row", "The address names no row."),
        ("#/prediction", "The address names no prediction."),
        ("#/prediction/none/test-0", "No cell none in this page."),
        ("#/row/%E0%A4%A", "No row %E0%A4%A in this page."),
        ("#/?sort=none&text=[(*%00&columns=none", "0 of "),
    ],
)
def test_an_address_that_names_nothing_says_so(watch, page_file, place, said):
    assert said in watch(page_file + place).tab.locator("main").inner_text()


@pytest.mark.parametrize(
    ("settings", "page", "count"),
    [
        ("page=-5", "1 of 1", 24),
        ("page=0.7", "1 of 1", 24),
        ("page=99", "1 of 1", 24),
        ("only=none", "1 of 1", 0),
    ],
)
def test_odd_settings_of_a_listing_show_a_page_of_it(watch, page_file, parts, settings, page, count):
    row = next(r for r in parts.index["rows"] if r["name"].endswith("4-shot as_selected direct"))
    opened = watch(f"{page_file}#/row/{row['id']}?{settings}")
    assert page in opened.tab.locator(".pager").inner_text()
    assert opened.tab.locator("table.listing tr.row").count() == count


def test_everything_by_keyboard(watch, page_file):
    page = watch(page_file)
    page.tab.keyboard.press("/")
    page.tab.keyboard.type("knn")
    page.tab.keyboard.press("ArrowDown")
    page.tab.keyboard.press("j")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector("table.listing")
    page.tab.keyboard.press("ArrowDown")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector("pre.prompt, section[aria-label=Output]")
    first = page.tab.locator("h1").inner_text()
    page.tab.keyboard.press("ArrowRight")
    page.tab.wait_for_function(f"() => document.querySelector('h1').textContent !== {first!r}")
    page.tab.keyboard.press("ArrowLeft")
    page.tab.wait_for_function(f"() => document.querySelector('h1').textContent === {first!r}")
    page.tab.keyboard.press("?")
    assert page.tab.locator("dialog").is_visible()
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("dialog", state="detached")
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("table.listing")
    assert first in focused(page)
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("table.board")
    assert "knn" in focused(page)
    assert page.tab.input_value("#filter") == "knn"


def focused(page):
    """The text of what has the focus."""
    return page.tab.evaluate("document.activeElement.innerText")


def test_back_leads_to_the_row_that_was_opened_as_it_was_left(watch, page_file):
    page = watch(page_file)
    page.tab.click("[data-column=value]")
    page.tab.locator("tr.row").nth(3).click()
    page.drawn()
    page.tab.select_option("select[data-key=only]", "right")
    page.tab.wait_for_function("() => location.hash.includes('only=right')")
    query = page.tab.locator("table.listing tr.row").last.locator("a").inner_text()
    page.tab.locator("table.listing tr.row").last.click()
    page.tab.wait_for_selector("nav.trail li:nth-child(3)")
    page.tab.go_back()
    page.tab.wait_for_selector("table.listing tr.row")
    page.drawn()
    assert query in focused(page)
    assert page.tab.input_value("select[data-key=only]") == "right"
    page.tab.locator("table.listing tr.row").last.click()
    page.tab.wait_for_selector("nav.trail li:nth-child(3)")
    page.tab.locator("nav.trail a").nth(1).click()
    page.tab.wait_for_selector("table.listing tr.row")
    page.drawn()
    assert page.tab.input_value("select[data-key=only]") == "right"
    page.tab.locator("nav.trail a").first.click()
    page.tab.wait_for_selector("table.board")
    page.drawn()
    assert page.tab.locator("th[aria-sort=descending]").count() == 1


def test_a_script_and_escapes_in_a_prediction_are_shown_as_text(watch, page_file, parts):
    cell = next(c for c in parts.index["cells"] if "self_consistency" in c["id"] and c["n"])
    query = parts.blocks["i0"][0]
    page = watch(f"{page_file}#/prediction/{quote(cell['id'])}/{quote(query)}")
    assert WRITTEN in page.tab.locator("section[aria-label=Output] pre").inner_text()
    assert page.tab.title() != "taken"
    assert page.tab.locator("main img, main script").count() == 0
    assert page.tab.evaluate("document.querySelectorAll('script:not([type])').length") == 3


def test_the_policy_stops_scripts_styles_and_requests_of_somebody_else(browser, page_file):
    tab = browser.new_page()
    tab.goto(page_file)
    tab.wait_for_selector("body[data-ready]", state="attached")
    tab.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'taken'";
        document.body.append(script);
        const style = document.createElement("style");
        style.textContent = "body { opacity: 0.5 }";
        document.body.append(style);
        document.body.setAttribute("style", "opacity: 0.4");
    }""")
    assert tab.title() != "taken"
    assert tab.evaluate("getComputedStyle(document.body).opacity") == "1"
    assert tab.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    tab.close()


def test_predictions_are_filtered_and_a_confusion_opens_its_own(watch, page_file, parts):
    at = next(i for i, r in enumerate(parts.index["rows"]) if r["name"].endswith("4-shot as_selected direct"))
    page = watch(f"{page_file}#/row/{parts.index['rows'][at]['id']}")
    page.tab.select_option("select[data-key=only]", "wrong")
    page.tab.wait_for_function("() => location.hash.includes('only=wrong')")
    details = parts.blocks[f"r{at}"]
    wrong = sum(n for gold, answer, n in details["confusion"] if gold != answer)
    page.tab.wait_for_function(
        f"() => document.querySelectorAll('table.listing tr.row').length === {min(wrong, 50)}"
    )
    page.tab.select_option("select[data-key=only]", "")
    page.tab.locator("figure[aria-label^=Confusions] a").first.click()
    page.tab.wait_for_function("() => location.hash.includes('gold=')")
    page.drawn()
    chips = page.tab.locator("button.chip").all_inner_texts()
    assert len(chips) == 2
    shown = {tuple(c.removesuffix(" ×").split(" ", 1)) for c in chips}
    pair = dict(shown)
    expected = next(n for g, a, n in details["confusion"] if (g, a) == (pair["gold"], pair["answer"]))
    assert page.tab.locator("table.listing tr.row").count() == expected


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_to_the_side(watch, page_file, parts, scheme):
    cell = next(c for c in parts.index["cells"] if "knn_4" in c["id"] and c["n"])
    row = parts.index["rows"][cell["row"]]
    for place in ("", f"#/row/{row['id']}", f"#/prediction/{cell['id']}/{parts.blocks['i0'][0]}"):
        page = watch(page_file + place, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        page.tab.wait_for_timeout(300)
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360, place
        background = page.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_what_a_page_leaves_out_is_said_where_it_is_missed(watch, run_folder, page_text, tmp_path):
    run = Run(run_folder)
    text, lacking = report_within([run], room_for_some(run, page_text))
    file = tmp_path / "r.html"
    file.write_text(text, encoding="utf-8")
    page = watch(file.as_uri())
    assert lacking in page.tab.locator("main").inner_text()
    page.tab.fill("#filter", "knn direct")
    page.tab.locator("tr.row").first.click()
    page.tab.wait_for_selector("table.listing tr.row")
    assert lacking in page.tab.locator("section[aria-label=Predictions]").inner_text()
    result = next(r for r in run.results if "knn" in r.cell.id)
    missing = watch(f"{file.as_uri()}#/prediction/{quote(result.cell.id)}/{result.predictions[-1].query_id}")
    said = missing.tab.locator("main").inner_text()
    assert f"No query {result.predictions[-1].query_id}" in said
    assert lacking in said


def test_a_print_shows_the_table_without_controls(watch, page_file):
    page = watch(page_file, color_scheme="dark", viewport={"width": 718, "height": 1000})
    page.tab.emulate_media(media="print", color_scheme="light")
    assert not page.tab.locator("#filter").is_visible()
    assert page.tab.locator("table.board").is_visible()
    # A4 is 718 wide; a browser shrinks a page that is a little wider
    assert page.tab.evaluate("document.querySelector('table.board').getBoundingClientRect().right") <= 800


def test_a_report_of_nothing_complete_says_so(watch, run_folder, tmp_path):
    copy = tmp_path / "begun"
    shutil.copytree(run_folder, copy)
    for path in (copy / "cells").iterdir():
        path.unlink()
    file = tmp_path / "r.html"
    file.write_text(report([Run(copy)]), encoding="utf-8")
    page = watch(file.as_uri())
    assert "0 predictions so far" in page.tab.locator("main").inner_text()
    page.tab.locator("tr.row").first.click()
    page.drawn()
    assert "Not complete" in page.tab.locator("main").inner_text()
