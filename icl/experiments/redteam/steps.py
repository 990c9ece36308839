"""The three steps of one way of asking: questions, answers, verdicts. They know no folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from icl import seeding
from icl.experiments.asking.cache import CachedModel
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.judging import grade
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.corpus.making import LEAST_ROOM, as_solve, room_after
from icl.experiments.redteam.check import CheckedRedTeam
from icl.experiments.running.progress import Meter
from icl.instructions.card import Rejects
from icl.instructions.contract import Work
from icl.instructions.rows import InstructionRow, from_line, to_line
from icl.judging import Item, Verdict
from icl.protocols import LanguageModel, Solve
from icl.redteam.writing import FEW_SHOT, WRITTEN, Graded, Seen
from icl.thinking import thinking_spans
from icl.types import NO_USAGE, GenerateRequest, Generation, Outcome, Prompt, Usage

QUESTIONS, ANSWERS, VERDICTS = "questions", "answers", "verdicts"
KINDS = (QUESTIONS, ANSWERS, VERDICTS)
TOO_LONG = "too long for the target's context"
CUT_ANSWER, EMPTY_ANSWER = "answer_cut", "answer_empty"
"""Flags of an answer."""


Lines: TypeAlias = Callable[[str, str], Sequence[str]]
"""(way, kind) -> the lines of a step that is done."""


@dataclass
class Made:
    """What a step gave."""

    lines: list[str] = field(default_factory=list)
    """Of its file."""
    rejects: Rejects = field(default_factory=Rejects)
    usage: Usage = NO_USAGE
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Desk:
    """Where steps are done."""

    checked: CheckedRedTeam
    store: ResponseStore
    meter: Meter
    window: Window
    rehearsal: bool = False

    def do(self, way: str, kind: str, model: LanguageModel | None, done: Lines) -> Made:
        """A step. model: None for questions that people wrote. done: what earlier steps gave."""
        if kind == ANSWERS:
            assert model is not None
            return self._answers(rows_in(done(way, QUESTIONS)), model)
        if kind == VERDICTS:
            assert model is not None
            return self._verdicts(rows_in(done(way, ANSWERS)), model)
        file = self.checked.file
        before = file.ways[: file.ways.index(way)]
        earlier = [row.instruction for other in before for row in rows_in(done(other, QUESTIONS))]
        if way == WRITTEN:
            return self._taken_over(earlier)
        assert model is not None, f"{way} asks a model"
        pool: list[Graded] = []
        if way == FEW_SHOT:
            verdicts = [verdict_from(line) for line in done(file.pool, VERDICTS)]
            pool = pool_of(rows_in(done(file.pool, QUESTIONS)), verdicts)
        return self._questions(way, model, earlier, pool)

    def _questions(
        self, way: str, model: LanguageModel, earlier: Sequence[str], pool: Sequence[Graded]
    ) -> Made:
        """Rows without an answer. earlier: questions of other ways. pool: what shots are drawn from."""
        made, file = Made(), self.checked.file
        cached = CachedModel(model, self.store, observer=self.meter)

        def keep(row: InstructionRow) -> bool:
            made.lines.append(to_line(row))
            self.meter.predicted(())
            return True

        def room(prompt: str, wanted: int) -> int:
            return room_after(prompt, wanted, cached, way)

        def finished(talk: Conversation[str], outcome: Outcome) -> None:
            made.usage = talk.usage

        place, reject = self.checked.place, made.rejects.add
        work = Work(way, file.seed, place, keep, reject, room, model.name, self.rehearsal, made.notes)
        asked = file.asked(way)
        assert asked is not None
        talk = Conversation(way, as_solve(asked.asking.ask(work, earlier, pool)))
        converse(iter([talk]), cached, self.window, finished, self.meter.asks)
        return made

    def _taken_over(self, earlier: Sequence[str]) -> Made:
        """Questions of people, as they wrote them."""
        made, seen = Made(), Seen(earlier)
        for text in self.checked.written:
            if (rule := seen.refuses(text)) is not None:
                made.rejects.add(rule, text)
                continue
            row = InstructionRow(f"{WRITTEN}/{seen.kept}", text, source=WRITTEN, made={"by": WRITTEN})
            made.lines.append(to_line(row))
            seen.add(text)
            self.meter.predicted(())
        return made

    def _answers(self, rows: Sequence[InstructionRow], model: LanguageModel) -> Made:
        """The rows with what the target wrote; one that its context does not hold is left out."""
        made = Made()
        cached = CachedModel(model, self.store, observer=self.meter)
        found: dict[int, InstructionRow] = {}
        paid: set[int] = set()

        def talks() -> Iterator[Conversation[int]]:
            for at, row in enumerate(rows):
                if (request := self._request(row, model)) is None:
                    made.rejects.add(TOO_LONG, row.instruction)
                    continue
                yield Conversation(at, _answered(request), paid)

        def done(talk: Conversation[int], outcome: Outcome) -> None:
            made.usage += talk.usage
            row = rows[talk.tag]
            told = {**row.made, **({"flags": list(outcome.flags)} if outcome.flags else {})}
            found[talk.tag] = replace(row, output=outcome.output, made=told)
            self.meter.predicted(outcome.flags)

        converse(talks(), cached, self.window, done, self.meter.asks)
        made.lines = [to_line(found[at]) for at in sorted(found)]
        return made

    def _request(self, row: InstructionRow, model: LanguageModel) -> GenerateRequest | None:
        """None where no room is left for an answer."""
        file = self.checked.file
        seed = seeding.stream_key(file.seed, "redteam answer", row.id) % 2**63
        request = file.answer.request(row.instruction, model.tokenizer, seed)
        left = model.context_length - len(model.tokenizer.encode(str(request.prompt)))
        if left < min(LEAST_ROOM, request.max_tokens):
            return None
        return replace(request, max_tokens=min(request.max_tokens, left))

    def _verdicts(self, rows: Sequence[InstructionRow], model: LanguageModel) -> Made:
        """A verdict an answer."""
        items = [Item(row.id, row.instruction, row.output) for row in rows]
        graded = grade(self.checked.judge, items, model, self.store, self.meter, self.window)
        lines = [to_verdict_line(item.id, one.verdict) for item, one in zip(items, graded, strict=True)]
        return Made(lines, usage=Usage.total(one.usage for one in graded))


def _answered(request: GenerateRequest) -> Solve:
    """One answer, without its thinking."""
    (response,) = yield [request]
    assert isinstance(response, Generation)
    (sample,) = response.samples
    text = sample.text
    for start, end in reversed(thinking_spans(text)[0]):
        text = text[:start] + text[end:]
    text = text.strip()
    flags = (CUT_ANSWER,) * (sample.stop_reason == "length") + (EMPTY_ANSWER,) * (not text)
    return Outcome(None, Prompt(""), output=text, flags=flags)


def to_verdict_line(id_: str, verdict: Verdict) -> str:
    """A line of JSON without its end."""
    return json.dumps({"id": id_, **verdict.plain}, ensure_ascii=False, separators=(",", ":"))


def verdict_from(line: str) -> tuple[str, Verdict]:
    """What `to_verdict_line` wrote. ValueError, KeyError or TypeError for another."""
    record = json.loads(line)
    return record["id"], Verdict.of(record)


def rows_in(lines: Sequence[str]) -> list[InstructionRow]:
    """Questions, with their answers where they have one."""
    return [from_line(line) for line in lines]


def badness(verdict: Verdict) -> float | None:
    """The largest P(broken) of any rule: the score by which a question is shown; None where nothing was
    graded."""
    return max(verdict.probabilities.values(), default=None)


def pool_of(rows: Sequence[InstructionRow], verdicts: Sequence[tuple[str, Verdict]]) -> list[Graded]:
    """Questions with a score, in their order."""
    scores = {id_: badness(verdict) for id_, verdict in verdicts}
    found = ((row, scores.get(row.id)) for row in rows)
    return [Graded(row, score) for row, score in found if score is not None]
