"""Mutated files through icl, in a process of its own that may hang, die or print a traceback.

A reader of a kind of files is a function `target(folder)` that reads what lies in `folder` and raises
what icl raises. It is named as "tests.fuzz.module:function", so that the worker can import it.
Every case ends in one verdict:

    read       nothing was raised
    refused    an icl.errors.IclError of one line, without control characters
    lines      an IclError of several lines, or with control characters in it
    traceback  anything else that was raised
    hang       no answer within the limit of seconds, counted in processor time
    died       the process ended (out of memory, a crash of the interpreter)
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
KINDS = ("read", "refused", "lines", "traceback", "hang", "died")
GOOD = {"read", "refused"}
SECONDS = 10.0
START_SECONDS = 300.0
PATIENCE = 6.0
"""Times the limit that a case may take by the clock: a machine with other work is no hang."""
MEMORY = 6 << 30
"""Address space of the worker, in bytes: what wants more counts as a traceback or as dead."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Case:
    """Files to be written into an empty folder. `name` says how they were made."""

    name: str
    files: Mapping[str, bytes]

    def write(self, folder: Path) -> None:
        """Writes them, with the folders they name."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


@dataclass(frozen=True)
class Verdict:
    """What became of a case; `message` is the error, or the traceback."""

    kind: str
    message: str = ""
    seconds: float = 0.0


class Worker:
    """The process that reads; it is started anew after it hung or died."""

    def __init__(self, target: str, seconds: float = SECONDS, patience: float = PATIENCE) -> None:
        self._target = target
        self._seconds = seconds
        self._patience = patience
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def judge(self, case: Case) -> Verdict:
        """Writes the case into a fresh folder and has it read."""
        with tempfile.TemporaryDirectory() as folder:
            case.write(Path(folder))
            process = self._process or self._start()
            began = time.monotonic()
            answer = self._ask(process, folder)
            seconds = time.monotonic() - began
        if answer is None:
            kind = "hang" if process.poll() is None else "died"
            self._end()
            return Verdict(kind, f"{kind} after {seconds:.1f} s", seconds)
        return Verdict(answer["kind"], answer["message"], seconds)

    def _start(self) -> subprocess.Popen[str]:
        environment = {key: value for key, value in os.environ.items() if key != "ICL_DATA"}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.core", self._target],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        if self._answer(self._process, START_SECONDS) is None:
            raise RuntimeError(f"the worker for {self._target} does not start")
        return self._process

    def _ask(self, process: subprocess.Popen[str], folder: str) -> dict[str, str] | None:
        assert process.stdin is not None
        process.stdin.write(folder + "\n")
        process.stdin.flush()
        return self._answer(process, self._patience * self._seconds, self._seconds)

    def _answer(
        self, process: subprocess.Popen[str], seconds: float, busy: float = START_SECONDS
    ) -> dict[str, str] | None:
        """None: nothing came in so many seconds by the clock or `busy` ones of work, or the process ended."""
        assert process.stdout is not None
        until, worked = time.monotonic() + seconds, _worked(process)
        ready: list[Any] = []
        while not ready and time.monotonic() < until and _worked(process) - worked < busy:
            ready, _, _ = select.select([process.stdout], [], [], 0.5)
        line = process.stdout.readline() if ready else ""
        if ready and not line:
            process.wait()
        return json.loads(line) if line else None

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _worked(process: subprocess.Popen[str]) -> float:
    """Seconds of processor time so far; none for a process that has ended."""
    try:
        times = psutil.Process(process.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def judged(cases: Iterable[Case], target: str, seconds: float = SECONDS) -> Iterator[tuple[Case, Verdict]]:
    """Each case with its verdict."""
    with Worker(target, seconds) as worker:
        for case in cases:
            yield case, worker.judge(case)


def serve(target: str) -> None:
    """The worker's side: a folder a line in, a verdict a line out. What icl prints goes nowhere."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    name, _, function = target.partition(":")
    module = importlib.import_module(name)
    read: Callable[[Path], Any] = getattr(module, function)
    getattr(module, "prepare", lambda: None)()  # what is imported once counts for no case

    def say(kind: str, message: str = "") -> None:
        answers.write(json.dumps({"kind": kind, "message": message}) + "\n")
        answers.flush()

    say("read")
    for line in sys.stdin:
        say(*verdict_of(read, Path(line.rstrip("\n"))))


def verdict_of(read: Callable[[Path], Any], folder: Path) -> tuple[str, str]:
    """Kind and message of one reading in this process."""
    from icl.errors import IclError

    try:
        read(folder)
    except IclError as error:
        text = str(error)
        return ("lines" if UNPRINTABLE.search(text) else "refused"), text
    except BaseException:
        return "traceback", traceback.format_exc(limit=-12)
    return "read", ""


def main(make: Callable[[int, int], Iterable[Case]], target: str, about: str) -> int:
    """The command line: `make(seed, count)` yields cases. 1 where any verdict is not a good one."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=1000, help="cases")
    parser.add_argument("--seed", type=int, default=0, help="other cases")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a case that takes longer hangs")
    parser.add_argument("--keep", type=Path, help="folder for the files of cases with a bad verdict")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    slowest, began = 0.0, time.monotonic()
    for number, (case, verdict) in enumerate(
        judged(make(options.seed, options.count), target, options.seconds)
    ):
        counts[verdict.kind] += 1
        slowest = max(slowest, verdict.seconds)
        if verdict.kind in GOOD:
            continue
        print(f"--- {verdict.kind}: case {number}, {case.name}\n{verdict.message}", flush=True)
        if options.keep is not None:
            folder = options.keep / f"{number:05d}-{verdict.kind}"
            folder.mkdir(parents=True, exist_ok=True)
            case.write(folder)
    total = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
    seconds = time.monotonic() - began
    print(f"{sum(counts.values())} cases: {total}; slowest {slowest:.1f} s, all {seconds:.0f} s")
    return int(any(counts[kind] for kind in KINDS if kind not in GOOD))


if __name__ == "__main__":
    serve(sys.argv[1])
