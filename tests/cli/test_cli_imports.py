"""What a command imports decides how soon it answers: nothing heavy before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "datasets", "pandas", "sklearn", "scipy", "faiss", "bm25s", "pyarrow"]
HEAVY += ["sentence_transformers", "numba", "tqdm", "huggingface_hub"]
SCRIPT = """
import sys
from icl.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("imported:", code, sorted(set({heavy}) & set(sys.modules)))
"""


def imported(*arguments: str, heavy: list[str]) -> str:
    script = SCRIPT.format(heavy=heavy)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=os.environ, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("--help", ["numpy", "jinja2", "rich"]),
        ("version", ["numpy", "jinja2", "rich"]),
        ("tasks", ["rich"]),
        ("models", ["jinja2", "rich"]),
        ("list", ["rich"]),
        ("run --help", ["numpy", "jinja2"]),
        ("check experiment.yaml", []),
        ("check task.yaml", []),
    ],
)
def test_light_commands(folder, command, more):
    assert imported(*command.split(), heavy=[*HEAVY, *more]) == "imported: 0 []"


@pytest.mark.parametrize("command", ["run", "plan", "preview", "check"])
def test_a_wrong_key_is_found_before_anything_heavy_is_imported(folder, command):
    code = 1 if command == "check" else 2
    said = imported(command, "experiment.yaml", "--set", "pol=3", heavy=HEAVY)
    assert said == f"imported: {code} []"
