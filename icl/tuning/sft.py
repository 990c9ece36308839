"""Supervised fine-tuning on instruction data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from icl.components import check_choice, check_flag, check_number
from icl.engine.fake import ByteTokenizer
from icl.protocols import TuningResources, tuners
from icl.tasks import TaskData
from icl.training import TrainingRow, Tuned
from icl.tuning.shared.corpus import LAYOUTS, InstructionRows, Layout
from icl.tuning.shared.regime import Regime
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tuner import RowWork, check_pool
from icl.types import Example, Task


@tuners.register("sft", paper="Taori et al. 2023, Stanford Alpaca: An Instruction-following LLaMA model")
@dataclass(kw_only=True)
class Sft(Regime):
    """Trained on a file of instructions and their answers, loss on the answers alone; any task may follow.

    file: JSONL or JSON whose rows have prompt and completion, instruction, output and perhaps input, or
    messages (every turn of the assistant is learned, behind all that was said before it). pool: whether the
    task's pool is trained on too. layout: how an instruction is written, "alpaca" or "chat". rows: at most so
    many of the file, drawn by the seed; 0 is all.
    """

    name = "sft"
    example_parameters: ClassVar[dict[str, Any]] = {"pool": True}
    file: str | None = None
    pool: bool = False
    layout: Layout = "alpaca"
    rows: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("pool", self.pool)
        check_choice("layout", self.layout, LAYOUTS)
        check_number("rows", self.rows, low=0, whole=True)
        if self.file is not None and not (isinstance(self.file, str) and self.file.strip()):
            raise ValueError(f"file is {self.file!r}; allowed: the name of a JSONL or JSON file")
        if self.file is None and not self.pool:
            raise ValueError("nothing to train on: give file, or pool: true")

    @property
    def uses_pool(self) -> bool:
        """Trained on, or chosen by."""
        return self.pool or self.inner.chooses

    def check(self, task: Task, load: Callable[[str], TaskData]) -> None:
        """Whether every row of the file has a known form."""
        if self.file is not None:
            InstructionRows(ByteTokenizer(), self.layout, "", ends=False).read(Path(self.file))

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner. Raises DataError naming file and line of a row of no known form."""
        corpus, notes = self._corpus(resources)
        inner = self.inner
        if self.pool or inner.chooses:
            check_pool(self.name, pool, resources)
        kept, held = inner.split(pool, resources) if self.pool or inner.chooses else ([], [])
        task, renderer = resources.task, resources.renderer
        own = task_rows(kept, task, renderer, inner.end) if self.pool else []
        work = RowWork([*corpus, *own], inner, resources, inner.validation_of(held, resources))
        whole = None
        if inner.refit and held and self.pool:
            whole = RowWork([*corpus, *task_rows(pool, task, renderer, inner.end)], inner, resources, None)
        epochs = inner.steps * inner.batch_size / len(work.rows)
        return self.learn(work, resources, {**work.notes, **notes, "epochs": round(epochs, 3)}, whole=whole)

    def _corpus(self, resources: TuningResources) -> tuple[list[TrainingRow], dict[str, Any]]:
        """The file's rows, and what is to be said of them."""
        if self.file is None:
            return [], {}
        ends = self.inner.end != "never"
        reader = InstructionRows(resources.tokenizer, self.layout, resources.renderer.end, ends=ends)
        found = reader.read(Path(self.file))
        notes: dict[str, Any] = {"rows_of_file": len(found)}
        if reader.empty:
            notes["rows_without_answer"] = reader.empty
        if 0 < self.rows < len(found):
            drawn = resources.generator("sft rows").permutation(len(found))[: self.rows]
            found = [found[i] for i in sorted(int(i) for i in drawn)]
            notes["rows_drawn"] = len(found)
        return found, notes
