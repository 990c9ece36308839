"""Preference pairs in the form that trl reads: prompt, chosen, rejected (its explicit-prompt preference
format)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from icl.errors import DataError
from icl.feedback.annotations import Comparison, Feedback


@dataclass(frozen=True, slots=True)
class Preferences:
    """Pairs, and what became of the rest."""

    rows: tuple[tuple[str, str, str], ...]
    """(prompt, chosen, rejected), by the first annotation of each pair."""
    undecided: int
    """Pairs of which as many annotators prefer the one as the other: left out."""
    alike: int
    """Pairs whose two texts are the same: left out."""

    def lines(self, chat: bool = False) -> Iterator[str]:
        """Lines of JSON. chat: as messages, to which trl applies the model's chat template; else as texts,
        which it joins as they are."""
        for prompt, chosen, rejected in self.rows:
            row: dict[str, object] = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
            if chat:
                row = {
                    key: [{"role": "user" if key == "prompt" else "assistant", "content": text}]
                    for key, text in row.items()
                }
            yield json.dumps(row, ensure_ascii=False)


def preferences(feedback: Feedback, comparisons: Sequence[Comparison]) -> Preferences:
    """A pair an item and two candidates: the one that most annotators prefer is chosen.

    DataError where a row has no prompt or no text of a candidate, where the file compares nothing, and where
    it asks several questions.
    """
    if not comparisons:
        raise DataError(
            f"{feedback.file}: --pairs: nothing is compared in annotations of kind {feedback.kind}"
        )
    questions = list(dict.fromkeys(one.question for one in comparisons))
    if len(questions) > 1:
        raise DataError(
            f"{feedback.file}: --pairs: {len(questions)} qualities ({', '.join(questions)}), which may "
            "prefer unlike answers; say one with --quality"
        )
    prompts = {row.item: row.prompt for row in feedback.rows if row.prompt is not None}
    texts = {(row.item, name): text for row in feedback.rows for name, text in row.texts.items()}
    margins: dict[tuple[str, str, str], float] = {}
    for one in comparisons:
        _check(one, prompts, texts)
        first, second = sorted((one.first, one.second))
        sign = 1 if first == one.first else -1
        key = (one.item, first, second)
        margins[key] = margins.get(key, 0.0) + sign * (one.score - 0.5)
    rows, undecided, alike = [], 0, 0
    for (item, first, second), margin in margins.items():
        better, worse = (first, second) if margin > 0 else (second, first)
        if margin == 0:
            undecided += 1
        elif texts[item, better] == texts[item, worse]:
            alike += 1
        else:
            rows.append((prompts[item], texts[item, better], texts[item, worse]))
    return Preferences(tuple(rows), undecided, alike)


def _check(one: Comparison, prompts: dict[str, str], texts: dict[tuple[str, str], str]) -> None:
    if one.item not in prompts:
        raise DataError(f"{one.where}: prompt is missing, which --pairs writes")
    for name in (one.first, one.second):
        if (one.item, name) not in texts:
            raise DataError(f"{one.where}: the text of candidate {name!r} is missing, which --pairs writes")
