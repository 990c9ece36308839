"""Instruction, input and output in one call, by a model that is shown three seed tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from icl.components import check_choice, check_flag, check_number
from icl.instructions.contract import Asking, Place, Work, row_generators
from icl.instructions.generators.self_instruct import TOO_LIKE
from icl.instructions.generators.shared.filters import ALPACA, CHINESE, wrong_with
from icl.instructions.generators.shared.parsing import fields
from icl.instructions.generators.shared.rounds import Progress, Sampling, was_cut
from icl.instructions.generators.shared.seeds import OWN, Seed, read_seeds, seeds_digest
from icl.instructions.generators.shared.wording import Wording, wording
from icl.instructions.rows import InstructionRow
from icl.instructions.similarity import THRESHOLD, SimilarityIndex
from icl.types import GenerateRequest, Generation

BETWEEN = "###"


@row_generators.register(
    "alpaca", paper="Taori et al. 2023, Stanford Alpaca: An Instruction-following LLaMA model"
)
@dataclass(kw_only=True)
class Alpaca(Sampling):
    """Rows come whole: what a list of tasks goes on with, each with its instruction, input and output.

    seeds: a file of seed tasks, or "icl" for the twenty of the package (published: Self-Instruct's 175).
    rows: how many. shown: seed tasks in a prompt. items: of the list, the shown ones too; it stops there.
    similarity: as of self_instruct, on the instruction alone. ignore_eos: the model may not end its text
    (published: the end-of-text token is banned). blacklist, ascii_only, language: as of self_instruct. Then
    of sampling: per_round, patience, max_tokens, temperature, top_p, top_k, penalties.
    """

    asks = True
    seeds: str = OWN
    rows: int = 100
    shown: int = 3
    items: int = 20
    similarity: float = THRESHOLD
    ignore_eos: bool = True
    blacklist: Sequence[str] | None = None
    ascii_only: bool | None = None
    language: str = "en"
    max_tokens: int = 3072

    def __post_init__(self) -> None:
        self.check_sampling()
        for name in ("rows", "shown"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("items", self.items, low=self.shown + 1, whole=True)
        check_number("similarity", self.similarity, low=0, high=1)
        check_choice("language", self.language, ("en", "zh"))
        check_flag("ignore_eos", self.ignore_eos)

    def check(self, place: Place) -> None:
        """See RowGenerator."""
        read_seeds(place, self.seeds, least=self.shown)

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        return seeds_digest(place, self.seeds)

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        seeds = read_seeds(work.place, self.seeds, least=self.shown)
        index = SimilarityIndex([seed.instruction for seed in seeds], self.similarity)
        progress = Progress(self.rows, self.patience)
        while progress.going_on:
            asked = [self._prompt(work, seeds, progress.rounds, at) for at in range(self.per_round)]
            new = 0
            for at, answer in enumerate((yield list(asked))):
                assert isinstance(answer, Generation)
                for number, item in enumerate(self._items(work, answer, f"{progress.rounds}.{at}")):
                    if progress.kept + new == self.rows:
                        break
                    new += self._judge(work, item, index, f"{progress.rounds}.{at}.{number}")
            progress.round_over(new)
        progress.note(work)

    def _prompt(self, work: Work, seeds: list[Seed], round_: int, at: int) -> GenerateRequest:
        say = wording(self.language)
        rng = work.generator("prompt", f"{round_}/{at}")
        parts = [say.alpaca.format(count=self.items), "", say.alpaca_list.format(count=self.items)]
        for number, place in enumerate(rng.permutation(len(seeds))[: self.shown].tolist(), start=1):
            seed = seeds[place]
            given, output = seed.instances[0]
            parts += [
                BETWEEN,
                f"{number}. {say.instruction}: {' '.join(seed.instruction.split()).rstrip(':')}",
                f"{number}. {say.input}:\n{given or say.no_input}",
                f"{number}. {say.output}:\n{output}",
            ]
        prompt = "\n".join([*parts, BETWEEN, f"{self.shown + 1}. {say.instruction}:"])
        stop = (f"\n{self.items}", f"{self.items}.")
        return self.request(work, prompt, stop, "rows", round_, at, ignore_eos=self.ignore_eos)

    def _items(self, work: Work, answer: Generation, name: str) -> list[dict[str, str]]:
        """The rows that can be read in one answer."""
        say = wording(self.language)
        if work.rehearsal:
            return [
                {say.instruction: f"rehearsed {name}.{n}", say.input: "", say.output: "made up"}
                for n in range(self.items - self.shown - 1)
            ]
        (sample,) = answer.samples
        segments = sample.text.split(BETWEEN)
        if was_cut(sample):
            work.reject("reply cut by its length", segments.pop())
        found = []
        for number, segment in enumerate(segments, start=self.shown + 1):
            item = _numbered_fields(segment, number, say)
            if item is None and segment.strip():
                work.reject("malformed", segment)
            elif item is not None:
                found.append(item)
        return found

    def _judge(self, work: Work, item: dict[str, str], index: SimilarityIndex, name: str) -> bool:
        """Whether the row is kept."""
        say = wording(self.language)
        instruction, given, output = item[say.instruction], item[say.input], item[say.output]
        if not work.rehearsal:
            lists = {"en": ALPACA, "zh": (*ALPACA, *CHINESE)}
            blacklist = lists[self.language] if self.blacklist is None else self.blacklist
            only = self.language == "en" if self.ascii_only is None else self.ascii_only
            if (rule := wrong_with(instruction, blacklist, ascii_only=only)) is not None:
                work.reject(rule, instruction)
                return False
            if not output:
                work.reject("empty output", instruction)
                return False
            if not index.add_if_new(instruction):
                work.reject(TOO_LIKE, instruction)
                return False
        given = "" if given.lower() == say.no_input else given
        about = {"by": "alpaca"}
        return work.keep(
            InstructionRow(f"{work.name}/{name}", instruction, given, output, source=work.name, made=about)
        )


def _numbered_fields(segment: str, number: int, say: Wording) -> dict[str, str] | None:
    """The three fields of item `number`; None where one is missing or has another number."""
    names = (say.instruction, say.input, say.output)
    plain = segment
    for name in names:
        marks = re.findall(rf"(?:^|\n)\s*(\d+)\.\s+{re.escape(name)}\s*[:：]", plain)
        if [int(mark) for mark in marks] not in ([number], [] if name == say.instruction else [number]):
            return None
        plain = re.sub(rf"((?:^|\n)\s*)\d+\.\s+({re.escape(name)}\s*[:：])", r"\1\2", plain)
    return fields(plain, names)
