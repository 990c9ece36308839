"""A short round of mutated data files; the long one is `python -m tests.fuzz.data --count 3000`."""

from __future__ import annotations

from collections import Counter

import pytest

from .core import GOOD, judged
from .data import FORMATS, cases


@pytest.mark.timeout(300)
def test_no_data_file_ends_in_anything_but_rows_or_one_line() -> None:
    verdicts = list(judged(cases(1, 150), "tests.fuzz.data:read_and_judge"))
    bad = [
        (case.name, verdict.kind, verdict.message) for case, verdict in verdicts if verdict.kind not in GOOD
    ]
    assert bad == []
    kinds = Counter(verdict.kind for _, verdict in verdicts)
    assert min(kinds["read"], kinds["refused"]) > 15, "both happen often"


def test_every_format_is_mutated() -> None:
    names = {name for case in cases(0, 40) for name in case.files if name != "task.yaml"}
    assert {suffix for suffix in FORMATS if any(suffix in name for name in names)} == set(FORMATS)
    assert any(name.endswith((".gz", ".bz2", ".xz")) for name in names)
