"""docs/redteam.md names every key of the file, and its file is valid."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from icl.experiments.redteam.file import Answer, FewShot, RedTeam, read_red_team

PAGE = (Path(__file__).parents[2] / "docs" / "redteam.md").read_text(encoding="utf-8")


def test_every_key_is_told_with_its_default() -> None:
    rows = dict(re.findall(r"^\|([^|]+)\|.*\|([^|]*)\|$", PAGE, flags=re.MULTILINE))
    told = {key for cell in rows for key in re.findall(r"`(\w+)`", cell)}
    keys = {*RedTeam.model_fields, *FewShot.model_fields, *Answer.model_fields}
    assert keys == told
    for key in ("questions", "items", "per_round", "patience", "shots", "score_temperature"):
        (default,) = [text for cell, text in rows.items() if cell.strip() == f"`{key}`"]
        assert float(default) == FewShot.model_fields[key].default
    several = next(text for cell, text in rows.items() if "`top_k`" in cell)
    assert several.split(", ")[:3] == [" 64", "1", "0.95"]


def test_the_file_of_the_page_is_valid() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    file, _ = read_red_team(yaml.safe_load(block))
    assert file.ways == ["zero_shot", "few_shot"]
    assert file.asked("few_shot").shots == FewShot().shots
