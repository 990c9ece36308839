"""Notebooks as pages of the site: cells and what they showed, as they were executed."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page a notebook."""
    for path in sorted((Path(config.docs_dir) / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        text = "\n\n".join(map(_cell, notebook["cells"])) + "\n"
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
    return files


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    return "\n\n".join([f"```python\n{source}\n```", *map(_output, cell["outputs"])])


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        rows = "".join(data["text/html"]).splitlines()
        return "\n".join(row for row in rows if row.strip())  # an empty line would end the piece
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"<pre>{html.escape(text).strip()}</pre>".replace("\n\n", "\n&#8203;\n")
