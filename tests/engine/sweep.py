"""Every family of causal language models of transformers through the ladder; writes docs/families.md.

    python -m tests.engine.sweep families.jsonl [FAMILY ...]      # goes on where it stopped; minutes
    python -m tests.engine.sweep families.jsonl --table docs/families.md

Tiny random models (tests/engine/zoo.py). Texts of 20 to 60 tokens, windows of 20: scores and greedy
continuations of the engine that the ladder takes, and greedy ones of the naive engine, against one plain
eager forward a text and token.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import transformers

from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.plain import plain_logits
from icl.types import GenerateRequest, ScoreRequest, TokenIds

from .tiny import IntegerTokenizer, largest_difference, ragged
from .zoo import LENGTH, families, tiny_model

PROMPTS = ragged(1, count=6, length=60)
SCORED = [ScoreRequest(p, ((5, 6, 7), (8,), (9, 10))) for p in PROMPTS]
WRITTEN = 6
CONTINUED = PROMPTS[:3]


class Kept(logging.Handler):
    """What the ladder says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@torch.inference_mode()
def plain_greedy(network: Any, prompt: TokenIds) -> TokenIds:
    """The whole text forwarded for every token."""
    ids = list(prompt)
    for _ in range(WRITTEN):
        ids.append(int(plain_logits(network, ids)[-1].argmax()))
    return tuple(ids[len(prompt) :])


def written(model: Any) -> list[TokenIds]:
    """Greedy continuations."""
    asked = [GenerateRequest(p, max_tokens=WRITTEN, ignore_eos=True) for p in CONTINUED]
    return [generation.samples[0].token_ids for generation in model.generate(asked)]


def measured(family: str, kept: Kept) -> dict[str, Any]:
    """One row of the table."""
    kept.lines.clear()
    row: dict[str, Any] = {"f": family}
    try:
        network = tiny_model(family)
    except Exception as error:  # no tiny model of it can be made: that is the row
        lines = str(error).strip().splitlines() or [""]
        return row | {"skip": f"{type(error).__name__}: {lines[-1].strip()}"[:150]}
    common: dict[str, Any] = {"name": family, "context_length": LENGTH, "fingerprint": family}
    try:
        model: Any = choose_engine(network, IntegerTokenizer(), **common)
        naive = NaiveModel(network, IntegerTokenizer(), **common)
        times = [time.perf_counter()]
        scores = []
        for one in (model, naive):
            scores.append(one.score(SCORED))
            times.append(time.perf_counter())
        row |= {
            "rung": model.engine.removesuffix(", native kernels"),
            "diff": largest_difference(*scores),
            "rel": (times[1] - times[0]) / (times[2] - times[1]),
        }
        expected = [plain_greedy(network, p) for p in CONTINUED]
        row |= {
            "greedy": written(model) == expected,
            "naive": written(naive) == expected,
            "way": naive.way.__name__,
        }
    except Exception as error:  # a family that fails is a row, not the end of the sweep
        row["error"] = f"{type(error).__name__}: {error}"[:300]
    return row | {"log": list(kept.lines)}


def reason(row: dict[str, Any]) -> str:
    """Why not a rung above, in the words of the last step down; none for the trie engine."""
    if row.get("rung") == "trie engine":
        return ""
    downs = [
        line for line in row.get("log", ()) if " cannot run on the " in line and "fused" not in line[:90]
    ]
    said = [line.split("engine: ", 1)[1].split("; trying")[0] for line in downs if "engine: " in line]
    if row.get("way") == "Forwarded":
        said.append("no cache of its own gives what plain forwards give: each token forwards the text again")
    return "; then: ".join(said)


def table(rows: list[dict[str, Any]]) -> str:
    """The page."""
    ran = [row for row in rows if "rung" in row and "error" not in row]
    refused = [row for row in rows if "error" in row]
    rest = sorted(set(families()) - {row["f"] for row in rows})
    left_out = [row for row in rows if "skip" in row]
    counts = Counter(row["rung"] for row in ran)
    lines = [
        "# Families",
        "",
        "Which engine runs which family of causal language models of transformers",
        f"{transformers.__version__}: tiny random models (`tests/engine/zoo.py`; windows of 20 tokens)",
        "on texts of 20 to 60 tokens. Made by `python -m tests.engine.sweep`.",
        "`icl models MODEL` says it of one model here, with its weights and precision: a setting that a",
        "reader of the fused engine does not know, a probe that finds a difference, or short memory",
        "take it a rung down.",
        "",
        f"{len(ran)} families run: "
        + ", ".join(f"{n} on the {rung}" for rung, n in sorted(counts.items()))
        + ".",
        f"{len(refused)} are refused at load, of {len(left_out)} no tiny model could be made.",
        "",
        "- diff: largest difference of a log-probability to one plain eager forward a text.",
        "- greedy: continuations equal to those of plain forwards, the whole text again for every token;",
        "  of the engine / of the naive one.",
        "- rel: time of scoring over that of plain forwards one by one, in the same run; the models are",
        "  tiny, so overheads count.",
        "",
        "| family | engine | diff | greedy | rel | why not the one above |",
        "|---|---|---|---|---|---|",
    ]
    for row in ran:
        greedy = "/".join("equal" if row[key] else "**differs**" for key in ("greedy", "naive"))
        cells = [row["f"], row["rung"], f"{row['diff']:.1e}", greedy, f"{row['rel']:.2f}", reason(row)]
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    for title, group, key in (("Refused at load", refused, "error"), ("No tiny model", left_out, "skip")):
        lines += ["", f"## {title}", "", "| family | why |", "|---|---|"]
        lines += [f"| {row['f']} | {row[key].split(': ', 1)[-1].replace('|', '/')} |" for row in group]
    if rest:
        lines += ["", "## Not run yet", "", ", ".join(rest) + "."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Sweeps what is not in the file yet, or writes the page from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = {row["f"]: row for row in map(json.loads, lines)}
    if options.table is not None:
        options.table.write_text(table([rows[f] for f in sorted(rows)]))
        return
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    log, kept = logging.getLogger("icl"), Kept()
    log.addHandler(kept)
    log.setLevel(logging.INFO)
    for family in options.families or families():
        if family in rows:
            continue
        row = measured(family, kept)
        with options.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print({key: value for key, value in row.items() if key != "log"}, flush=True)


if __name__ == "__main__":
    main()
