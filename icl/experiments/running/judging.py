"""The verdicts of a run: once all answers are there, a judge reads those that it has not read.

Its model is opened once, after the models that answered are gone, and asked through the same cache. Cells
keep their lines; another judge asks for no answer again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from icl.errors import IclError
from icl.experiments.asking.conversations import Window
from icl.experiments.asking.judging import check_labels, grade, open_judge
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.file.judges import JudgeChoice, digest_of, judge_of
from icl.experiments.folder.store import RunFolder
from icl.experiments.folder.verdicts import JudgeEntry
from icl.experiments.grid.check import Checked
from icl.experiments.records import Cell, CellResult, slug_of
from icl.experiments.running.progress import Meter
from icl.experiments.running.restored import let_go
from icl.judging import Item
from icl.protocols import Reporting
from icl.thinking import thinking_spans
from icl.types import Example, Prediction, Task, Usage

log = logging.getLogger("icl")


class Unanswered(Meter):
    """What a judge's calls add to a run's meter: tokens and requests, no predictions."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def response(self, usage: Usage, cached: bool) -> None:
        """See Meter."""
        self._meter.response(usage, cached)

    def expects(self, requests: int) -> None:
        """See Meter."""
        self._meter.expects(requests)

    def asks(self, conversations: int) -> None:
        """See Meter."""
        self._meter.asks(conversations)

    def predicted(self, flags: tuple[str, ...]) -> None:
        """See Meter: a verdict is no prediction, but waits no more."""
        self._meter.settled()


class Judging:
    """The judge of an experiment and its verdicts in a run folder."""

    def __init__(self, checked: Checked, folder: RunFolder, choice: JudgeChoice) -> None:
        self._checked = checked
        self._folder = folder
        self._choice = choice
        self._judge = choice.build()
        name = choice.component.name
        entry = JudgeEntry(choice.label, digest_of(self._judge, choice.label), "", name)
        slug = slug_of([name, choice.experiment.model_label], entry.plain)
        held = folder.judge
        print_ = held.fingerprint if held is not None and held.digest == entry.digest else ""
        self.entry = JudgeEntry(entry.label, entry.digest, slug, name, print_)

    @classmethod
    def of(cls, checked: Checked, folder: RunFolder) -> Judging | None:
        """None where no judge is named; the folder then shows none. Raises ConfigError where its model gives
        no scores of labels, before any model loads."""
        choice = judge_of(checked.experiment, checked.source)
        if choice is None:
            if folder.judge is not None:
                folder.update_manifest(judge=None)
            return None
        judging = cls(checked, folder, choice)
        try:
            check_labels(choice, judging._judge)
        except IclError as error:
            place = ("metric", "judge", choice.component.name)
            raise checked.source.error(place, str(error)) from error
        folder.update_manifest(judge=judging.entry.plain)
        return judging

    def left(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Complete cells that it has not judged as they are."""
        whole = [result for cell in cells if (result := self._folder.result(cell)).complete]
        return [result for result in whole if self._folder.verdicts.read(result.cell, self.entry) is None]

    def run(
        self,
        cells: Sequence[Cell],
        store: ResponseStore,
        window: Window,
        meter: Meter,
        max_memory: int | None = None,
    ) -> list[str]:
        """Judges what is left of these cells. What computed, for the manifest; [] where nothing was left.
        Raises IclError."""
        left = self.left(cells)
        if not left:
            return []
        let_go()
        label = self._choice.experiment.model_label
        meter.note(f"judge {self.entry.name}: loading {label}")
        model = open_judge(self._choice, max_memory=max_memory)
        if isinstance(model, Reporting):
            model.report_to(meter.forwards)
        if self.entry.fingerprint != model.fingerprint:
            was, known = self.entry, self.entry.plain | {"fingerprint": model.fingerprint}
            self.entry = JudgeEntry(**known)
            self._folder.update_manifest(judge=self.entry.plain)
            if was.fingerprint:
                log.warning("judge %s: its model is another than it was: all is judged again", label)
            left = self.left(cells)
        items = [item for result in left for item in self._items(result)]
        meter.note(f"judge {self.entry.name}: {len(items)} answers")
        graded = iter(grade(self._judge, items, model, store, Unanswered(meter), window))
        for result in left:
            mine = [next(graded) for _ in result.predictions]
            self._folder.verdicts.write(result.cell, self.entry, [(one.verdict, one.usage) for one in mine])
        self._report(left)
        return [f"judge {getattr(model, 'engine', type(model).__name__)}"]

    def _report(self, judged: Sequence[CellResult]) -> None:
        lost = sum(
            verdict.label is None
            for result in judged
            if (found := self._folder.verdicts.read(result.cell, self.entry)) is not None
            for verdict in found.verdicts
        )
        if lost:
            log.warning(
                "judge %s: %d answers could not be graded; they count neither way", self.entry.name, lost
            )

    def _items(self, result: CellResult) -> list[Item]:
        cell = result.cell
        task = self._checked.tasks[cell.task].task
        known = {e.id: e for e in self._checked.splits[cell.task, cell.seed].test}
        return [item_of(known[p.query_id], task, answer_of(p, task)) for p in result.predictions]


def answer_of(prediction: Prediction, task: Task) -> str:
    """What is judged: the text that was written, without its thinking; of methods that score, the answer's
    words."""
    text = prediction.output
    for start, end in reversed(thinking_spans(text, task.reading.think)[0]):
        text = text[:start] + text[end:]
    if text.strip() or prediction.answer is None:
        return text.strip()
    return task.verbalise(prediction.answer)


def item_of(example: Example, task: Task, answer: str) -> Item:
    """An answer to a test item, for a judge: inputs by name where there are several, choices below them."""
    values: Mapping[str, str] = example.inputs
    lines = (
        list(values.values()) if len(values) == 1 else [f"{name}: {text}" for name, text in values.items()]
    )
    lines += [f"({letter}) {text}" for letter, text in example.choices.items()]
    golds = tuple(_in_words(gold, example, task) for gold in example.golds)
    shown = answer
    if answer in example.choices:
        shown = _in_words(answer, example, task)
    return Item(example.id, "\n".join(lines), shown, golds, language=task.language)


def _in_words(target: str, example: Example, task: Task) -> str:
    if target in example.choices:
        return f"({target}) {example.choices[target]}"
    return task.verbalise(target)
