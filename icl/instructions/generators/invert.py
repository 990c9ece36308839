"""The input asked for, from the output, where the output says enough."""

from __future__ import annotations

from dataclasses import dataclass

from icl.components import check_choice, check_number
from icl.errors import ConfigError
from icl.instructions.contract import Asking, Place, Work, digest_of, row_generators
from icl.instructions.generators.shared.tasks import examples_of, templates_of
from icl.instructions.rows import InstructionRow, from_values
from icl.instructions.templates import LONGEST_FIELD, TaskTemplate
from icl.labels import LABELLED
from icl.tasks import TaskData
from icl.tasks.duplicates import words

TOO_LITTLE = "the output says too little"
FOR_INPUT = 'Somebody was told: "{instruction}" Write an input for which the text below is the right answer.'
FOR_INSTRUCTION = "Write an instruction to which the text below is a good answer."


@row_generators.register("invert", paper="Wei et al. 2022, FLAN; Longpre et al. 2023, The Flan Collection")
@dataclass(kw_only=True)
class Invert:
    """Rows with the roles of input and output exchanged.

    task, split: of a task, by templates that ask for the input; or path: a file of instruction rows, whose
    input is asked for, or whose instruction where there is no input. least: words that an output must have to
    say enough. A label never does, unless a template for this very task puts it into words ("write a positive
    review"). rows: at most so many, drawn by the seed; 0 is all. templates: as of format.
    """

    asks = False
    task: str | None = None
    path: str | None = None
    split: str = "train"
    rows: int = 0
    least: int = 4
    templates: str | list[str] = "all"

    def __post_init__(self) -> None:
        check_choice("split", self.split, ("train", "validation"))
        check_number("rows", self.rows, low=0, whole=True)
        check_number("least", self.least, low=1, whole=True)
        if (self.task is None) == (self.path is None):
            raise ValueError("give either task or path")

    def check(self, place: Place) -> None:
        """See RowGenerator. ConfigError where no template puts the labels of a task into words."""
        if self.path is not None:
            for row in place.rows(self.path, "path"):
                from_values(row, self.path)
            return
        data = place.load(str(self.task))
        first = examples_of(data, self.split)[0]
        for template in self._templates(data, place):
            template.write(first, options=False)

    def _templates(self, data: TaskData, place: Place) -> list[TaskTemplate]:
        """Those that ask for the input; for labels those alone that are for this very task."""
        found = templates_of(data, self.templates, place, inverted=True)
        if data.task.kind not in LABELLED:
            return found
        own = [template for template in found if template.spec.tasks]
        if not own:
            raise ConfigError(
                f"task {data.task.name!r} has labels, which say too little by themselves: give templates "
                "for it (tasks: [...], inverted: true) that put a label into words"
            )
        return own

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        if self.path is not None:
            return digest_of(place, self.path)
        data = place.load(str(self.task))
        specs = ";".join(t.spec.model_dump_json() for t in self._templates(data, place))
        return f"{data.fingerprint};{specs}"

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        if self.path is not None:
            self._from_file(work, self.path)
        else:
            self._from_task(work, work.place.load(str(self.task)))
        yield from ()

    def _from_task(self, work: Work, data: TaskData) -> None:
        examples = examples_of(data, self.split)
        templates = self._templates(data, work.place)
        order = work.generator("examples").permutation(len(examples)).tolist()
        for at in sorted(order[: self.rows] if self.rows else order):
            example = examples[at]
            labelled = data.task.kind in LABELLED and data.task.kind != "multiple_choice"
            answer = example.choices.get(example.target, example.target)
            if not labelled and len(words(answer)) < self.least:
                work.reject(TOO_LITTLE, answer)
                continue
            rng = work.generator("row", example.id)
            template = templates[int(rng.integers(len(templates)))]
            written = template.write(example, options=False, longest=LONGEST_FIELD)
            if written is None:
                work.reject("template gave nothing", f"{template.spec.name}: {example.id}")
                continue
            instruction = written.instruction or written.prompt
            name = data.task.name
            work.keep(
                InstructionRow(
                    f"{name}/{example.id}/{template.spec.name}",
                    instruction,
                    written.prompt if written.instruction else "",
                    written.target,
                    source=name,
                    made={"by": "invert", "template": template.spec.name, "inverted": True},
                    ids=(f"{name}/{example.id}",),
                )
            )

    def _from_file(self, work: Work, path: str) -> None:
        rows = work.place.rows(path, "path")
        order = work.generator("rows").permutation(len(rows)).tolist()
        for at in sorted(order[: self.rows] if self.rows else order):
            row = from_values(rows[at], work.place.path(path).name)
            if len(words(row.output)) < self.least:
                work.reject(TOO_LITTLE, row.output or row.text)
                continue
            given = bool(row.input.strip())
            work.keep(
                InstructionRow(
                    f"{row.id}/inverted",
                    FOR_INPUT.replace("{instruction}", row.instruction) if given else FOR_INSTRUCTION,
                    row.output,
                    row.input if given else row.instruction,
                    source=row.source,
                    licence=row.licence,
                    made={"by": "invert", "template": "input" if given else "instruction", "inverted": True},
                    ids=(row.id,),
                )
            )
