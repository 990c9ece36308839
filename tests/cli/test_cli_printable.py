"""Nothing that stands in a file or comes from a model can steer a terminal, hide, or turn a line around."""

from __future__ import annotations

import json
import re

import pytest
import yaml

import icl as library
from icl.errors import ConfigError, DataError
from icl.pages import report
from icl.printable import LONGEST_MESSAGE, STEERING, one_line, visible

EVIL = "N\x1b[31mA\u202e\u200b\x9b2J\u2066:\U000e0041"
RAW = re.compile(f"(?![\t\n])[{STEERING}]")
WRITTEN = r"N\x1b[31mA\u202e\u200b\x9b2J\u2066:\U000e0041"


@pytest.fixture
def run(icl, folder):
    """A finished run with such characters in a parameter, in a label's words and in the data."""
    tree = yaml.safe_load((folder / "experiment.yaml").read_text())
    tree["grid"]["method"] = ["direct", {"pmi": {"null_text": EVIL}}]
    tree["leaderboard"] = {"compare_to": {"method": f"pmi(null_text={EVIL})"}}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(tree))
    task = yaml.safe_load((folder / "task.yaml").read_text()) | {"verbalisers": {"good": f"fine{EVIL}"}}
    (folder / "task.yaml").write_text(yaml.safe_dump(task))
    rows = [json.dumps({"text": f"{EVIL} {n}", "label": ("good", "bad")[n % 2]}) for n in range(8)]
    (folder / "queries.jsonl").write_text("\n".join(rows))
    said = icl("run", "experiment.yaml")
    assert said.code == 0, said.err
    return said


def test_what_a_run_and_its_tables_print(icl, run):
    said = [
        run,
        icl("plan", "experiment.yaml"),
        icl("check", "experiment.yaml"),
        icl("preview", "experiment.yaml"),
    ]
    said += [
        icl("leaderboard", "runs/small", "--format", f) for f in ("terminal", "markdown", "csv", "latex")
    ]
    said.append(
        icl("show", "runs/small", "--query", "test-7", "--cell", "random_2_as_selected_pmi_null_text_N")
    )
    for one in said[:-1]:
        assert one.code == 0, one.err
    assert not [found for one in said for found in RAW.findall(one.out + one.err)]
    assert WRITTEN in said[6].out, "the CSV writes them out"
    shown = icl("show", "runs/small", "--query", "test-7")
    assert shown.code == 0
    assert not RAW.findall(shown.out)
    assert r"\x1b[31mA\u202e" in re.sub(r"\s|│", "", shown.out)


def test_the_page(run):
    page = report([library.Run("runs/small")], title=EVIL)
    assert not RAW.findall(page[: page.index("<script>")]), "all but the scripts, which hold libraries"
    assert f"<title>{WRITTEN}</title>" in page


def test_errors_are_one_line_of_bounded_length():
    error = ConfigError(f"name {EVIL} is\n  wrong\r\n\u2028here")
    assert str(error) == f"name {WRITTEN} is wrong here"
    assert not RAW.findall(str(error))
    long = str(DataError("a" * 10_000 + " Allowed: b"))
    assert len(long) < LONGEST_MESSAGE + 100
    assert long.endswith("Allowed: b")
    assert str(ConfigError(str(error))) == str(error), "an error within another is not escaped twice"


@pytest.mark.parametrize(
    "text", ["déjà vu", "日本語\u3000", "می\u200cروم", "👩\u200d👩\u200d👧", "a\tb", "e\u0301"]
)
def test_texts_of_people_stay_as_they_are(text):
    assert visible(text) == text


def test_halves_of_a_pair_can_be_printed():
    assert visible("a\ud83d").encode() == rb"a\ud83d"
    assert one_line(" a\x00 \n b ") == r"a\x00 b"
