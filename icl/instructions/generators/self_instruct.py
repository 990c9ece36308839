"""Instructions, then their instances, by a model that is shown seed tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from icl.components import check_choice, check_flag, check_number
from icl.instructions.contract import Asking, Place, Work, row_generators
from icl.instructions.generators.shared import instances
from icl.instructions.generators.shared.filters import CHINESE, SELF_INSTRUCT, tidied, wrong_with
from icl.instructions.generators.shared.parsing import numbered
from icl.instructions.generators.shared.rounds import Progress, Sampling, was_cut
from icl.instructions.generators.shared.seeds import OWN, Seed, read_seeds, seeds_digest
from icl.instructions.generators.shared.wording import wording
from icl.instructions.rows import InstructionRow
from icl.instructions.similarity import THRESHOLD, SimilarityIndex
from icl.types import GenerateRequest, Generation

TOO_LIKE = "too like a kept instruction (ROUGE-L)"


@row_generators.register("self_instruct", paper="Wang et al. 2023, Self-Instruct")
@dataclass(kw_only=True)
class SelfInstruct(Sampling):
    """A list of instructions goes on; each new one is answered with instances of its own.

    seeds: a file of seed tasks, or "icl" for the twenty of the package (published: 175). instructions: how
    many. shown, machine: tasks in a prompt, and how many of them the model's own where there are some. items:
    the list is stopped at this number. similarity: ROUGE-L F with a seed or a kept instruction above which
    one is left out. instances: of an instruction, at most. max_instance_tokens: (classification, others).
    instance_penalty: presence penalty of instances.
    layouts: one of the published 7 layouts with input or 6 without, drawn, in place of fields. include_seeds:
    the seeds' own instances as rows. blacklist: words of what is left out; null is the published list.
    ascii_only: whether the first character must be ASCII (published: it must); null: as the language.
    language: of the prompts, "en" or "zh". Then of sampling: per_round, patience, max_tokens, temperature,
    top_p, top_k, presence_penalty (of instructions), frequency_penalty.
    """

    asks = True
    seeds: str = OWN
    instructions: int = 100
    shown: int = 8
    machine: int = 2
    items: int = 16
    similarity: float = THRESHOLD
    instances: int = 5
    max_instance_tokens: Sequence[int] = (300, 350)
    layouts: bool = False
    include_seeds: bool = False
    blacklist: Sequence[str] | None = None
    ascii_only: bool | None = None
    language: str = "en"
    temperature: float = 0.7
    top_p: float = 0.5
    presence_penalty: float = 2.0
    instance_penalty: float = 1.5

    def __post_init__(self) -> None:
        self.check_sampling()
        for name in ("instructions", "shown", "instances"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("machine", self.machine, low=0, high=self.shown, whole=True)
        check_number("items", self.items, low=self.shown + 2, whole=True)
        check_number("similarity", self.similarity, low=0, high=1)
        check_number("instance_penalty", self.instance_penalty, low=-2, high=2)
        check_choice("language", self.language, ("en", "zh"))
        check_flag("layouts", self.layouts)
        check_flag("include_seeds", self.include_seeds)
        if len(self.max_instance_tokens) != 2:
            raise ValueError("max_instance_tokens: allowed: two numbers, for classification and for others")
        for limit in self.max_instance_tokens:
            check_number("max_instance_tokens", limit, low=1, whole=True)

    def check(self, place: Place) -> None:
        """See RowGenerator."""
        read_seeds(place, self.seeds, least=self.shown)

    def reads(self, place: Place) -> str:
        """See RowGenerator."""
        return seeds_digest(place, self.seeds)

    def make(self, work: Work) -> Asking:
        """See RowGenerator."""
        seeds = read_seeds(work.place, self.seeds, least=self.shown)
        if self.include_seeds:
            self._keep_seeds(work, seeds)
        found: list[str] = []
        yield from self._come_up_with(work, seeds, found)
        say = wording(self.language)
        kinds = yield from instances.kinds(work, seeds, found, say)
        asked = instances.prompts(work, seeds, found, kinds, say, self.instances, self.max_instance_tokens)
        answers = yield [replace(request, presence_penalty=self.instance_penalty) for request in asked]
        for at, (instruction, answer) in enumerate(zip(found, answers, strict=True)):
            assert isinstance(answer, Generation)
            made = instances.read(
                answer.samples[0].text, cut=was_cut(answer.samples[0]), classification=kinds[at], say=say
            )
            if work.rehearsal:
                made = [("rehearsed input", "rehearsed output")]
            self._keep(work, at, instruction, kinds[at], made)

    def _come_up_with(self, work: Work, seeds: list[Seed], found: list[str]) -> Asking:
        """Instructions, round by round, into `found`."""
        index = SimilarityIndex([seed.instruction for seed in seeds], self.similarity)
        progress = Progress(self.instructions, self.patience)
        while progress.going_on:
            asked = [self._prompt(work, seeds, found, progress.rounds, at) for at in range(self.per_round)]
            before = len(found)
            for answer in (yield list(asked)):
                assert isinstance(answer, Generation)
                for text in self._items(work, answer, progress.rounds, len(found)):
                    if len(found) == self.instructions:
                        break
                    self._judge(work, text, index, found)
            progress.round_over(len(found) - before)
        progress.note(work)

    def _prompt(
        self, work: Work, seeds: list[Seed], found: list[str], round_: int, at: int
    ) -> GenerateRequest:
        rng = work.generator("prompt", f"{round_}/{at}")
        own = _drawn(rng, found, min(self.machine, len(found)))
        human = _drawn(rng, [seed.instruction for seed in seeds], self.shown - len(own))
        shown = _drawn(rng, [*own, *human], self.shown)
        lines = [f"{n}. {' '.join(text.split()).rstrip(':')}" for n, text in enumerate(shown, start=1)]
        prompt = "\n".join([wording(self.language).series, *lines, f"{self.shown + 1}."])
        stop = ("\n\n", f"\n{self.items}", f"{self.items}.", f"{self.items} .")
        return self.request(work, prompt, stop, "instructions", round_, at)

    def _items(self, work: Work, answer: Generation, round_: int, known: int) -> list[str]:
        (sample,) = answer.samples
        if work.rehearsal:
            count = self.items - self.shown - 1
            return [f"Rehearsed instruction {round_}.{known}.{at}" for at in range(count)]
        if was_cut(sample):
            work.reject("reply cut by its length", sample.text)
            return []
        return [tidied(text) for text in numbered(sample.text)]

    def _judge(self, work: Work, text: str, index: SimilarityIndex, found: list[str]) -> None:
        if not work.rehearsal:
            lists = {"en": SELF_INSTRUCT, "zh": (*SELF_INSTRUCT, *CHINESE)}
            blacklist = lists[self.language] if self.blacklist is None else self.blacklist
            only = self.language == "en" if self.ascii_only is None else self.ascii_only
            if (rule := wrong_with(text, blacklist, ascii_only=only)) is not None:
                work.reject(rule, text)
                return
            if not index.add_if_new(text):
                work.reject(TOO_LIKE, text)
                return
        found.append(text)

    def _keep(
        self, work: Work, at: int, instruction: str, classification: bool, made: list[tuple[str, str]]
    ) -> None:
        sound = instances.sound(made, lambda rule, text: work.reject(rule, f"{instruction} {text}"))
        rng = work.generator("instances", str(at))
        if len(sound) > self.instances:
            sound = [sound[i] for i in sorted(rng.permutation(len(sound))[: self.instances].tolist())]
        about: dict[str, Any] = {"by": "self_instruct", "classification": classification}
        for number, (given, output) in enumerate(sound):
            row = InstructionRow(
                f"{work.name}/{at}.{number}", instruction, given, output, source=work.name, made=about
            )
            work.keep(instances.laid_out(row, rng) if self.layouts else row)

    def _keep_seeds(self, work: Work, seeds: list[Seed]) -> None:
        for seed in seeds:
            for number, (given, output) in enumerate(seed.instances):
                about = {"by": "self_instruct", "seed": True}
                name = f"{work.name}/{seed.id}.{number}"
                row = InstructionRow(name, seed.instruction, given, output, source=work.name, made=about)
                work.keep(row)


def _drawn(rng: np.random.Generator, texts: Sequence[str], count: int) -> list[str]:
    """So many without replacement, in random order."""
    return [texts[int(at)] for at in rng.permutation(len(texts))[:count]]
