"""What users asked for and what was answered: each need once, without personal data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.components import check_number
from icl.errors import DataError
from icl.instructions.contract import Asking, Place, Work, digest_of, row_generators
from icl.instructions.personal import Screen
from icl.instructions.rows import InstructionRow
from icl.tasks.duplicates import normalise
from icl.tasks.rows import Row

REQUESTS = ("request", "prompt", "instruction", "question")
ANSWERS = ("answer", "response", "completion", "output")


@row_generators.register(
    "needs", paper="Ouyang et al. 2022, Training language models to follow instructions (InstructGPT)"
)
@dataclass(kw_only=True)
class Needs:
    """A file of requests and answers as rows.

    path: rows with request (or prompt, instruction, question), answer (or response, completion, output),
    perhaps input and user. per_user: requests of one user at most (published: 200). prefix: requests that
    begin with the same so many characters after normalisation are one (published: a long common prefix); 0:
    only equal ones. region: of telephone numbers without a country code. E-mail addresses, telephone and card
    numbers are replaced and counted; users are not kept.
    """

    asks = False
    path: str
    per_user: int = 200
    prefix: int = 100
    region: str = "US"

    def __post_init__(self) -> None:
        check_number("per_user", self.per_user, low=1, whole=True)
        check_number("prefix", self.prefix, low=0, whole=True)

    def check(self, place: Place) -> None:
        """See RowGenerator."""
        Screen(self.region)
        for row in place.rows(self.path, "path"):
            _request(row)

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        return digest_of(place, self.path)

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        screen, replaced = Screen(self.region), Counter[str]()
        users: Counter[str] = Counter()
        seen: set[str] = set()
        name = work.place.path(self.path).name
        for row in work.place.rows(self.path, "path"):
            request, given, answer, user = _request(row)
            clean = {}
            for key, text in (("instruction", request), ("input", given), ("output", answer)):
                clean[key], found = screen(text.strip())
                replaced += found
            key = normalise(f"{clean['instruction']} {clean['input']}")
            key = key[: self.prefix] if self.prefix and len(key) > self.prefix else key
            if not clean["instruction"] or not clean["output"]:
                work.reject("no request or no answer", clean["instruction"] or clean["output"])
            elif key in seen:
                work.reject("a request again, or one with a long common beginning", clean["instruction"])
            elif user and users[user] == self.per_user:
                work.reject(f"more than {self.per_user} of one user", clean["instruction"])
            else:
                seen.add(key)
                users[user] += 1
                made = {"by": "needs"}
                asked, context, answered = clean["instruction"], clean["input"], clean["output"]
                here = f"{name}:{row.index}"
                work.keep(InstructionRow(here, asked, context, answered, source=name, made=made))
        for kind in ("emails", "phones", "cards"):
            work.notes[f"{kind}_replaced"] = replaced[kind]
        yield from ()


def _request(row: Row) -> tuple[str, str, str, str]:
    """(request, input, answer, user). DataError naming the line and what is allowed."""
    request, answer = _first(row, REQUESTS), _first(row, ANSWERS)
    given, user = row.values.get("input") or "", row.values.get("user")
    if not isinstance(given, str):
        raise DataError(f"{row.where}: input is {str(given)[:60]!r}; allowed: a text")
    return request, given, answer, "" if user is None else str(user)


def _first(row: Row, keys: tuple[str, ...]) -> str:
    values: Mapping[str, Any] = row.values
    for key in keys:
        if key in values:
            if not isinstance(values[key], str):
                raise DataError(f"{row.where}: {key} is {str(values[key])[:60]!r}; allowed: a text")
            return str(values[key])
    known = ", ".join(values) or "none"
    raise DataError(f"{row.where}: has none of {', '.join(keys)}: its keys are {known}")
