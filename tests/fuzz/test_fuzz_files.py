"""A short round of mutated experiment and task files; benchmarks/fuzz.md has the long one."""

from __future__ import annotations

from .core import GOOD, judged
from .files import cases

COUNT = 150


def test_mutated_files_are_read_or_refused_in_one_line() -> None:
    found = list(judged(cases(seed=20, count=COUNT), "tests.fuzz.files:read_and_check"))
    bad = [f"{case.name}: {v.kind}: {v.message}" for case, v in found if v.kind not in GOOD]
    assert not bad, "\n".join(bad)
    kinds = [verdict.kind for _, verdict in found]
    assert kinds.count("read") > COUNT // 20, "mutations that are not all refused at the first line"
    assert kinds.count("refused") > COUNT // 3
