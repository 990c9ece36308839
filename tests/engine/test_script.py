"""A scripted fake model is another model when its script is another."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from icl.engine.fake import FakeModel

ANSWERS = {"a": -1.0}


def scripted(value):
    return FakeModel(score_with=lambda prompt, continuation: value if prompt else -2.0)


def from_a_table(prompt, continuation):
    return ANSWERS.get(prompt, -9.0)


def even(prompt, continuation):
    return odd(prompt[1:], continuation) if prompt else 0.0


def odd(prompt, continuation):
    return even(prompt[1:], continuation) if prompt else -1.0


def test_without_a_script_the_name_is_all():
    assert FakeModel().fingerprint == "fake-1"
    assert FakeModel(name="other", delay=0.01, context_length=9).fingerprint == "other-1"


def test_the_same_script_is_the_same_model():
    assert scripted(-1.0).fingerprint == scripted(-1.0).fingerprint
    assert FakeModel(score_with=even).fingerprint == FakeModel(score_with=even).fingerprint
    assert FakeModel(from_a_table).fingerprint == FakeModel(from_a_table).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        lambda: FakeModel(),
        lambda: scripted(-1.5),
        lambda: FakeModel(score_with=lambda prompt, continuation: -1.0 if prompt else -2.5),
        lambda: FakeModel(reply_with=lambda prompt, sample: "-1.0"),
        lambda: FakeModel(score_with=even),
        lambda: FakeModel(score_with=odd),
        lambda: FakeModel(score_with=functools.partial(lambda a, b, c: a, -1.0)),
        lambda: FakeModel(score_with=lambda prompt, continuation: (lambda: -1.0)() if prompt else -2.0),
    ],
)
def test_another_script_is_another_model(other):
    first = scripted(-1.0)
    assert other().fingerprint != first.fingerprint
    assert other().fingerprint.startswith("fake-1")


def test_the_data_that_a_script_reads_are_part_of_it(monkeypatch):
    before = FakeModel(from_a_table).fingerprint
    monkeypatch.setitem(ANSWERS, "a", -3.0)
    assert FakeModel(from_a_table).fingerprint != before


def test_what_cannot_be_looked_into_is_like_nothing_else():
    class Counter:
        calls = 0

        def __call__(self, prompt, continuation):
            self.calls += 1
            return -1.0 / self.calls

    counter = Counter()
    assert FakeModel(score_with=counter).fingerprint != FakeModel(score_with=counter).fingerprint


def test_another_process_finds_the_same():
    script = (
        "import re; from icl.engine.fake import FakeModel\n"
        "NAMES = {'x', 'y', 'z', 'longer'}; SEEN = re.compile('a+')\n"
        "print(FakeModel(reply_with=lambda p, i: str(len(NAMES)) if SEEN.search(p) else str(i)).fingerprint)"
    )
    said = {subprocess.check_output([sys.executable, "-c", script], text=True) for _ in range(3)}
    assert len(said) == 1
