"""Executes the notebooks of this folder in place: python docs/notebooks/execute.py

Needs the extra `notebooks`. What depends on the machine is not kept: times of cells, the version of Python,
warnings (stderr), which name its folders; nor the plain text of what shows itself as HTML.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
SECONDS = 300
"""Of one cell, at most."""


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs. nbclient.exceptions.CellExecutionError where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    return cleaned(notebook)


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what depends on the machine."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "text/html" in output.get("data", {}):
                output.data.pop("text/plain", None)
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def main() -> None:
    """All of them, or those whose names are given."""
    for path in sorted(HERE.glob("*.ipynb")):
        if len(sys.argv) == 1 or path.stem in sys.argv[1:]:
            nbformat.write(execute(path), path)


if __name__ == "__main__":
    main()
