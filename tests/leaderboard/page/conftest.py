"""A finished run with texts that would do harm if a page took them for markup, and its page taken apart."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import icl
from icl.api import Run
from icl.engine.fake import FakeModel
from icl.pages import report, report_within

EVIL = '<script>document.title="taken"</script><img src=x onerror=alert(1)> \x1b[31m\u202e𝒳'
TASK = """\
name: mine
kind: boolean
inputs: [text]
labels: ["yes", "no"]
instruction: Say yes or no.
template: {query: "Text: {{ text }}\\nAnswer:"}
source:
  files: {train: pool.jsonl, test: queries.jsonl}
"""


def reply(prompt: str, sample: int) -> str:
    """Harm first, then an answer that depends on the chain."""
    return f" {EVIL} so the answer is {'yes' if (len(prompt) + sample) % 3 else 'no'}."


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, count in (("pool", 30), ("queries", 16)):
        rows = [
            {"text": f"{name} {EVIL} {i}", "answer": ("yes", "no")[i % 2], "rationale": "So."}
            for i in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "task.yaml").write_text(TASK, encoding="utf-8")
    (folder / "experiment.yaml").write_text(
        """\
name: paged
model: fake
task: task.yaml
pool: 20
test: 12
seeds: [0, 1]
encoder: hashed
grid:
  selector: [zero_shot, random, {knn: {}}]
  shots: [2, 4]
  method: [direct, {self_consistency: {n: 4, texts: true}}]
leaderboard: {compare_to: random}
""",
        encoding="utf-8",
    )
    model = FakeModel(reply_with=reply)
    return icl.run(folder / "experiment.yaml", output=folder / "runs", model=model).path


OTHER = """\
name: other
model: fake
task: [task.yaml, theirs.yaml]
pool: 20
test: 12
seeds: [0, 1]
encoder: hashed
grid:
  selector: [zero_shot, random, bm25]
  shots: [2]
  method: [direct, {direct: {normalise: mean}}]
leaderboard: {compare_to: random}
"""


@pytest.fixture(scope="session")
def other_folder(run_folder: Path) -> Path:
    """A second run, which shares cells with the first and has another task besides."""
    folder = run_folder.parent.parent
    (folder / "theirs.yaml").write_text(TASK.replace("mine", "theirs"), encoding="utf-8")
    (folder / "other.yaml").write_text(OTHER, encoding="utf-8")
    model = FakeModel(reply_with=reply)
    return icl.run(folder / "other.yaml", output=folder / "runs", model=model).path


@pytest.fixture(scope="session")
def both_text(run_folder: Path, other_folder: Path) -> str:
    """The page of both runs."""
    return report([Run(run_folder), Run(other_folder)])


@dataclass(frozen=True)
class Parts:
    """A page taken apart."""

    text: str
    index: dict[str, Any]
    blocks: dict[str, Any]

    @classmethod
    def of(cls, page: str) -> Parts:
        found = dict(re.findall(r'<script type="[a-z/]+" id="([\w-]+)">(.*?)</script>', page, re.DOTALL))
        blocks = {
            name.removeprefix("block-"): json.loads(gzip.decompress(base64.b64decode(text)))
            for name, text in found.items()
            if name != "index"
        }
        return cls(page, json.loads(found["index"]), blocks)

    def texts(self, numbers: list[int]) -> list[str]:
        """The texts of some numbers."""
        everything = [text for at in range(len(self.index["texts"])) for text in self.blocks[f"t{at}"]]
        return [everything[number] for number in numbers]

    def cell(self, part: str) -> tuple[int, dict[str, Any]]:
        """Place and columns of the first cell whose id holds `part`."""
        at = next(i for i, cell in enumerate(self.index["cells"]) if part in cell["id"])
        return at, self.blocks[f"p{at}"]


def room_for_some(run: Run, page_text: str) -> int:
    """Bytes that hold a page with a part of its predictions."""
    empty = len(report_within([run], 1)[0].encode())
    return empty + 3 * (len(page_text.encode()) - empty) // 4


@pytest.fixture(scope="session")
def page_text(run_folder: Path) -> str:
    return report([Run(run_folder)])


@pytest.fixture(scope="session")
def parts(page_text: str) -> Parts:
    return Parts.of(page_text)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of this machine, driven by Playwright. Without it a test is skipped, in CI it fails."""
    lacking = pytest.fail if os.environ.get("CI") else pytest.skip
    if importlib.util.find_spec("playwright") is None:
        lacking("the page is not tested in a browser: pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        lacking("the page is not tested in a browser: no Chromium found (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@dataclass
class Watched:
    """A tab with all that it said and asked for."""

    tab: Any
    said: list[str]
    asked: list[str]

    def drawn(self) -> None:
        """Waits until the view that the address names is there."""
        self.tab.wait_for_selector("body[data-ready]", state="attached")
        self.tab.wait_for_function("() => document.body.dataset.shown === location.hash.split('?')[0]")

    def rows(self) -> list[str]:
        """The first cell of each row of the table that is shown."""
        found: list[str] = self.tab.locator("tr.row td:first-child").all_inner_texts()
        return found


@pytest.fixture
def watch(browser: Any) -> Iterator[Callable[..., Watched]]:
    """watch(address): a tab of its own. Nothing may be said on its console, and nothing asked elsewhere."""
    tabs: list[tuple[Watched, str]] = []

    def start(address: str, **options: Any) -> Watched:
        tab = browser.new_context(**options).new_page()
        watched = Watched(tab, [], [])
        tab.on("console", lambda message: watched.said.append(message.text))
        tab.on("pageerror", lambda error: watched.said.append(str(error)))
        tab.on("request", lambda request: watched.asked.append(request.url))
        tab.set_default_timeout(60_000)
        tabs.append((watched, address.split("#")[0]))
        tab.goto(address)
        watched.drawn()
        return watched

    yield start
    for watched, own in tabs:
        watched.tab.context.close()
        assert watched.said == []
        assert [url for url in watched.asked if not url.startswith(own)] == []


@pytest.fixture(scope="session")
def page_file(page_text: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page_text, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="session")
def both_file(both_text: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("both") / "report.html"
    path.write_text(both_text, encoding="utf-8")
    return path.as_uri()
