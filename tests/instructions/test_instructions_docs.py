"""docs/instructions.md names every key of a recipe and parameter of a generator; its recipes are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from icl.experiments.corpus.recipe import MixFile, Part, Recipe, read_recipe
from icl.instructions.contract import row_generators
from icl.instructions.templates import TemplateFile

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "instructions.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    found = re.search(rf"^### {name}: .*?(?=^### |^Papers: )", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found, f"docs/instructions.md has no section on {name}"
    return found[0]


def test_every_key_of_a_recipe_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", PAGE, flags=re.MULTILINE))))
    keys = {*Recipe.model_fields, *MixFile.model_fields, *Part.model_fields} - {"by", "parameters"}
    assert keys <= told, sorted(keys - told)


@pytest.mark.parametrize("name", list(row_generators))
def test_every_parameter_of_a_generator_is_told(name: str) -> None:
    text = section(name)
    sampling = ("per_round", "patience", "max_tokens", "temperature", "top_p", "top_k")
    sampling += ("presence_penalty", "frequency_penalty")
    common = {*sampling, "blacklist", "ascii_only", "language"}
    for parameter in row_generators.entry(name).parameters:
        if parameter.name in common:
            continue
        assert f"`{parameter.name}`" in text or f"`{parameter.name}:" in text or f"{{{name}: " in text, (
            parameter.name
        )
    assert row_generators.entry(name).summary


def test_the_recipes_of_the_page_are_valid() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    read = [yaml.safe_load(block) for block in blocks]
    recipes = [data for data in read if "parts" in data]
    files = [data for data in read if "templates" in data]
    assert len(recipes) + len(files) == len(read) >= 2
    for data in recipes:
        assert read_recipe(data)[0].name
    for data in files:
        assert TemplateFile.model_validate(data).templates[0].answer_choices == "bad ||| good"
