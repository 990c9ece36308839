"""The documentation's site: what its pages name exists, and notebooks become text that is shown as it is."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("api/*.md"))
NAMED = re.findall(r"^::: ([\w.]+)$", "\n".join(page.read_text(encoding="utf-8") for page in PAGES), re.M)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_api_pages_name_is_there(name: str) -> None:
    if name[name.rindex(".") + 1].isupper():
        module, _, member = name.rpartition(".")
        assert getattr(importlib.import_module(module), member).__doc__
    else:
        assert importlib.util.find_spec(name) is not None


def test_each_is_named_once_and_the_page_before_all_links_the_others() -> None:
    assert len(NAMED) == len(set(NAMED)) > 10
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w/.]+)\)", index))
    pages = {path.relative_to(DOCS).as_posix() for path in PAGES}
    notebooks = {f"notebooks/{path.stem}.md" for path in DOCS.glob("notebooks/*.ipynb")}
    assert pages | notebooks | {"guide.md", "families.md", "methods/README.md"} <= linked


def test_a_warning_would_be_seen() -> None:
    settings = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["validation"] == {
        "anchors": "warn",
        "unrecognized_links": "warn",
        "absolute_links": "warn",
    }
    assert settings["theme"]["font"] is False  # nothing from elsewhere
    assert "mkdocs build --strict\n" in (DOCS.parent / "Makefile").read_text(encoding="utf-8")


@pytest.fixture
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install mkdocs-material")
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_of_a_notebook_as_text(hooks: ModuleType) -> None:
    cell = {
        "cell_type": "code",
        "source": ["1 +\n", "1"],
        "outputs": [
            {"data": {"text/html": ["<b>2</b>\n", "\n", "<i>3</i>"]}},
            {"text": ["<script>\n", "x"]},
        ],
    }
    text = hooks._cell(cell)
    assert text.startswith("```python\n1 +\n1\n```\n\n<b>2</b>\n<i>3</i>\n\n")
    assert text.endswith("<pre>&lt;script&gt;\nx</pre>")
    assert hooks._cell({"cell_type": "markdown", "source": ["# A", "\n"]}) == "# A\n"
