"""What a file of instruction rows holds: the figures of a data card, counted in one pass."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from icl.instructions.diversity import Diversity, verb_and_object
from icl.instructions.rows import InstructionRow, key_of
from icl.instructions.similarity import WORD

NOT_STATED = "not stated"
EXAMPLES = 3
"""Of what a rule rejected."""
EXAMPLE_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words of a field, a CJK character each one, over the rows that have it."""

    rows: int
    mean: float
    median: float
    longest: int

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Lengths:
        """counts: length -> rows."""
        if not counts:
            return cls(0, 0.0, 0.0, 0)
        sizes = np.array(sorted(counts))
        rows = np.array([counts[int(size)] for size in sizes])
        total = int(rows.sum())
        ends = np.cumsum(rows)
        low, high = (sizes[np.searchsorted(ends, at, side="right")] for at in ((total - 1) // 2, total // 2))
        return cls(total, float(sizes @ rows) / total, float(low + high) / 2, int(sizes[-1]))


@dataclass
class Rejects:
    """What was left out, by rule, with the first few of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, rule: str, example: str) -> None:
        """One more."""
        self.counts[rule] += 1
        known = self.examples.setdefault(rule, [])
        if len(known) < EXAMPLES:
            known.append(example if len(example) <= EXAMPLE_LENGTH else example[:EXAMPLE_LENGTH] + "...")

    def merge(self, other: Rejects) -> None:
        """Those of another part besides."""
        for rule, count in other.counts.items():
            self.counts[rule] += count
            known = self.examples.setdefault(rule, [])
            known += other.examples.get(rule, [])[: EXAMPLES - len(known)]

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON, most frequent first."""
        return {
            rule: {"count": count, "examples": self.examples.get(rule, [])}
            for rule, count in self.counts.most_common()
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Rejects:
        """What `plain` gave."""
        made = cls()
        for rule, entry in plain.items():
            made.counts[rule] = int(entry["count"])
            made.examples[rule] = [str(text) for text in entry["examples"]]
        return made


@dataclass
class Counts:
    """Everything that is counted of rows, one after another."""

    rows: int = 0
    plain_texts: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    generators: Counter[str] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    demonstrations: Counter[int] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: dict[str, Counter[int]] = field(default_factory=dict)
    keys: array[int] = field(default_factory=lambda: array("Q"))
    prompts: array[int] = field(default_factory=lambda: array("Q"))
    """8 bytes a row each."""

    def add(self, row: InstructionRow) -> None:
        """One more."""
        self.rows += 1
        self.sources[row.source or NOT_STATED] += 1
        self.licences[row.licence or NOT_STATED] += 1
        self.generators[str(row.made.get("by", NOT_STATED))] += 1
        if model := row.made.get("model"):
            self.models[str(model)] += 1
        self.keys.append(row.key)
        if row.text:
            self.plain_texts += 1
            self._length("text", row.text)
            return
        if template := row.made.get("template"):
            self.templates[str(template)] += 1
        shots = row.made.get("shots", 0)
        self.demonstrations[shots if isinstance(shots, int) else 0] += 1
        self.pairs[verb_and_object(row.instruction)] += 1
        self.prompts.append(key_of((row.instruction, row.input)))
        for name in ("instruction", "input", "output"):
            if text := getattr(row, name):
                self._length(name, text)

    def _length(self, name: str, text: str) -> None:
        self.lengths.setdefault(name, Counter())[len(WORD.findall(text))] += 1

    @property
    def repeated(self) -> int:
        """Rows that another before them equals after normalisation."""
        return _repeated(self.keys)

    @property
    def asked_again(self) -> int:
        """Rows whose instruction and input another before them has, whatever the output."""
        return _repeated(self.prompts)


def _repeated(keys: array[int]) -> int:
    known = np.frombuffer(keys, dtype=np.uint64) if keys else np.zeros(0, dtype=np.uint64)
    return len(known) - len(np.unique(known))


def card_of(rows: Iterable[InstructionRow], about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The card of a corpus, as plain data. about: what its making adds (rejects, leaks, costs)."""
    counts = Counts()
    for row in rows:
        counts.add(row)
    total = max(counts.rows, 1)
    varied = Diversity(counts.pairs)

    def shares(found: Counter[Any]) -> dict[str, Any]:
        return {
            str(key): {"rows": n, "share": round(n / total, 4)} for key, n in sorted(found.items(), key=_most)
        }

    return {
        "rows": counts.rows,
        "plain_texts": counts.plain_texts,
        "sources": shares(counts.sources),
        "made_by": shares(counts.generators),
        "models": shares(counts.models),
        "templates": shares(counts.templates),
        "demonstrations": shares(counts.demonstrations),
        "licences": shares(counts.licences),
        "lengths": {
            name: {
                "rows": found.rows,
                "mean": round(found.mean, 1),
                "median": found.median,
                "longest": found.longest,
            }
            for name, sizes in counts.lengths.items()
            for found in (Lengths.of(sizes),)
        },
        "duplicates": {"rows": counts.repeated, "same_instruction_and_input": counts.asked_again},
        "diversity": {
            "verbs": len([verb for verb in varied.verbs if verb]),
            "pairs": varied.distinct,
            "most_frequent": [
                {"verb": verb, "object": thing, "rows": n}
                for (verb, thing), n in sorted(counts.pairs.items(), key=_most)[:20]
            ],
        },
        **(about or {}),
    }


def _most(entry: tuple[Any, int]) -> tuple[int, str]:
    """Most rows first, then by name: no order of a file's rows in it."""
    return -entry[1], str(entry[0])
