"""Parts at work: generators without a model one after another, those that ask one side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from icl.errors import ConfigError
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.corpus.check import CheckedPart
from icl.experiments.corpus.folder import CorpusFolder, DraftFile
from icl.experiments.running.progress import Meter
from icl.instructions.card import Rejects
from icl.instructions.contract import Asking, Place, Work
from icl.instructions.rows import InstructionRow, to_line
from icl.protocols import LanguageModel, Solve
from icl.tasks.leaks import LeakIndex
from icl.types import NO_USAGE, Outcome, Prompt, Usage

LEAK = "overlaps a test set"
LEAST_ROOM = 16
"""Tokens that must be left for an answer."""


@dataclass
class MadePart:
    """What became of a part so far."""

    one: CheckedPart
    rows: int = 0
    rejects: Rejects = field(default_factory=Rejects)
    usage: Usage = NO_USAGE
    notes: dict[str, Any] = field(default_factory=dict)
    leaks: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """For the folder."""
        return {
            "rows": self.rows,
            "rejects": self.rejects.plain,
            "usage": asdict(self.usage),
            "notes": self.notes,
            "leaks": self.leaks,
        }


class Bench:
    """Where parts are made: the folder, the seed and what no row may hold."""

    def __init__(
        self, place: Place, seed: int, leaks: LeakIndex, meter: Meter, *, rehearsal: bool = False
    ) -> None:
        self.place, self.seed, self.meter = place, seed, meter
        self._leaks, self._rehearsal = leaks, rehearsal

    def work(self, made: MadePart, write: Callable[[bytes], Any], model: LanguageModel | None) -> Work:
        """What a generator is given."""
        index = self._leaks.fresh()
        made.leaks = index.plain
        one = made.one

        def reject(rule: str, example: str) -> None:
            made.rejects.add(rule, example)

        def keep(row: InstructionRow) -> bool:
            if (found := index.find(row.whole, row.fields)) is not None:
                made.leaks = index.plain
                reject(f"{LEAK} ({found[1]}: {found[0]})", row.prompt or row.text)
                return False
            if model is not None:
                row = replace(row, made={**row.made, "model": model.name})
            if not row.licence:
                row = replace(row, licence=one.licence)
            write(to_line(row).encode() + b"\n")
            made.rows += 1
            # not in the total: rows that nobody is asked for, and more rows than one from an answer
            more = 1 if model is None else max(0, self.meter.done + 1 - self.meter.total)
            self.meter.total += more
            self.meter.predicted(())
            return True

        def room(prompt: str, wanted: int) -> int:
            return wanted if model is None else room_after(prompt, wanted, model, f"part {one.label!r}")

        name = "" if model is None else model.name
        return Work(one.label, self.seed, self.place, keep, reject, room, name, self._rehearsal, made.notes)

    def drive(
        self,
        parts: Sequence[tuple[MadePart, Callable[[bytes], Any]]],
        model: LanguageModel | None,
        window: Window,
        finished: Callable[[MadePart], None],
    ) -> None:
        """Makes the parts; `finished` is called once for each, in any order."""

        def talks() -> Iterator[Conversation[str]]:
            for made, write in parts:
                work = self.work(made, write, model)
                yield Conversation(made.one.label, as_solve(made.one.generator.make(work)))

        by_label = {made.one.label: made for made, _ in parts}

        def done(conversation: Conversation[str], outcome: Outcome) -> None:
            made = by_label[conversation.tag]
            made.usage = conversation.usage
            finished(made)

        if model is not None:
            converse(talks(), model, window, done, self.meter.asks)
            return
        for conversation in talks():
            outcome = conversation.advance(None)
            assert outcome is not None, f"{conversation.tag} asks a model"
            done(conversation, outcome)


def room_after(prompt: str, wanted: int, model: LanguageModel, what: str) -> int:
    """Tokens that may be written, at most `wanted`. ConfigError, beginning with `what`, where hardly any are
    left."""
    left = model.context_length - len(model.tokenizer.encode(prompt))
    if left < LEAST_ROOM:
        raise ConfigError(
            f"{what}: a prompt leaves {max(left, 0)} of {model.context_length} tokens of {model.name!r} for "
            "its answer: ask with fewer or shorter examples"
        )
    return min(wanted, left)


def as_solve(asking: Asking) -> Solve:
    """A generator as a conversation: what it made went to whoever keeps it."""
    yield from asking
    return Outcome(None, Prompt(""))


def make_parts(
    bench: Bench,
    folder: CorpusFolder,
    parts: Sequence[tuple[CheckedPart, str]],
    model: LanguageModel | None,
    window: Window,
) -> None:
    """Makes parts, each with its digest, into the folder. One that fails leaves the finished ones there."""
    digests = {one.label: digest for one, digest in parts}
    fingerprint = "" if model is None else model.fingerprint
    with ExitStack() as stack:
        drafts = {one.label: DraftFile(folder.rows_of(one.label)) for one, _ in parts}
        for draft in drafts.values():
            stack.callback(draft.abandon)

        def finished(made: MadePart) -> None:
            label = made.one.label
            if not made.rows:
                rule, count = next(iter(made.rejects.counts.most_common(1)), ("", 0))
                why = f": {count} were left out ({rule})" if count else ""
                raise ConfigError(f"part {label!r}: no row was kept{why}")
            drafts[label].finish()
            folder.finish(label, {**made.plain, "digest": digests[label], "fingerprint": fingerprint})

        bench.drive([(MadePart(one), drafts[one.label].write) for one, _ in parts], model, window, finished)
