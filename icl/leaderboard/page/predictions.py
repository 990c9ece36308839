"""The predictions of one cell, a column a quantity: what a block of the page holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icl.engine.requests.encoding import encode_texts
from icl.errors import DataError, IclError
from icl.experiments.audit import Audit, Auditor
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.names import MAJORITY
from icl.leaderboard.page.packing import codes, short, short_numbers
from icl.leaderboard.page.shared import Beginnings
from icl.leaderboard.page.texts import Examples, Texts, utf16
from icl.leaderboard.show import prompt_parts
from icl.prompts.answers import parse
from icl.types import Example, Prediction, Task

KINDS = {"instruction": "i", "demonstration": "d", "query": "q"}


class Columns:
    """Turns the cells of one run folder into blocks; texts and examples go to tables that cells share."""

    def __init__(self, auditor: Auditor, texts: Texts, beginnings: Beginnings) -> None:
        self._auditor, self._texts, self._beginnings = auditor, texts, beginnings
        self._lengths: dict[tuple[str, tuple[int, ...]], int] = {}

    def of(self, result: CellResult, examples: Examples) -> dict[str, Any]:
        """JSON-able columns; a column that is empty in every prediction is left out."""
        predictions = result.predictions
        try:
            task, known = self._auditor.texts(result.cell.task)
        except IclError:
            task, known = None, {}
        answers, answered = codes([p.answer for p in predictions])
        golds, gold = codes([p.gold for p in predictions])
        flags, _ = codes([flag for p in predictions for flag in p.flags])
        at = {flag: i for i, flag in enumerate(flags)}
        columns: dict[str, Any] = {
            "n": len(predictions),
            "query": [examples.place(p.query_id, known.get(p.query_id)) for p in predictions],
            "answers": answers,
            "answer": answered,
            "golds": golds,
            "gold": gold,
            "correct": "".join("1" if p.correct else "0" for p in predictions),
            "flags": flags,
            "flag": [[at[flag] for flag in p.flags] for p in predictions],
            "shown": [[examples.place(i, known.get(i)) for i, _ in p.demonstrations] for p in predictions],
            "score": [[short(score) for _, score in p.demonstrations] for p in predictions],
            "why": _whys(predictions),
            "dropped": [[[d.id, d.reason] for d in p.dropped] for p in predictions],
            "details": [short_numbers(p.details) for p in predictions],
            "usage": [
                [u.tokens_flat, u.tokens_unique, u.tokens_generated, short(u.seconds), u.requests]
                for u in (p.usage for p in predictions)
            ],
            **_labels(predictions),
            **self._outputs(predictions, task, known),
            **self._prompts(result),
        }
        return {name: column for name, column in columns.items() if name in NEEDED or _says(column)}

    def _outputs(
        self, predictions: Sequence[Prediction], task: Task | None, known: Mapping[str, Example]
    ) -> dict[str, Any]:
        """What the model wrote, and where its answer was read; the same of chains that were kept."""
        chained = [_chains_of(p) for p in predictions]
        return {
            "output": [self._texts.number(p.output) if p.output else -1 for p in predictions],
            "span": [
                read_span(p.output, p.answer, task, known.get(p.query_id), p.details.get("span"))
                for p in predictions
            ],
            "chain_spans": [
                [read_span(c["text"], c.get("answer"), task, known.get(p.query_id)) for c in chains] or 0
                for p, chains in zip(predictions, chained, strict=True)
            ],
        }

    def _prompts(self, result: CellResult) -> dict[str, Any]:
        """The prompts in pieces that are stored once, their length, and what was in the way."""
        notes: dict[tuple[str, ...], int] = {}
        pieces, kinds, noted = list[tuple[int, ...]](), list[str](), list[int]()
        unknown: dict[tuple[int, ...], str] = {}
        for prediction in result.predictions:
            text = ""
            try:
                if result.cell.selector == MAJORITY:
                    raise DataError("The majority class answers without a prompt.")
                audit = self._auditor.audit(result.cell, prediction)
                parts, text, said = parts_of(audit), audit.prompt.text, audit.notes
            except (IclError, OSError) as error:
                parts, said = [], (str(error),)
            pieces.append(tuple(self._texts.number(piece) for _, piece in parts))
            kinds.append("".join(KINDS[kind] for kind, _ in parts))
            noted.append(notes.setdefault(said, len(notes)))
            if text and (result.cell.model, pieces[-1]) not in self._lengths:
                unknown[pieces[-1]] = text
                if len(unknown) >= COUNTED:
                    self._count(result.cell, unknown)
        self._count(result.cell, unknown)
        tokens = [self._lengths.get((result.cell.model, one), 0) for one in pieces]
        self._beginnings.add(result.cell, pieces)
        patterns, pattern = codes(kinds)
        return {
            "pieces": pieces,
            "kinds": patterns,
            "kind": pattern,
            "tokens": tokens,
            "notes": [list(said) for said in notes],
            "note": noted,
        }

    def _count(self, cell: Cell, prompts: dict[tuple[int, ...], str]) -> None:
        """Takes note of the tokens of these prompts, once each and in one call; without the model's tokenizer
        of none. Empties `prompts`."""
        known, lacking = self._auditor.tokenizer(cell) if prompts else (None, "")
        if known is not None and not lacking:
            found = encode_texts(known.tokenizer, list(prompts.values()))
            for pieces, ids in zip(prompts, found, strict=True):
                self._lengths[cell.model, pieces] = len(ids)
        prompts.clear()


COUNTED = 256
"""Prompts whose tokens are counted in one call."""
NEEDED = frozenset(
    {"n", "query", "answers", "answer", "golds", "gold", "correct", "flags", "kind", "note", "labelled"}
)


def _says(column: Any) -> bool:
    """Whether anything in a column is not empty."""
    if isinstance(column, dict):
        return bool(column)
    return any(item not in (0, -1, None, [], (), {}) for item in column)


def parts_of(audit: Audit) -> list[tuple[str, str]]:
    """The prompt in pieces, as `icl show` colours it."""
    return prompt_parts(
        audit.prompt,
        {example.id: example for example in audit.examples},
        separator=audit.task.template.separator,
        instruction=audit.task.instruction,
        query=audit.query,
    )


def _whys(predictions: Sequence[Prediction]) -> dict[str, list[list[Any]]]:
    """Reason -> one list a prediction, one entry a demonstration (None where it has no such reason)."""
    names = dict.fromkeys(name for p in predictions for reasons in p.why for name in reasons)
    return {
        name: [[short_numbers(reasons.get(name)) for reasons in p.why] for p in predictions] for name in names
    }


def _labels(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Label scores: one list of names where all predictions have the same, else one each."""
    if not any(p.label_scores for p in predictions):
        return {}
    sets = {tuple(p.label_scores): None for p in predictions if p.label_scores}
    order = {names: i for i, names in enumerate(sets)}
    return {
        "labels": [list(names) for names in sets],
        "labelled": [order.get(tuple(p.label_scores), -1) for p in predictions],
        "label_score": [[short(score) for score in p.label_scores.values()] for p in predictions],
    }


def _chains_of(prediction: Prediction) -> list[dict[str, Any]]:
    """The chains, if all of them were kept with their texts; else []."""
    chains = prediction.details.get("chains") or []
    whole = isinstance(chains, list) and all(
        isinstance(c, dict) and isinstance(c.get("text"), str) for c in chains
    )
    return chains if whole else []


def read_span(
    text: str, answer: Any, task: Task | None, example: Example | None, span: Any = None
) -> list[int] | int:
    """[start, end] of what was read as the answer, as JavaScript counts; 0 where that is not known.

    Where the run did not write it down as `span`, the text is read again, and counts if the same comes out.
    """
    if not text or not isinstance(answer, str):
        return 0
    if not span and task is not None and example is not None:
        found = parse(text, task, example.query, where="trigger")
        span = found.span if found.answer == answer else None
    if not isinstance(span, list | tuple) or len(span) != 2 or not all(type(n) is int for n in span):
        return 0
    return [utf16(text, span[0]), utf16(text, span[1])]
