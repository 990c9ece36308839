"""The page over several runs: each row once, names and colours that tell rows apart, an order over tasks."""

from __future__ import annotations

import json

import pytest

from icl.api import Run, compare_runs, overall_of_runs

from .conftest import Parts


@pytest.fixture(scope="session")
def both(both_text):
    return Parts.of(both_text)


@pytest.fixture(scope="session")
def runs(run_folder, other_folder):
    return [Run(run_folder), Run(other_folder)]


def test_rows_are_those_of_one_leaderboard_and_shared_cells_stand_once(both, runs):
    board = compare_runs(runs)
    rows = both.index["rows"]
    assert [row["fields"].get("value") for row in rows] == [row.value.value for row in board.rows]
    assert [run["name"] for run in both.index["runs"]] == [run.folder.name for run in runs]
    cells = [cell["id"] for cell in both.index["cells"]]
    assert len(set(cells)) == len(cells)
    everything = {result.cell.id for run in runs for result in run.results}
    assert set(cells) == everything
    assert len(cells) < sum(
        len(run.results) for run in runs
    )  # random direct and zero-shot direct are in both
    assert {cell["run"] for cell in both.index["cells"]} == {0, 1}


def test_each_cell_is_read_from_its_own_run(both, runs):
    for at, cell in enumerate(both.index["cells"]):
        run = runs[cell["run"]]
        result = next(r for r in run.results if r.cell.id == cell["id"])
        place = both.index["examples"].index(cell["examples"])
        ids = both.blocks[f"i{place}"]
        columns = both.blocks[f"p{at}"]
        assert [ids[i] for i in columns["query"]] == [p.query_id for p in result.predictions]


def test_the_overall_order_is_that_of_the_leaderboard(both, runs):
    found = overall_of_runs(runs)
    held = both.index["overall"]
    assert held["tasks"] == ["mine", "theirs"]
    assert [row["strength"] for row in held["rows"]] == [one.strength.value for one in found.settings]
    assert [row["leads"] for row in held["rows"]] == [int(one.leads) for one in found.settings]


def test_one_task_has_no_overall_order(parts):
    assert parts.index["overall"] is None


def test_rows_without_demonstrations_are_named_by_their_method_where_it_differs(both, parts):
    bare = [r for r in both.index["rows"] if r["fields"]["selector"] == "zero_shot"]
    names = [r["name"] for r in bare if r["fields"]["task"] == "theirs"]
    assert sorted(names) == ["zero_shot direct", "zero_shot direct(normalise=mean)"]
    majority = {r["name"] for r in both.index["rows"] if r["majority"]}
    assert majority == {"majority_class"}
    assert len({(r["fields"]["task"], r["name"]) for r in both.index["rows"]}) == len(both.index["rows"])


def drawn(page, figure):
    """Texts of the marks' own labels and the fill of each dot in a figure."""
    svg = page.tab.locator(f"figure[aria-label^='{figure}'] svg[class^=plot]").last
    ticks = svg.locator("g[aria-label='y-axis tick label'] text").all_text_contents()
    return ticks, svg


def test_figures_name_each_row_apart_and_colour_it_alike(watch, both_file):
    page = watch(both_file)
    page.tab.wait_for_selector("figure[aria-label^=Strength] svg")
    page.tab.select_option("select[data-key=task]", "theirs")
    page.tab.wait_for_function("() => document.querySelectorAll('section.figures h3').length === 2")
    ticks, _ = drawn(page, "accuracy in % with")
    assert len(set(ticks)) == len(ticks) == len(page.rows())
    assert "zero_shot direct(normalise=mean)" in ticks
    colours = []
    for figure in ("accuracy in % with", "accuracy in % against cost"):
        svg = page.tab.locator(f"figure[aria-label^='{figure}'] svg").last
        dots = svg.locator("g[aria-label=dot] a").evaluate_all(
            "all => Object.fromEntries(all.map(a => [a.getAttribute('href') || a.href.baseVal, "
            "a.firstChild.getAttribute('fill')]))"
        )
        colours.append(dots)
    shared = set(colours[0]) & set(colours[1])
    assert len(shared) == len(colours[1]) >= 4
    assert {key: colours[0][key] for key in shared} == {key: colours[1][key] for key in shared}


def test_figures_of_rank_groups_variance_and_power_say_what_the_fields_say(watch, both_file, both):
    page = watch(both_file)
    page.tab.select_option("select[data-key=task]", "mine")
    page.tab.wait_for_selector("figure[aria-label^=Difference] svg")
    rows = {r["id"]: r["fields"] for r in both.index["rows"] if r["fields"]["task"] == "mine"}
    order = page.tab.locator("table.board tr.row").evaluate_all("all => all.map(r => r.dataset.href)")
    fields = [rows[href.removeprefix("#/row/")] for href in order]
    groups = page.tab.locator("figure[aria-label^='accuracy in % with'] g[aria-label=text] text")
    assert groups.all_text_contents() == [str(f["rank_group"]) for f in fields if f.get("rank_group")]
    powers = page.tab.locator("figure[aria-label^=Difference] g[aria-label=text] text").all_text_contents()
    known = [f["power"] for f in fields if "power" in f]
    assert len(known) >= 4
    assert powers == [f"{100 * power:.0f} %" for power in known]
    bars = page.tab.locator("figure[aria-label^=Where] g[aria-label=bar] rect").evaluate_all(
        "all => all.map(r => Number(r.getAttribute('width')))"
    )
    varying = [f for f in fields if any(f[f"share_{part}"] > 0 for part in ("seed", "query", "rest"))]
    assert len(bars) == 3 * len(varying)
    whole = sum(bars[:3])
    for at, field in enumerate(varying):
        shares = [width / whole for width in bars[3 * at : 3 * at + 3]]
        wanted = [field[f"share_{part}"] for part in ("seed", "query", "rest")]
        assert shares == pytest.approx(wanted, abs=0.01)


def test_a_strength_opens_the_rows_of_its_setting(watch, both_file, both):
    page = watch(both_file)
    page.tab.wait_for_selector("figure[aria-label^=Strength] svg")
    ticks, svg = drawn(page, "Strength")
    assert len(ticks) == len(set(ticks)) == len(both.index["overall"]["rows"])
    svg.locator("g[aria-label=dot] a").first.dispatch_event("click")
    strongest = both.index["overall"]["rows"][0]
    page.tab.wait_for_function("() => location.hash.includes('is.selector')")
    page.drawn()
    assert set(page.rows()) <= {"mine", "theirs"}
    shown = page.tab.locator("table.board tr.row").evaluate_all("all => all.map(r => r.dataset.href)")
    settings = {r["id"]: r["fields"] for r in both.index["rows"]}
    for href in shown:
        own = settings[href.removeprefix("#/row/")]
        assert {key: own[key] for key in ("selector", "shots", "method")} == {
            key: strongest[key] for key in ("selector", "shots", "method")
        }
    assert len(shown) == strongest["tasks"]


def test_a_prediction_of_the_second_run_opens_with_its_own_prompt(watch, both_file, both, runs):
    cell = next(c for c in both.index["cells"] if c["run"] == 1 and "bm25" in c["id"] and "theirs" in c["id"])
    result = next(r for r in runs[1].results if r.cell.id == cell["id"])
    query = result.predictions[2].query_id
    page = watch(f"{both_file}#/prediction/{cell['id']}/{query}")
    assert page.tab.locator("pre.prompt > span").count() == 4
    ids = page.tab.locator("section[aria-label=Demonstrations] tbody td:nth-child(2)").all_inner_texts()
    assert ids == [name for name, _ in result.predictions[2].demonstrations]
    assert json.dumps(cell["id"]) in both.text
