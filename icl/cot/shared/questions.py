"""Lists of smaller questions that a model writes, and the question that a problem itself asks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from icl.prompts.answers import abstention
from icl.prompts.answers.patterns import lazy
from icl.types import Query, Task

_LISTED = lazy(r"^\s*(?:\d+\s*[.):]|[-*•])\s*(\S.*)$")
_SENTENCE = lazy(
    r"(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\b[A-Z]\.)(?<=[.!?])\s+|(?<=[。！？])"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """What is to be asked, in order, the problem's own question last."""

    questions: tuple[str, ...]
    own: str
    """"listed" by the model, "appended" to its list, or asked "alone"."""
    refused: tuple[str, ...] = ()
    """Items of the list that ask nothing: "I do not know."."""
    cut: bool = False
    """Whether some were left out, as more than are asked."""


def own_question(query: Query) -> str:
    """From the last sentence with a question mark to the end of its line; without one the last line."""
    lines = [line.strip() for line in query.text.split("\n") if line.strip()]
    for line in reversed(lines):
        starts = [0, *(hit.end() for hit in _SENTENCE.finditer(line))]
        for start, end in reversed(list(zip(starts, [*starts[1:], len(line)], strict=True))):
            if re.search(r"[?？]", line[start:end]):
                return line[start:].strip()
    return lines[-1] if lines else ""


def says(listed: str, own: str) -> bool:
    """Whether a listed question is the problem's own, perhaps with words before it ("So, how many ...")."""
    one, other = _words(listed), _words(own)
    return bool(other) and one[-len(other) :] == other


def read_list(text: str, query: Query, task: Task, most: int, *, whole: bool = True) -> Listed:
    """The questions of a list, one a line, and the problem's own as the last of them.

    most: asked at most, the own one included. whole: False where the text was cut, so that its last
    question asks half of something.
    """
    hits = [_LISTED.match(line) for line in text.split("\n")]
    found = list(dict.fromkeys(hit[1].strip() for hit in hits if hit))
    if not whole:
        found = found[:-1] or found
    refused = [item for item in found if _asks_nothing(item, task)]
    found = [item for item in found if item not in refused]
    own = own_question(query)
    if not found:
        return Listed((own,), "alone", tuple(refused))
    if says(found[-1], own):
        kind, questions = "listed", found
    else:
        kind, questions = "appended", [*(item for item in found if not says(item, own)), own]
    cut = len(questions) > most
    if cut:
        questions = [*questions[: most - 1], questions[-1]]
    return Listed(tuple(questions), kind, tuple(refused), cut)


def _asks_nothing(item: str, task: Task) -> bool:
    if not re.search(r"\w", item):
        return True
    pattern = abstention(task.language)
    return bool(pattern.match(item) or (pattern.search(item) and not re.search(r"[?？]", item)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
