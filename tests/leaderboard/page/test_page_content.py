"""What a page holds is what the run holds, and nothing of it can act."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from icl.api import Run
from icl.errors import DataError
from icl.experiments.audit import Auditor
from icl.experiments.records import Cell
from icl.leaderboard.page.document import PLOT_STYLES, digests, scripts
from icl.leaderboard.page.packing import pack, short_numbers
from icl.leaderboard.page.shared import Beginnings, common
from icl.leaderboard.page.texts import Texts, utf16
from icl.pages import report, report_within
from icl.printable import STEERING

from .conftest import EVIL, Parts, room_for_some


class Elements(HTMLParser):
    """Every element with its attributes, as a browser meets them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_runs_its_own_scripts_only_and_names_no_address(page_text):
    elements = Elements(page_text).found
    run = [attrs for tag, attrs in elements if tag == "script" and "type" not in attrs]
    assert len(run) == len(scripts()) == 3
    assert not [attrs for _, attrs in elements if "src" in attrs or "onerror" in attrs]
    assert {attrs["href"] for _, attrs in elements if "href" in attrs} == {"#main", "data:,"}
    assert not [tag for tag, _ in elements if tag in ("img", "iframe", "object", "base", "form")]
    rules = next(a["content"] for t, a in elements if t == "meta" and a.get("http-equiv"))
    allowed = {part.split()[0]: part.split()[1:] for part in rules.split("; ")}
    assert allowed["script-src"] == digests(scripts()).split()
    style = page_text.partition("<style>")[2].partition("</style>")[0]
    assert allowed["style-src"] == [*digests([style]).split(), *PLOT_STYLES]
    assert "default-src 'none'" in rules
    assert "connect-src 'none'" in rules
    assert "unsafe" not in rules


def test_data_cannot_leave_its_element_nor_steer_a_terminal(page_text):
    data = page_text[page_text.index('id="index">') : page_text.index("<script>")]
    assert "<script>document" not in page_text
    assert "<img" not in data
    assert not re.search(f"(?![\t\n])[{STEERING}]", data)


def test_rows_are_those_of_the_leaderboard(run_folder, parts):
    board = Run(run_folder).leaderboard()
    assert len(parts.index["rows"]) == len(board.rows)
    for held, row in zip(parts.index["rows"], board.rows, strict=True):
        assert held["fields"]["value"] == row.value.value
        assert held["fields"]["low"] == row.value.low
        assert held["shown"] == {c.key: c.show(row) for c in board.columns}
        if row.comparison:
            assert held["fields"]["p_holm"] == row.comparison.p_holm
    assert parts.index["footer"] == board.footer
    assert len({row["id"] for row in parts.index["rows"]}) == len(board.rows)


def test_every_prediction_is_there_with_the_very_prompt(run_folder, parts):
    run = Run(run_folder)
    for result in run.results:
        at, columns = parts.cell(result.cell.id)
        assert columns["n"] == len(result.predictions) > 0
        ids = parts.blocks["i0"]
        assert [ids[place] for place in columns["query"]] == [p.query_id for p in result.predictions]
        assert [bool(int(c)) for c in columns["correct"]] == [p.correct for p in result.predictions]
    for part in ("knn_4_as_selected_direct_s1", "random_2_as_selected_self_consistency"):
        at, columns = parts.cell(part)
        cell = parts.index["cells"][at]["id"]
        query = parts.blocks["i0"][columns["query"][3]]
        audit = run.show(query, cell)
        assert "".join(parts.texts(columns["pieces"][3])) == audit.prompt.text
        kinds = columns["kinds"][columns["kind"][3]]
        assert kinds == "i" + "d" * audit.cell.shots + "q"
        assert columns["tokens"][3] == audit.prompt.tokens
        shown = [parts.blocks["i0"][place] for place in columns["shown"][3]]
        assert shown == [e.id for e in audit.examples]


def test_lengths_and_prompts_are_those_of_an_auditor_that_measures_one_by_one(run_folder, parts):
    run = Run(run_folder)
    compared = 0
    with Auditor(run.folder) as auditor:
        for result in run.results:
            _, columns = parts.cell(result.cell.id)
            if result.cell.selector == "majority_class":
                assert columns["notes"] == [["The majority class answers without a prompt."]]
                continue
            for i, prediction in enumerate(result.predictions):
                prompt = auditor.audit(result.cell, prediction).prompt
                assert columns["tokens"][i] == prompt.tokens > 0
                assert "".join(parts.texts(columns["pieces"][i])) == prompt.text
                compared += 1
    assert compared > 200


def test_a_page_that_would_be_too_large_has_the_first_queries_and_says_so(run_folder, page_text):
    run = Run(run_folder)
    most = room_for_some(run, page_text)
    text, lacking = report_within([run], most)
    assert len(text.encode()) <= most < len(page_text.encode())
    found = Parts.of(text)
    assert found.index["left_out"] == lacking
    ids = found.blocks["i0"]
    shown = {ids[i] for at in range(len(found.index["cells"])) for i in found.blocks[f"p{at}"]["query"]}
    first = [p.query_id for p in run.results[0].predictions]
    assert shown == set(first[: len(shown)])
    assert 0 < len(shown) < len(first)
    cells = len(found.index["cells"])
    held = sum(found.blocks[f"p{at}"]["n"] for at in range(cells))
    assert lacking.startswith(f"This page holds {held} of {cells * len(first)} predictions, those of the")
    before = Parts.of(page_text)
    assert found.index["rows"] == before.index["rows"]
    assert found.blocks["r1"] == before.blocks["r1"]
    assert report_within([run], None) == (page_text, "")


def test_a_page_that_is_too_large_without_predictions_has_none(run_folder):
    text, lacking = report_within([Run(run_folder)], 1)
    assert lacking.startswith("This page holds 0 of ")
    assert Parts.of(text).blocks["p0"]["n"] == 0


def test_outputs_and_chains_carry_the_span_that_was_read(parts):
    _, columns = parts.cell("random_2_as_selected_self_consistency")
    (output,) = parts.texts([columns["output"][0]])
    assert EVIL in output
    answer = columns["answers"][columns["answer"][0]]
    start, end = columns["span"][0]
    assert output.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le") == answer
    chains = columns["details"][0]["chains"]
    for chain, (start, end) in zip(chains, columns["chain_spans"][0], strict=True):
        assert chain["text"].encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le") == chain["answer"]


def test_a_row_has_its_confusions_reliability_and_curves(run_folder, parts):
    rows = parts.index["rows"]
    at = next(
        i for i, r in enumerate(rows) if r["fields"]["method"] == "direct" and r["fields"]["shots"] == 4
    )
    details = parts.blocks[f"r{at}"]
    results = [r for r in Run(run_folder).results if r.cell.row == tuple(rows[at]["fields"][k] for k in KEYS)]
    predictions = [p for r in results for p in r.predictions]
    assert sum(n for _, _, n in details["confusion"]) == len(predictions)
    held = details["calibration"]
    assert sum(n for *_, n in held["bins"]) == len(predictions)
    assert held["ece"] == rows[at]["fields"]["ece"]
    assert held["bias"] == rows[at]["fields"]["label_bias"]
    right = sum(share * n for _, share, n in held["bins"])
    assert right == pytest.approx(sum(p.correct for p in predictions))
    chained = next(i for i, r in enumerate(rows) if "self_consistency" in r["fields"]["method"])
    curve = parts.blocks[f"r{chained}"]["chains"]
    assert curve["n"] == [1, 2, 4]
    assert {"majority", "any"} <= set(curve["rules"])
    assert curve["rules"]["any"][-1][0] >= curve["rules"]["any"][0][0]


KEYS = ("model", "task", "selector", "shots", "orderer", "method", "tuning")


def test_a_run_that_is_growing_is_shown_as_far_as_it_is(run_folder, tmp_path):
    copy = tmp_path / "growing"
    shutil.copytree(run_folder, copy)
    summaries = sorted((copy / "cells").glob("*knn_4*direct_s1*.json"))
    lines = summaries[0].with_suffix(".jsonl")
    record = json.loads(summaries[0].read_text()) | {"complete": False, "digest": None, "metrics": {}}
    summaries[0].write_text(json.dumps(record))
    whole = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(b"".join(whole[:5]) + whole[5][:40])
    found = Parts.of(report([Run(copy)]))
    at, columns = found.cell(lines.stem)
    assert columns["n"] == 5
    assert found.index["cells"][at]["complete"] is False
    row = found.index["rows"][found.index["cells"][at]["row"]]
    assert row["incomplete"] == ["seed 1: 5 predictions so far"]


def test_a_folder_of_a_newer_icl_is_refused_in_one_line(run_folder, tmp_path):
    copy = tmp_path / "newer"
    shutil.copytree(run_folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(DataError, match=r"written by a newer icl \(folder format 99"):
        Run(copy)


def test_texts_that_are_not_kept_are_said_and_the_rest_is_shown(run_folder, tmp_path):
    copy = tmp_path / "bare"
    shutil.copytree(run_folder, copy)
    shutil.rmtree(copy / "tasks")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"folder": str(tmp_path)}))
    found = Parts.of(report([Run(copy, Run(run_folder).tasks())]))
    _, columns = found.cell("knn_4")
    assert "pieces" not in columns
    assert columns["notes"] == [["task file task.yaml does not exist"]]


def test_shared_beginnings_by_hand():
    texts = ["Say. ", "one ", "two ", "Q: a", "Q: b"]
    prompts = [[0, 1, 3], [0, 1, 4], [0, 2, 3], [0, 1, 3]]
    beginnings = Beginnings()
    cell = Cell("m", "t", "s", 1, "o", "direct", 0)
    beginnings.add(cell, prompts)
    found = beginnings.lengths(texts)[cell.id]
    assert found == {0: (2, 3, 1), 3: (2, 3, 1), 1: (2, 3, 0), 2: (1, 0, 0)}
    assert common("abcd", "abxd") == 2
    assert common("ab", "abc") == 2
    assert common("x", "y") == 0


def test_texts_stand_once_and_positions_are_those_of_javascript():
    texts = Texts()
    assert [texts.number(t) for t in ("a", "b", "a")] == [0, 1, 0]
    assert list(texts.blocks()) == [(0, ["a", "b"])]
    assert utf16("a𝒳b", 2) == 3
    assert utf16("abc", 2) == 2


def test_packing_is_the_same_bytes_and_takes_what_json_does_not():
    assert pack([1, "é"]) == pack([1, "é"])
    assert short_numbers({"a": [0.123456789, float("nan"), 2.0]}) == {"a": [0.123457, "nan", 2]}
    assert b"\\ud800" in gzip.decompress(pack(["\ud800"]))
