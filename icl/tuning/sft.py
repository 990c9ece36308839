"""Supervised fine-tuning on instruction data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from icl.components import check_choice, check_flag, check_number
from icl.engine.fake import ByteTokenizer
from icl.protocols import TuningResources, tuners
from icl.tasks import TaskData
from icl.training import TrainingRow, Tuned
from icl.tuning.shared.corpus import LAYOUTS, InstructionRows, Layout, plain_texts
from icl.tuning.shared.mixed import PRETRAINING, MixedWork, check_mix, shares_of
from icl.tuning.shared.overlap import refuse_overlap
from icl.tuning.shared.regime import Regime
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tuner import RowWork, check_pool
from icl.types import Example, Task

BLANK_LINE = "\n\n"
"""Ends an answer that is no turn of a chat where it is learned for all tasks, whatever their separators."""


@tuners.register("sft", paper="Taori et al. 2023, Stanford Alpaca: An Instruction-following LLaMA model")
@dataclass(kw_only=True)
class Sft(Regime):
    """Trained on a file of instructions and their answers, loss on the answers alone; any task may follow.

    file: one or a list of JSONL or JSON files whose rows have prompt and completion, instruction, output and
    perhaps input, messages (every turn of the assistant is learned, behind all that was said before it), or
    text (all of it is learned). pool: whether the task's pool is trained on too. mix: how the files and the
    pool are drawn: {cap, temperature, quality: {file or pool: weight}, pretraining: {file, share}}, see
    `icl.mixing`; without it epochs over all rows. layout: how an instruction is written, "alpaca" or "chat".
    rows: at most so many of each file, drawn by the seed; 0 is all. Rows that hold an item of the asked test
    set are refused.
    """

    name = "sft"
    example_parameters: ClassVar[dict[str, Any]] = {"pool": True}
    file: str | Sequence[str] | None = None
    pool: bool = False
    mix: Mapping[str, Any] | None = None
    layout: Layout = "alpaca"
    rows: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("pool", self.pool)
        check_choice("layout", self.layout, LAYOUTS)
        check_number("rows", self.rows, low=0, whole=True)
        names = self.files
        given = self.file is None or isinstance(self.file, str | list | tuple)
        if not given or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError(f"file is {self.file!r}; allowed: the name of a JSONL or JSON file, or a list")
        if len({Path(name).name for name in names}) < len(names):
            raise ValueError(f"file is {self.file!r}; allowed: files of different names")
        if not names and not self.pool:
            raise ValueError("nothing to train on: give file, or pool: true")
        if self.mix is not None:
            check_mix(self.mix)
            self.refuse_refit()

    @property
    def files(self) -> list[str]:
        """The files of instruction rows."""
        return [] if self.file is None else [self.file] if isinstance(self.file, str) else list(self.file)

    @property
    def plain_file(self) -> str | None:
        """The file of plain text, where the mixture has a share of it."""
        plain = (self.mix or {}).get(PRETRAINING)
        return None if plain is None else str(plain["file"])

    @property
    def uses_pool(self) -> bool:
        """Trained on, or chosen by."""
        return self.pool or self.inner.chooses

    @property
    def one_for_all(self) -> bool:
        """Whether what is trained is the same whatever task is asked: the task has no part in it."""
        return not self.uses_pool

    def check(self, task: Task, load: Callable[[str], TaskData]) -> None:
        """Whether every row has a known form, and none holds an item of the test set."""
        for name in self.files:
            InstructionRows(ByteTokenizer(), self.layout, "", ends=False).read(Path(name))
        plain = self.plain_file
        for name in [*self.files, *([plain] if plain is not None else [])]:
            refuse_overlap(Path(name), {task.name: load(task.name).test})
        if plain is not None:
            plain_texts(Path(plain))
        if self.mix is not None:
            names = [Path(name).name for name in self.files] + ["pool"] * self.pool
            names += [PRETRAINING] if plain is not None else []
            shares_of(self.mix, names, [1] * len(names))

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner. Raises DataError naming file and line of a row of no known form."""
        inner = self.inner
        sources, notes = self._corpus(resources)
        if self.pool or inner.chooses:
            check_pool(self.name, pool, resources)
        kept, held = inner.split(pool, resources) if self.pool or inner.chooses else ([], [])
        task, renderer = resources.task, resources.renderer
        if self.pool:
            sources["pool"] = task_rows(kept, task, renderer, inner.end)
        validation, whole = inner.validation_of(held, resources), None
        if self.mix is not None:
            if self.plain_file is not None:
                sources[PRETRAINING] = self._plain(Path(self.plain_file))
            work: RowWork = MixedWork(sources, self.mix, inner, resources, validation)
        else:
            corpus = [row for name, rows in sources.items() if name != "pool" for row in rows]
            work = RowWork([*corpus, *sources.get("pool", [])], inner, resources, validation)
            if inner.refit and held and self.pool:
                everything = task_rows(pool, task, renderer, inner.end)
                whole = RowWork([*corpus, *everything], inner, resources, None)
            notes["epochs"] = round(inner.steps * inner.batch_size / len(work.rows), 3)
        return self.learn(work, resources, {**work.notes, **notes}, whole=whole)

    def _corpus(self, resources: TuningResources) -> tuple[dict[str, list[TrainingRow]], dict[str, Any]]:
        """The rows of each file, and what is to be said of them."""
        ends = self.inner.end != "never"
        end = resources.renderer.end
        if self.one_for_all and end == resources.task.template.separator:
            end = BLANK_LINE
        sources: dict[str, list[TrainingRow]] = {}
        notes: dict[str, Any] = {}
        for name in self.files:
            reader = InstructionRows(resources.tokenizer, self.layout, end, ends=ends)
            found = reader.read(Path(name))
            notes["rows_of_file"] = notes.get("rows_of_file", 0) + len(found)
            if reader.empty:
                notes["rows_without_answer"] = notes.get("rows_without_answer", 0) + reader.empty
            if 0 < self.rows < len(found):
                drawn = resources.generator("sft rows").permutation(len(found))[: self.rows]
                found = [found[i] for i in sorted(int(i) for i in drawn)]
                notes["rows_drawn"] = notes.get("rows_drawn", 0) + len(found)
            sources[Path(name).name] = found
        return sources, notes

    def _plain(self, path: Path) -> list[TrainingRow]:
        """Plain texts, of which every token is learned."""
        texts = enumerate(plain_texts(path))
        return [TrainingRow(f"{path.name}:{at}", "", text, path.name) for at, text in texts if text.strip()]
