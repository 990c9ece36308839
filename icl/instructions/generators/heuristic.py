"""Labelled rows out of plain text, by rules that match kinds of instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from icl.components import check_number
from icl.errors import DataError, unknown_name
from icl.instructions.contract import Asking, Place, Work, digest_of, row_generators
from icl.instructions.generators.shared.clusters import CLUSTERS, GAP, NO, YES
from icl.instructions.plain_text import is_chinese, maskable, names, sentences
from icl.instructions.rows import InstructionRow
from icl.tasks.duplicates import words
from icl.tasks.strict_yaml import read_yaml


@dataclass(frozen=True, slots=True)
class _Text:
    """One text with what its rules look at."""

    id: str
    text: str
    title: str
    sentences: tuple[str, ...]
    chinese: bool
    rng: np.random.Generator

    @property
    def language(self) -> str:
        return "zh" if self.chinese else "en"


@dataclass(frozen=True, slots=True)
class _Around:
    """The other texts of a language: what is drawn from elsewhere."""

    sentences: Sequence[str]
    names: Sequence[str]
    margin: int


WRONG = 3
"""Names among which the right one stands."""
TRIES = 20
"""Draws for each thing from elsewhere, before the rule is given up."""
Made = tuple[str, str]
"""Input and output."""
Rule = Callable[[_Text, _Around], Made | None]


@row_generators.register(
    "heuristic", paper="Gu et al. 2022, Learning Instructions with Unlabeled Data (UDIT)"
)
@dataclass(kw_only=True)
class Heuristic:
    """Pseudo-labelled rows of texts: each rule that fits a text gives a row.

    path: rows with text and perhaps title. rules: title (given the text), summary (the first sentence, given
    the rest), cloze (a word in a gap), order (are two sentences in their order), follows (does a sentence
    follow, or is it from elsewhere), entity (a name in a gap among three others), sentiment (by a lexicon).
    texts: at most so many, drawn by the seed; 0 is all. margin: words of one side more than of the other for
    a sentiment. least: words of a sentence that is used. Texts may be English or Chinese.
    """

    asks = False
    path: str
    rules: Sequence[str] = ("title", "summary", "cloze", "order", "follows", "entity", "sentiment")
    texts: int = 0
    margin: int = 2
    least: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.rules, list | tuple) or not self.rules:
            raise ValueError(f"rules is {self.rules!r}; allowed: a list of {', '.join(RULES)}")
        for rule in self.rules:
            if rule not in RULES:
                raise ValueError(unknown_name("rule", str(rule), RULES))
        check_number("texts", self.texts, low=0, whole=True)
        check_number("margin", self.margin, low=1, whole=True)
        check_number("least", self.least, low=1, whole=True)

    def check(self, place: Place) -> None:
        """See RowGenerator."""
        self._read(place)

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        return digest_of(place, self.path)

    def _read(self, place: Place) -> list[tuple[str, str, str]]:
        """(id, text, title) of each row. DataError naming the line of one without text."""
        found = []
        for row in place.rows(self.path, "path"):
            text, title = row.values.get("text"), row.values.get("title") or ""
            if not isinstance(text, str) or not isinstance(title, str):
                keys = ", ".join(row.values) or "none"
                raise DataError(f"{row.where}: has no text: its keys are {keys}; allowed: text, and title")
            found.append((f"{place.path(self.path).name}:{row.index}", text.strip(), title.strip()))
        return found

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        given = self._read(work.place)
        every: list[_Text] = []
        for at, (name, text, title) in enumerate(given):
            parts = tuple(s for s in sentences(text) if len(words(s)) >= self.least)
            rng = work.generator("text", str(at))
            every.append(_Text(name, text, title, parts, is_chinese(text), rng))
        around = {
            chinese: self._around([t for t in every if t.chinese == chinese]) for chinese in (True, False)
        }
        order = work.generator("texts").permutation(len(every)).tolist()
        for at in sorted(order[: self.texts] if self.texts else order):
            for rule in self.rules:
                self._row(work, every[at], rule, around[every[at].chinese])
        yield from ()

    def _around(self, texts: Sequence[_Text]) -> _Around:
        every = list(dict.fromkeys(sentence for text in texts for sentence in text.sentences))
        return _Around(every, sorted({name for one in every for name in names(one)}), self.margin)

    def _row(self, work: Work, text: _Text, rule: str, around: _Around) -> None:
        made = RULES[rule](text, around)
        if made is None:
            work.reject(f"{rule}: does not fit", text.text)
            return
        given, output = made
        cluster = CLUSTERS[text.language][rule]
        instruction = cluster[int(text.rng.integers(len(cluster)))]
        about: dict[str, Any] = {"by": "heuristic", "template": rule}
        work.keep(
            InstructionRow(
                f"{text.id}/{rule}", instruction, given, output, source=self.path, made=about, ids=(text.id,)
            )
        )


def _title(text: _Text, around: _Around) -> Made | None:
    return (text.text, text.title) if text.title and text.text else None


def _summary(text: _Text, around: _Around) -> Made | None:
    if len(text.sentences) < 3:
        return None
    lead = text.sentences[0]
    rest = text.text.partition(lead)[2].strip()
    return (rest, lead) if rest else None


def _cloze(text: _Text, around: _Around) -> Made | None:
    found = [(s, word) for s in text.sentences for word in maskable(s, text.text)]
    if not found:
        return None
    sentence, word = found[int(text.rng.integers(len(found)))]
    return sentence.replace(word, GAP, 1), word


def _order(text: _Text, around: _Around) -> Made | None:
    if len(text.sentences) < 2:
        return None
    at = int(text.rng.integers(len(text.sentences) - 1))
    pair = [text.sentences[at], text.sentences[at + 1]]
    if pair[0] == pair[1]:
        return None
    right = bool(text.rng.random() < 0.5)
    return _pair(pair if right else pair[::-1]), (YES if right else NO)[text.language]


def _follows(text: _Text, around: _Around) -> Made | None:
    if len(text.sentences) < 2:
        return None
    at = int(text.rng.integers(len(text.sentences) - 1))
    right = bool(text.rng.random() < 0.5)
    second = text.sentences[at + 1]
    if not right:
        found = _elsewhere(around.sentences, 1, lambda one: one not in text.sentences, text.rng)
        if not found:
            return None
        second = found[0]
    return _pair([text.sentences[at], second]), (YES if right else NO)[text.language]


def _elsewhere(
    known: Sequence[str], count: int, fits: Callable[[str], bool], rng: np.random.Generator
) -> list[str]:
    """So many that fit, drawn; fewer where few tries find no more."""
    found: list[str] = []
    for _ in range(TRIES * count if known else 0):
        one = known[int(rng.integers(len(known)))]
        if one not in found and fits(one):
            found.append(one)
        if len(found) == count:
            break
    return found


def _pair(pair: Sequence[str]) -> str:
    return f"1. {pair[0]}\n2. {pair[1]}"


def _entity(text: _Text, around: _Around) -> Made | None:
    found = [(s, name) for s in text.sentences for name in names(s) if s.count(name) == 1]
    if not found:
        return None
    sentence, name = found[int(text.rng.integers(len(found)))]
    wrong = _elsewhere(around.names, WRONG, lambda one: one not in text.text, text.rng)
    if len(wrong) < WRONG:
        return None
    choices = [name, *wrong]
    shown = [choices[int(i)] for i in text.rng.permutation(len(choices))]
    return "\n".join([sentence.replace(name, GAP, 1), *(f"- {one}" for one in shown)]), name


def _sentiment(text: _Text, around: _Around) -> Made | None:
    lexicon = _lexicon()[text.language]
    if text.chinese:
        counts = {side: sum(text.text.count(word) for word in known) for side, known in lexicon.items()}
    else:
        said = words(text.text)
        counts = {side: sum(word in known for word in said) for side, known in lexicon.items()}
    lead = counts["positive"] - counts["negative"]
    if abs(lead) < around.margin or min(counts.values()) > 0:
        return None
    labels = {"en": ("positive", "negative"), "zh": ("正面", "负面")}[text.language]
    return text.text, labels[0] if lead > 0 else labels[1]


RULES: Mapping[str, Rule] = {
    "title": _title,
    "summary": _summary,
    "cloze": _cloze,
    "order": _order,
    "follows": _follows,
    "entity": _entity,
    "sentiment": _sentiment,
}


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, dict[str, frozenset[str]]]:
    with as_file(files("icl.instructions") / "data" / "lexicon.yaml") as path:
        data, _ = read_yaml(path)
    return {
        language: {side: frozenset(known) for side, known in sides.items()}
        for language, sides in data.items()
    }
