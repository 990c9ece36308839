"""What the page of a large run costs: size, seconds until it can be used, memory.

    OMP_NUM_THREADS=1 python -m benchmarks.page --json benchmarks/results/page.json
    OMP_NUM_THREADS=1 python -m benchmarks.page --run FOLDER --json benchmarks/results/page_real.json

With --run a copy of a run folder; without, the run is made, not asked: five selectors, two methods, seeds;
drawn scores over six labels, or drawn texts; four demonstrations with a score and reasons each. `icl report`
and `icl leaderboard` are processes of their own. The page is opened from disk in Chromium, three times, each
in a browser of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from icl.experiments.file.config import read_experiment
from icl.experiments.folder.store import Contents, RunFolder
from icl.experiments.records import Cell, CellResult
from icl.seeding import generator
from icl.types import Example, Prediction, ReadingRules, Task, Template, Usage

LABELS = ("abbreviation", "description", "entity", "human", "location", "number")
SELECTORS = ("random", "bm25", "knn", "mmr", "dpp")
METHODS = ("direct", "generate")
SEEDS, SHOTS, POOL = 4, 4, 2000
WORDS = (
    *(
        "what",
        "when",
        "where",
        "which",
        "who",
        "how",
        "many",
        "name",
        "first",
        "city",
        "river",
        "king",
        "war",
    ),
    *(
        "year",
        "film",
        "author",
        "book",
        "song",
        "team",
        "game",
        "country",
        "language",
        "word",
        "island",
        "high",
    ),
    *("president", "company", "animal", "colour", "number", "long", "old", "new", "great", "world", "state"),
)
TASK = Task(
    "made",
    "classification",
    Template("Question: {{ text }}\nType:"),
    ("text",),
    labels=LABELS,
    instruction="Say what type of answer the question wants.",
    reading=ReadingRules(),
)


def sentence(rng: Any, words: int) -> str:
    """Drawn words."""
    return " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), size=words))


def made_cell(cell: Cell, queries: int) -> CellResult:
    """Drawn predictions; one in eight of the generated ones has a flag."""
    rng = generator(cell.seed, f"benchmarks.page.{cell.selector}.{cell.method}")
    scores = rng.normal(-3, 1.5, size=(queries, len(LABELS)))
    shown = rng.integers(0, POOL, size=(queries, SHOTS))
    near = -abs(rng.normal(0, 0.2, size=(queries, SHOTS)))
    predictions = []
    for i in range(queries):
        gold = LABELS[i % len(LABELS)]
        label_scores = dict(zip(LABELS, map(float, scores[i]), strict=True))
        answer = max(label_scores, key=label_scores.__getitem__)
        text = cell.method == "generate"
        said = f" {sentence(rng, 12)}. The answer is {answer}." if text else ""
        predictions.append(
            Prediction(
                f"test-{i}",
                tuple((f"train-{at}", float(s)) for at, s in zip(shown[i], near[i], strict=True)),
                answer,
                gold,
                answer == gold,
                output=said,
                label_scores={} if text else label_scores,
                flags=("run_on",) if text and i % 8 == 0 else (),
                why=[{"similarity": float(s), "rank": at} for at, s in enumerate(near[i])],
                details={"prompt_tokens": 120 + i % 40, "margin": float(scores[i].max() - scores[i].mean())},
                usage=Usage(700 + i % 90, 130 + i % 70, 18 if text else 0, 0.021 + 1e-4 * (i % 50)),
            )
        )
    return CellResult(
        cell, tuple(predictions), metrics={"accuracy": sum(p.correct for p in predictions) / queries}
    )


def write_run(path: Path, predictions: int) -> None:
    """A finished run folder of about so many predictions."""
    queries = predictions // (len(SELECTORS) * len(METHODS) * SEEDS)
    cells = [
        Cell("fake", "made", selector, SHOTS, "as_selected", method, seed)
        for selector in SELECTORS
        for method in METHODS
        for seed in range(SEEDS)
    ]
    experiment = read_experiment(
        {
            "name": path.name,
            "model": "fake",
            "task": "made.yaml",
            "seeds": list(range(SEEDS)),
            "grid": {"selector": list(SELECTORS), "shots": [SHOTS], "method": list(METHODS)},
            "leaderboard": {"compare_to": "random"},
        }
    )[0].resolved
    folder = RunFolder(path)
    folder.begin(Contents(experiment, cells, {}, {"made": queries}, {"made": TASK}))
    rng = generator(0, "benchmarks.page.texts")
    texts = folder.texts(TASK)
    for name, count in (("train", POOL), ("test", queries)):
        texts.add(
            Example(f"{name}-{i}", {"text": f"{sentence(rng, 10)} {i}?"}, LABELS[i % len(LABELS)])
            for i in range(count)
        )
    for cell in cells:
        folder.writer(cell, queries).finish(made_cell(cell, queries))
    folder.close()


def measured(folder: Path, *command: str) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peak GiB, of one icl command."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "icl", *command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"icl {' '.join(command)} failed")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
    }


def opened(page: Path) -> dict[str, float]:
    """Seconds from the request to a board that can be used, a row opened and a prediction opened; MiB of the
    script's heap once a prediction is shown."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        )
        tab = browser.new_page()
        began = time.monotonic()
        tab.goto(page.as_uri())
        tab.wait_for_selector("body[data-ready]", state="attached")
        usable = time.monotonic() - began
        began = time.monotonic()
        tab.locator("tr.row").first.click()
        tab.wait_for_selector("table.listing tr.row")
        row = time.monotonic() - began
        began = time.monotonic()
        tab.locator("table.listing tr.row").nth(20).click()
        tab.wait_for_selector("pre.prompt")
        prediction = time.monotonic() - began
        heap = tab.evaluate("performance.memory.usedJSHeapSize") / 2**20
        browser.close()
    return {"usable": usable, "row": row, "prediction": prediction, "heap_mib": heap}


def main() -> None:
    """Makes, reports, opens, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--run", type=Path, help="a run folder, in place of one that is made")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if options.run:
            shutil.copytree(options.run, folder / "runs" / "made")
            counts = (path.read_bytes().count(b"\n") for path in (folder / "runs/made/cells").glob("*.jsonl"))
            options.predictions = sum(counts)
        else:
            write_run(folder / "runs" / "made", options.predictions)
        held = sum(path.stat().st_size for path in (folder / "runs" / "made").rglob("*") if path.is_file())
        found: dict[str, Any] = {
            "predictions": options.predictions,
            "run_folder_mb": round(held / 1e6, 1),
            "leaderboard": measured(folder, "leaderboard", "runs/made"),
            "report": measured(folder, "report", "runs/made", "-o", "report.html"),
            "page_mb": round((folder / "report.html").stat().st_size / 1e6, 1),
        }
        times = [opened(folder / "report.html") for _ in range(3)]
        found["browser"] = {name: round(statistics.median(t[name] for t in times), 2) for name in times[0]}
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
