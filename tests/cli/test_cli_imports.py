"""What a command imports decides how soon it answers: nothing heavy before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.experiments.tiny_model import write_model

HEAVY = ["torch", "transformers", "datasets", "pandas", "sklearn", "scipy", "faiss", "bm25s", "pyarrow"]
HEAVY += ["sentence_transformers", "numba", "tqdm", "huggingface_hub"]
MODELS = ["icl.experiments.file.config", "icl.tasks.yaml_loader"]
"""Where pydantic builds models of the files, which takes its time (typer imports pydantic itself)."""
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
        ("--help", ["numpy", "jinja2", "rich", *MODELS]),
        ("version", ["numpy", "jinja2", "rich", *MODELS]),
        ("tasks", ["rich", MODELS[0]]),
        ("models", ["jinja2", "rich", *MODELS]),
        ("list", ["rich", *MODELS]),
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


FIRST_LINE = """
import sys
from pathlib import Path
from icl.cli import main, running
write, before = sys.stderr.write, []
def note(text):
    before or before.append(sorted(set({heavy}) & set(sys.modules)))
    return write(text)
sys.stderr.write = note
running.FIRST_SECONDS = 600.0
try:
    main(["run", "experiment.yaml"])
except SystemExit as end:
    code = end.code
print("imported:", code, *before)
"""


def test_a_run_says_what_it_is_doing_before_anything_heavy_is_imported(folder):
    script = FIRST_LINE.format(heavy=[*HEAVY, "icl.api", "icl.experiments.running.runner"])
    said = [
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True
        )
        for _ in range(2)
    ]
    assert [one.stdout.splitlines()[-1] for one in said] == ["imported: 0 []"] * 2
    first, again = (one.stderr.splitlines()[0] for one in said)
    assert first == "icl run experiment.yaml: model fake, into runs/small"
    assert again == "icl run experiment.yaml: model fake, going on in runs/small"


def test_a_plan_with_kept_rates_imports_no_code_of_models(folder):
    """Neither transformers' networks nor sentence-transformers: the tokenizer and what is kept say it all."""
    write_model(folder / "tiny")
    heavy = ["transformers.modeling_utils", "sentence_transformers"]
    command = ("plan", "experiment.yaml", "--model", "tiny")
    imported(*command, heavy=heavy)
    assert imported(*command, heavy=["torch", *heavy]) == "imported: 0 ['torch']"
