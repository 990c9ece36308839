"""Items graded by a scripted model, without a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.experiments.asking.judging import Graded, grade
from icl.experiments.asking.responses import ResponseStore
from icl.judging import Item, Judge, Verdict


def asked(
    judge: Judge,
    items: Sequence[Item],
    score_with: Callable[[str, str], float] | None = None,
    reply_with: Callable[[str, int], str] | None = None,
    context_length: int = 1 << 20,
) -> tuple[list[Graded], FakeModel]:
    """Verdicts with costs, and the model with all that it was asked."""
    model = FakeModel(score_with, reply_with, context_length=context_length)
    return grade(judge, items, model, ResponseStore()), model


def verdicts(judge: Judge, items: Sequence[Item], *scripts: Callable[..., float | str]) -> list[Verdict]:
    """The verdicts alone."""
    return [one.verdict for one in asked(judge, items, *scripts)[0]]  # type: ignore[arg-type]


def refuses(judge: Callable[..., Judge], path: Path, text: str, said: str) -> None:
    """A judge of a file with this text says what is wrong with it, in one line."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        _ = judge(file=str(path)).content
    assert "\n" not in str(caught.value)
